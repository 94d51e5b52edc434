// What the page is told of a model: a distribution of y for each point of a grid over its features.

import { NormalMixture } from "./mixture.js";

/** Numbers of four bytes each, as base64. */
export function decoded(text) {
  const bytes = Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
  return new Float32Array(bytes.buffer);
}

/** A feature's place on an axis: its numbers, or 0, 1, 2, ... of texts. */
class Feature {
  constructor({ name, values, texts }) {
    Object.assign(this, { name, texts, size: values.length, places: texts ? values.map((_, i) => i) : values });
    const first = this.places[0], last = this.places[this.size - 1], half = (last - first) / (this.size - 1 || 1) / 2;
    this.range = texts || first === last ? [first - 0.5, last + 0.5] : [first - half, last + half];
  }

  nearest(place) {
    let best = 0;
    this.places.forEach((own, i) => { if (Math.abs(own - place) < Math.abs(this.places[best] - place)) best = i; });
    return best;
  }
}

export class Model {
  constructor({ features, target, y, kind, size, data, points = [] }) {
    Object.assign(this, { target, y, kind, size, points, numbers: decoded(data) });
    this.features = features.map((feature) => new Feature(feature));
    this.range = [y[0], y[y.length - 1]];
  }

  get canBeTempered() {
    return this.kind === "normal";
  }

  /** The distribution at a number of each feature's values. */
  at(indices) {
    const row = this.features.reduce((sum, feature, i) => sum * feature.size + indices[i], 0);
    const part = (i) => this.numbers.subarray((3 * row + i) * this.size, (3 * row + i + 1) * this.size);
    return new NormalMixture(part(0), part(1), part(2));
  }
}
