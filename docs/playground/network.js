// A mixture density network of one hidden layer, its loss, and the gradient of the loss, by hand.

import { NormalMixture } from "../../tfmdn/plots/browser/mixture.js";

const HALF_LOG_2PI = 0.5 * Math.log(2 * Math.PI);
const NARROWEST = 0.02; // in units of the spread of y: a component on one point could become a spike

/** Draws from the standard normal distribution, the same for the same seed. */
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
 * x -> tanh -> logits, centres and scales of K components, all in standard units.
 *
 * Parameters lie in one array: of each of H units the slope and the bias (2 H), then of each of 3 K outputs the
 * weights of the units and the bias (3 K (H + 1)). Outputs are K logits, K centres and K logarithms of scales.
 */
export class Network {
  constructor({ components, units = 24, seed = 1 }) {
    Object.assign(this, { components, units, outputs: 3 * components });
    const draw = normals(seed),
      first = 2 * units;
    this.parameters = new Float64Array(first + this.outputs * (units + 1));
    for (let h = 0; h < units; h++) {
      const slope = 2.5 * draw(); // wide enough to bend all over x
      this.parameters[2 * h] = slope;
      this.parameters[2 * h + 1] = -slope * (4 * draw.uniform() - 2);
    }
    for (let i = first; i < this.parameters.length; i++) this.parameters[i] = (0.3 * draw()) / Math.sqrt(units);
    for (let k = 0; k < components; k++) {
      // The components begin apart from each other, so that each finds its part.
      this.parameters[this.bias(components + k)] = components > 1 ? -1.5 + (3 * k) / (components - 1) : 0;
      this.parameters[this.bias(2 * components + k)] = components > 1 ? -0.7 : 0;
    }
    this.hidden = new Float64Array(units);
    this.raw = new Float64Array(this.outputs);
    this.delta = new Float64Array(this.outputs);
  }

  bias(output) {
    return 2 * this.units + output * (this.units + 1) + this.units;
  }

  /** What comes out for one x, into `raw`. */
  forward(x) {
    const { units, outputs, parameters, hidden, raw } = this;
    for (let h = 0; h < units; h++) hidden[h] = Math.tanh(parameters[2 * h] * x + parameters[2 * h + 1]);
    for (let o = 0, i = 2 * units; o < outputs; o++) {
      let sum = 0;
      for (let h = 0; h < units; h++) sum += parameters[i++] * hidden[h];
      raw[o] = sum + parameters[i++];
    }
  }

  scale(raw) {
    return NARROWEST + Math.exp(Math.min(raw, 3));
  }

  at(x) {
    this.forward(x);
    const { raw, components: K } = this;
    return new NormalMixture(
      raw.slice(0, K),
      raw.slice(K, 2 * K),
      raw.slice(2 * K).map((own) => this.scale(own)),
    );
  }

  /**
   * The negative log likelihood of one pair, and into `delta` its slope along each output: weights minus
   * responsibilities for the logits, and of each component its responsibility times the slope of its own.
   */
  pair(x, y) {
    this.forward(x);
    const { raw, delta, components: K } = this;
    let topLogit = -Infinity,
      sumOfLogits = 0,
      top = -Infinity,
      sum = 0;
    for (let k = 0; k < K; k++) topLogit = Math.max(topLogit, raw[k]);
    for (let k = 0; k < K; k++) sumOfLogits += Math.exp(raw[k] - topLogit);
    const total = topLogit + Math.log(sumOfLogits);
    for (let k = 0; k < K; k++) {
      const scale = this.scale(raw[2 * K + k]),
        z = (y - raw[K + k]) / scale;
      delta[k] = raw[k] - total - 0.5 * z * z - Math.log(scale) - HALF_LOG_2PI;
      top = Math.max(top, delta[k]);
    }
    for (let k = 0; k < K; k++) sum += Math.exp(delta[k] - top);
    const logLikelihood = top + Math.log(sum);
    for (let k = 0; k < K; k++) {
      const scale = this.scale(raw[2 * K + k]),
        z = (y - raw[K + k]) / scale;
      const share = Math.exp(delta[k] - logLikelihood);
      delta[k] = Math.exp(raw[k] - total) - share;
      delta[K + k] = (-share * z) / scale;
      delta[2 * K + k] = raw[2 * K + k] < 3 ? (share * (1 - z * z) * (scale - NARROWEST)) / scale : 0;
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
      for (let o = 0; o < outputs; o++) {
        const start = 2 * units + o * (units + 1),
          own = delta[o] / pairs.length;
        for (let h = 0; h < units; h++) {
          gradient[start + h] += own * hidden[h];
          const back = own * parameters[start + h] * (1 - hidden[h] * hidden[h]);
          gradient[2 * h] += back * x;
          gradient[2 * h + 1] += back;
        }
        gradient[start + units] += own;
      }
    }
    return sum / pairs.length;
  }
}

/** Adam, as Kingma and Ba have it, with a gradient that is cut to length 1. */
export class Adam {
  constructor(size, rate = 0.01) {
    Object.assign(this, { rate, steps: 0, mean: new Float64Array(size), square: new Float64Array(size) });
  }

  step(parameters, gradient) {
    const { mean, square } = this,
      length = Math.hypot(...gradient),
      cut = length > 1 ? 1 / length : 1;
    this.steps++;
    const rate = (this.rate * Math.sqrt(1 - 0.999 ** this.steps)) / (1 - 0.9 ** this.steps);
    for (let i = 0; i < parameters.length; i++) {
      const own = cut * gradient[i];
      mean[i] += 0.1 * (own - mean[i]);
      square[i] += 0.001 * (own * own - square[i]);
      parameters[i] -= (rate * mean[i]) / (Math.sqrt(square[i]) + 1e-8);
    }
  }
}

/** The largest difference between the gradient and finite differences, which should be about 1e-8. */
export function gradientError(network, pairs, step = 1e-5) {
  const gradient = new Float64Array(network.parameters.length);
  network.loss(pairs, gradient);
  return network.parameters.reduce((worst, value, i) => {
    const at = (other) => {
      network.parameters[i] = other;
      return network.loss(pairs);
    };
    const difference = (at(value + step) - at(value - step)) / (2 * step);
    network.parameters[i] = value;
    return Math.max(worst, Math.abs(difference - gradient[i]));
  }, 0);
}
