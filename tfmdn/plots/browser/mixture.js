// A mixture of normals, and what one asks of it; the answers are those of tfmdn.Mixture.

import { highestDensityRegion } from "./regions.js";
import { rootBetween } from "./roots.js";

const SQRT_2PI = Math.sqrt(2 * Math.PI);
const FAR = 8; // standard deviations, beyond which there is nothing
// Where the density is looked at, in standard deviations of each component: dense inside, sparse far out.
const OFFSETS = Array.from({ length: 41 }, (_, i) => 2 * Math.sinh((i - 20) / 8));

/** log(sum(exp(values))), whatever their size. */
export function logSumExp(values) {
  let top = -Infinity,
    sum = 0;
  for (let i = 0; i < values.length; i++) if (values[i] > top) top = values[i];
  if (top === -Infinity) return top;
  for (let i = 0; i < values.length; i++) sum += Math.exp(values[i] - top);
  return top + Math.log(sum);
}

/** P(Z <= z) of a standard normal Z, by a series whose terms have one sign. */
function normalCdf(z) {
  if (Math.abs(z) > FAR) return z < 0 ? 0 : 1;
  let term = z,
    sum = z;
  for (let n = 1; Math.abs(term) > 1e-17 * Math.abs(sum); n++) sum += term *= (z * z) / (2 * n + 1);
  return 0.5 + (sum * Math.exp(-0.5 * z * z)) / SQRT_2PI;
}

export class NormalMixture {
  /** Of logits, which are weights up to a constant factor, as logarithms; centres; and standard deviations. */
  constructor(logits, locs, scales) {
    const total = logSumExp(logits);
    this.logWeights = Array.from(logits, (logit) => logit - total);
    this.weights = this.logWeights.map(Math.exp);
    this.locs = Array.from(locs);
    this.scales = Array.from(scales);
    this.heights = this.weights.map((weight, k) => weight / this.scales[k] / SQRT_2PI);
    this.size = this.locs.length;
    this.terms = new Float64Array(this.size);
  }

  /** As `Mixture.temper`: logits / temperature, scales * scaleTemperature. */
  tempered(temperature, scaleTemperature = 1) {
    const logits = this.logWeights.map((logWeight) => logWeight / temperature);
    return new NormalMixture(
      logits,
      this.locs,
      this.scales.map((scale) => scale * scaleTemperature),
    );
  }

  /** The sum over components of what a function of each gives. */
  sum(of) {
    let sum = 0;
    for (let k = 0; k < this.size; k++) sum += of(k);
    return sum;
  }

  z(k, y) {
    return (y - this.locs[k]) / this.scales[k];
  }

  logDensity(y) {
    for (let k = 0; k < this.size; k++) {
      this.terms[k] = this.logWeights[k] - 0.5 * this.z(k, y) ** 2 - Math.log(this.scales[k] * SQRT_2PI);
    }
    return logSumExp(this.terms);
  }

  /** The share of one component in the density. */
  componentDensity(k, y) {
    return this.heights[k] * Math.exp(-0.5 * this.z(k, y) ** 2);
  }

  /** It needs no logarithm: what is lost is 0. */
  density(y) {
    return this.sum((k) => this.componentDensity(k, y));
  }

  /** The slope of the log density. */
  slope(y) {
    const total = this.logDensity(y); // fills `terms`
    return this.sum((k) => (-Math.exp(this.terms[k] - total) * this.z(k, y)) / this.scales[k]);
  }

  cdf(y) {
    return this.sum((k) => this.weights[k] * normalCdf(this.z(k, y)));
  }

  quantile(p) {
    const low = Math.min(...this.locs.map((loc, k) => loc - FAR * this.scales[k]));
    const high = Math.max(...this.locs.map((loc, k) => loc + FAR * this.scales[k]));
    return rootBetween((y) => this.cdf(y) - p, low, -p, high, 1 - p);
  }

  quantiles(levels) {
    return levels.map((level) => this.quantile(level));
  }

  mean() {
    return this.sum((k) => this.weights[k] * this.locs[k]);
  }

  stddev() {
    const mean = this.mean();
    return Math.sqrt(this.sum((k) => this.weights[k] * (this.scales[k] ** 2 + (this.locs[k] - mean) ** 2)));
  }

  /** Values of y, of which two neighbours have one peak between them at most. */
  places() {
    const points = this.locs.flatMap((loc, k) => OFFSETS.map((z) => loc + z * this.scales[k]));
    return points.sort((a, b) => a - b);
  }

  /** The peaks, from the highest down: `[{y, density}, ...]`. */
  modes() {
    const slope = (y) => this.slope(y),
      points = this.places(),
      slopes = points.map(slope),
      found = [];
    for (let i = 1; i < points.length; i++) {
      if (!(slopes[i - 1] > 0 && slopes[i] <= 0)) continue;
      const y = slopes[i] ? rootBetween(slope, points[i - 1], slopes[i - 1], points[i], slopes[i]) : points[i];
      found.push({ y, density: this.density(y) });
    }
    return found.sort((a, b) => b.density - a.density);
  }

  region(coverage) {
    const points = [...this.places(), ...this.modes().map((peak) => peak.y)].sort((a, b) => a - b);
    return highestDensityRegion(
      points,
      (y) => this.logDensity(y),
      (y) => this.cdf(y),
      coverage,
    );
  }
}
