// A mixture density network of one hidden layer, its loss, and the gradient of the loss, by hand.

import { logSumExp, NormalMixture } from "../../tfmdn/plots/browser/mixture.js";

const LOG_SQRT_2PI = 0.5 * Math.log(2 * Math.PI);
const NARROWEST = 0.012; // of a component, which on one point could become a spike

/** Draws from the standard normal distribution, and `uniform` ones, the same for the same seed. */
export function normals(seed) {
  let state = seed >>> 0;
  const uniform = () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let bits = Math.imul(state ^ (state >>> 15), 1 | state);
    bits = (bits + Math.imul(bits ^ (bits >>> 7), 61 | bits)) ^ bits;
    return (((bits ^ (bits >>> 14)) >>> 0) + 0.5) / 4294967296;
  };
  const draw = () => Math.sqrt(-2 * Math.log(uniform())) * Math.cos(2 * Math.PI * uniform());
  return Object.assign(draw, { uniform });
}

/**
 * x -> tanh -> logits, centres and logarithms of scales of K components, for x and y between -1 and 1.
 *
 * All parameters lie in one array: the slopes of the units `[units]`, their biases `[units]`, and the weights of the
 * outputs `[3 K, units + 1]`, of which the last is that of a unit that is always 1.
 */
export class Network {
  constructor({ components, units = 24, seed = 1 }) {
    const K = components,
      outputs = 3 * K,
      draw = normals(seed),
      inThree = (array) => [array.subarray(0, K), array.subarray(K, 2 * K), array.subarray(2 * K)];
    Object.assign(this, {
      components,
      units,
      outputs,
      raw: new Float64Array(outputs),
      delta: new Float64Array(outputs),
    });
    this.parameters = new Float64Array(2 * units + outputs * (units + 1)).map(() => (0.3 * draw()) / Math.sqrt(units));
    this.hidden = new Float64Array(units + 1).fill(1);
    [this.logits, this.locs, this.logScales] = inThree(this.raw);
    this.deltas = inThree(this.delta);
    for (let h = 0; h < units; h++) {
      const slope = 4 * draw(); // wide enough to bend all over x
      this.parameters[h] = slope;
      this.parameters[units + h] = slope * (2.4 * draw.uniform() - 1.2);
    }
    for (let k = 0; k < K; k++) {
      // The components begin apart from each other, so that each finds its part.
      this.parameters[this.weight(K + k, units)] = K > 1 ? (1.8 * k) / (K - 1) - 0.9 : 0;
      this.parameters[this.weight(2 * K + k, units)] = K > 1 ? -1.2 : -0.5;
    }
  }

  /** Where the weight of a unit for an output lies. */
  weight(output, unit) {
    return 2 * this.units + output * (this.units + 1) + unit;
  }

  /** What comes out for one x, into `raw`. */
  forward(x) {
    const { units, outputs, parameters, hidden, raw } = this;
    for (let h = 0; h < units; h++) hidden[h] = Math.tanh(parameters[h] * x + parameters[units + h]);
    for (let o = 0, i = 2 * units; o < outputs; o++) {
      let sum = 0;
      for (let h = 0; h <= units; h++) sum += parameters[i++] * hidden[h];
      raw[o] = sum;
    }
  }

  scale(k) {
    return NARROWEST + Math.exp(Math.min(this.logScales[k], 3));
  }

  at(x) {
    this.forward(x);
    return new NormalMixture(
      this.logits,
      this.locs,
      this.logScales.map((_, k) => this.scale(k)),
    );
  }

  /**
   * The negative log likelihood of one pair, and into `delta` its slope along each output: weights minus
   * responsibilities for the logits, and of each component its responsibility times the slope of its own.
   */
  pair(x, y) {
    this.forward(x);
    const { components, logits, locs, logScales } = this,
      [ofLogits, ofLocs, ofScales] = this.deltas,
      total = logSumExp(logits);
    for (let k = 0; k < components; k++) {
      const scale = this.scale(k),
        z = (y - locs[k]) / scale;
      ofLogits[k] = logits[k] - total - 0.5 * z * z - Math.log(scale) - LOG_SQRT_2PI; // for now
    }
    const logLikelihood = logSumExp(ofLogits);
    for (let k = 0; k < components; k++) {
      const scale = this.scale(k),
        z = (y - locs[k]) / scale,
        share = Math.exp(ofLogits[k] - logLikelihood);
      ofLogits[k] = Math.exp(logits[k] - total) - share;
      ofLocs[k] = (-share * z) / scale;
      ofScales[k] = logScales[k] < 3 ? (share * (1 - z * z) * (scale - NARROWEST)) / scale : 0;
    }
    return -logLikelihood;
  }

  /** The mean loss of pairs `[[x, y], ...]`, and its gradient, into `gradient`. */
  loss(pairs, gradient) {
    const { units, outputs, parameters, hidden, delta } = this;
    let sum = 0;
    gradient?.fill(0);
    for (const [x, y] of pairs) {
      sum += this.pair(x, y);
      if (!gradient) continue;
      for (let o = 0, i = 2 * units; o < outputs; o++) {
        const own = delta[o] / pairs.length;
        for (let h = 0; h <= units; h++, i++) {
          gradient[i] += own * hidden[h];
          const back = own * parameters[i] * (1 - hidden[h] * hidden[h]); // of the last unit it is 0
          gradient[h] += back * x;
          gradient[units + h] += back;
        }
      }
    }
    return sum / pairs.length;
  }
}

/** Adam, as Kingma and Ba have it, with a gradient that is cut to length 1. */
export class Adam {
  constructor(size) {
    Object.assign(this, { steps: 0, mean: new Float64Array(size), square: new Float64Array(size) });
  }

  step(parameters, gradient, rate) {
    const { mean, square } = this,
      cut = Math.min(1, 1 / Math.hypot(...gradient));
    this.steps++;
    const corrected = (rate * Math.sqrt(1 - 0.999 ** this.steps)) / (1 - 0.9 ** this.steps);
    for (let i = 0; i < parameters.length; i++) {
      const own = cut * gradient[i];
      mean[i] += 0.1 * (own - mean[i]);
      square[i] += 0.001 * (own * own - square[i]);
      parameters[i] -= (corrected * mean[i]) / (Math.sqrt(square[i]) + 1e-8);
    }
  }
}
