// A distribution of any family: its density at values of y, and answers that Python has computed.

export class Table {
  /** Of `y`, the limits `atoms` and whether y has steps; and the numbers of one row. */
  constructor({ y, atoms, isStepped }, parts) {
    Object.assign(this, { y, isStepped, parts });
    this.atoms = atoms.map((place, i) => ({ y: place, probability: parts.atoms[i] }));
  }

  /** Between two values of y on the line between their densities, or that of the nearest value. */
  density(y) {
    const last = this.y.length - 1;
    let low = 0,
      high = last;
    while (high - low > 1) {
      const middle = (low + high) >> 1;
      if (this.y[middle] <= y) low = middle;
      else high = middle;
    }
    const share = Math.min(Math.max((y - this.y[low]) / (this.y[high] - this.y[low]), 0), 1);
    const part = this.isStepped ? Math.round(share) : share;
    return (1 - part) * this.parts.density[low] + part * this.parts.density[high];
  }

  mean() {
    return this.parts.moments[0];
  }

  stddev() {
    return this.parts.moments[1];
  }

  modes() {
    const known = Array.from(this.parts.modes, (y, i) => ({ y, density: this.parts.heights[i] }));
    return known.filter((peak) => !Number.isNaN(peak.y));
  }

  quantiles() {
    return Array.from(this.parts.quantiles);
  }

  region() {
    const bounds = Array.from(this.parts.region).filter((bound) => !Number.isNaN(bound));
    return bounds.flatMap((low, i) => (i % 2 ? [] : [[low, bounds[i + 1]]]));
  }
}
