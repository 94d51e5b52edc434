// A picture of a density over a plane, of one colour that is the stronger the higher the density.

export class HeatMap {
  constructor(columns, rows) {
    Object.assign(this, { columns, rows, values: new Float32Array(columns * rows) });
    this.canvas = Object.assign(document.createElement("canvas"), { width: columns, height: rows });
    this.image = this.canvas.getContext("2d").createImageData(columns, rows);
  }

  /** Computes `density(column)(y)` in the middle of each cell, y from the lowest row upwards. */
  fill([low, high], densityOf) {
    for (let column = 0; column < this.columns; column++) {
      const density = densityOf(column);
      for (let row = 0; row < this.rows; row++) {
        this.values[row * this.columns + column] = density(high - ((row + 0.5) / this.rows) * (high - low));
      }
    }
  }

  /** Paints it, so that the peaks of one column in four are as dark as can be. */
  paint(rgb) {
    const peaks = new Float32Array(this.columns);
    this.values.forEach((value, i) => { if (value > peaks[i % this.columns]) peaks[i % this.columns] = value; });
    const top = peaks.sort()[Math.floor(0.75 * (this.columns - 1))] || 1;
    const [red, green, blue] = rgb.match(/\w\w/g).map((pair) => parseInt(pair, 16));
    const { data } = this.image;
    this.values.forEach((value, i) => {
      data[4 * i] = red;
      data[4 * i + 1] = green;
      data[4 * i + 2] = blue;
      data[4 * i + 3] = 235 * Math.min(value / top, 1) ** 0.65;
    });
    this.canvas.getContext("2d").putImageData(this.image, 0, 0);
  }

  draw(context, { left, top, width, height }) {
    context.imageSmoothingEnabled = true;
    context.imageSmoothingQuality = "high";
    context.drawImage(this.canvas, left, top, width, height);
  }
}
