// A picture of a density over a plane, of one colour that is the stronger the higher the density.

// Low densities can be seen, too.
const OPACITY = Uint8Array.from({ length: 256 }, (_, i) => 235 * (i / 255) ** 0.65);

export class HeatMap {
  constructor(columns, rows) {
    Object.assign(this, { columns, rows, values: new Float32Array(columns * rows) });
    this.painted = "";
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
    this.painted = "";
  }

  /** Paints it, if it is not, so that the peaks of one column in four are as dark as can be. */
  paint(rgb) {
    if (this.painted === rgb) return;
    this.painted = rgb;
    const { values, columns } = this,
      { data } = this.image,
      peaks = new Float32Array(columns);
    for (let i = 0; i < values.length; i++) peaks[i % columns] = Math.max(peaks[i % columns], values[i]);
    const top = peaks.sort()[Math.floor(0.75 * (columns - 1))] || 1;
    const [red, green, blue] = rgb.match(/\w\w/g).map((pair) => parseInt(pair, 16));
    for (let i = 0, byte = 0; i < values.length; i++, byte += 4) {
      data[byte] = red;
      data[byte + 1] = green;
      data[byte + 2] = blue;
      data[byte + 3] = OPACITY[Math.min(Math.floor((255 * values[i]) / top), 255)];
    }
    this.canvas.getContext("2d").putImageData(this.image, 0, 0);
  }

  draw(context, { left, top, width, height }) {
    context.imageSmoothingEnabled = true;
    context.imageSmoothingQuality = "high";
    context.drawImage(this.canvas, left, top, width, height);
  }
}
