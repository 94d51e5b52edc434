// What the page is told of a model: a distribution of y for each point of a grid over its features.

import { NormalMixture } from "./mixture.js";
import { Table } from "./table.js";

/** Numbers of four bytes each, as base64. */
export function decoded(text) {
  const bytes = Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
  return new Float32Array(bytes.buffer);
}

/** A feature's place on an axis: its numbers, or 0, 1, 2, ... of texts. */
class Feature {
  constructor({ name, values, texts, unit = "" }) {
    Object.assign(this, { name, texts, unit, size: values.length, places: texts ? values.map((_, i) => i) : values });
    const first = this.places[0],
      last = this.places[this.size - 1],
      half = (last - first) / (this.size - 1 || 1) / 2;
    this.range = texts || first === last ? [first - 0.5, last + 0.5] : [first - half, last + half];
  }

  nearest(place) {
    let best = 0;
    this.places.forEach((own, i) => {
      if (Math.abs(own - place) < Math.abs(this.places[best] - place)) best = i;
    });
    return best;
  }
}

/**
 * `sizes` says how many numbers each part of a row has, in order; `data` are the rows, of all combinations of the
 * features' values, of which the last one's change the fastest.
 */
export class Model {
  constructor({ features, target, y, kind, sizes, data, atoms, isStepped, points = [] }) {
    Object.assign(this, { target, y, kind, sizes, atoms, isStepped, points, numbers: decoded(data) });
    this.features = features.map((feature) => new Feature(feature));
    this.length = Object.values(sizes).reduce((sum, size) => sum + size, 0);
    const half = isStepped ? (y[y.length - 1] - y[0]) / (y.length - 1) / 2 : 0;
    this.range = [y[0] - half, y[y.length - 1] + half];
  }

  get canBeTempered() {
    return this.kind === "normal";
  }

  /** The distribution at a number of each feature's values. */
  at(indices) {
    const row = this.features.reduce((sum, feature, i) => sum * feature.size + indices[i], 0),
      parts = {};
    let start = row * this.length;
    for (const [name, size] of Object.entries(this.sizes)) parts[name] = this.numbers.subarray(start, (start += size));
    return this.kind === "normal" ? new NormalMixture(parts.logits, parts.locs, parts.scales) : new Table(this, parts);
  }
}
