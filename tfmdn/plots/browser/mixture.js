// A mixture of normals, and what one asks of it; the answers are those of tfmdn.Mixture.

import { modes } from "./modes.js";
import { normalCdf } from "./normal.js";
import { highestDensityRegion } from "./regions.js";
import { rootOfRising } from "./roots.js";

const LOG_SQRT_2PI = 0.5 * Math.log(2 * Math.PI);
const FAR = 40; // standard deviations, beyond which there is nothing
// Where the density is looked at, in standard deviations of each component: dense inside, sparse far out.
const OFFSETS = Array.from({ length: 41 }, (_, i) => 2 * Math.sinh((i - 20) / 8));

/** log(sum(exp(values))), whatever their size. */
export function logSumExp(values) {
  let top = -Infinity,
    sum = 0;
  for (const value of values) if (value > top) top = value;
  if (top === -Infinity) return top;
  for (const value of values) sum += Math.exp(value - top);
  return top + Math.log(sum);
}

export class NormalMixture {
  /** Of logits, which are weights up to a constant factor, as logarithms; centres; and standard deviations. */
  constructor(logits, locs, scales) {
    const total = logSumExp(logits);
    this.logWeights = Array.from(logits, (logit) => logit - total);
    this.weights = this.logWeights.map(Math.exp);
    this.locs = Array.from(locs);
    this.scales = Array.from(scales);
    this.counted = this.weights.flatMap((weight, k) => (weight > 0 ? [k] : []));
    this.heights = this.weights.map((weight, k) => Math.exp(-LOG_SQRT_2PI) * (weight / this.scales[k]));
    this.terms = new Float64Array(this.locs.length);
  }

  get size() {
    return this.locs.length;
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

  logDensity(y) {
    for (let k = 0; k < this.size; k++) {
      const z = (y - this.locs[k]) / this.scales[k];
      this.terms[k] = this.logWeights[k] - 0.5 * z * z - Math.log(this.scales[k]) - LOG_SQRT_2PI;
    }
    return logSumExp(this.terms);
  }

  /** It needs no logarithm: what is lost is 0. */
  density(y) {
    let sum = 0;
    for (let k = 0; k < this.size; k++) sum += this.componentDensity(k, y);
    return sum;
  }

  /** The share of one component in the density. */
  componentDensity(k, y) {
    const z = (y - this.locs[k]) / this.scales[k];
    return this.heights[k] * Math.exp(-0.5 * z * z);
  }

  /** Slope and curvature of the log density at y, and where the mean shift leads from there. */
  around(y) {
    const total = this.logDensity(y); // fills `terms`
    let slope = 0,
      squares = 0,
      precision = 0;
    for (const k of this.counted) {
      const share = Math.exp(this.terms[k] - total);
      const pull = (this.locs[k] - y) / this.scales[k] ** 2;
      slope += share * pull;
      squares += share * pull * pull;
      precision += share / this.scales[k] ** 2;
    }
    return { slope, curvature: squares - precision - slope * slope, shifted: y + slope / precision };
  }

  cdf(y) {
    let sum = 0;
    for (const k of this.counted) sum += this.weights[k] * normalCdf((y - this.locs[k]) / this.scales[k]);
    return sum;
  }

  survival(y) {
    let sum = 0;
    for (const k of this.counted) sum += this.weights[k] * normalCdf((this.locs[k] - y) / this.scales[k]);
    return sum;
  }

  /** Between the ends of all components, by halving, in the tail in which the probability has its digits. */
  quantile(p) {
    const low = Math.min(...this.counted.map((k) => this.locs[k] - FAR * this.scales[k]));
    const high = Math.max(...this.counted.map((k) => this.locs[k] + FAR * this.scales[k]));
    return rootOfRising(p < 0.5 ? (y) => this.cdf(y) - p : (y) => 1 - p - this.survival(y), low, high);
  }

  quantiles(levels) {
    return levels.map((level) => this.quantile(level));
  }

  mean() {
    return this.counted.reduce((sum, k) => sum + this.weights[k] * this.locs[k], 0);
  }

  stddev() {
    const mean = this.mean();
    const part = (k) => this.weights[k] * (this.scales[k] ** 2 + (this.locs[k] - mean) ** 2);
    return Math.sqrt(this.counted.reduce((sum, k) => sum + part(k), 0));
  }

  modes() {
    return modes(this);
  }

  /** Values of y between which the density does nothing that one would miss. */
  places() {
    const points = this.modes().map((peak) => peak.y);
    for (const k of this.counted) for (const z of OFFSETS) points.push(this.locs[k] + z * this.scales[k]);
    return points.sort((a, b) => a - b);
  }

  region(coverage) {
    const logDensity = (y) => this.logDensity(y);
    return highestDensityRegion(this.places(), logDensity, (y) => this.cdf(y), coverage);
  }
}
