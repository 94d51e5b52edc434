// Points to learn, in a square from -1 to 1: more than one y for an x.

import { normals } from "./network.js";

const COUNT = 240;

/** Points that `point` makes of a share between 0 and 1, a number between -0.95 and 0.95, and draws. */
function drawn(seed, point) {
  const draw = normals(seed),
    inside = (value) => Math.min(Math.max(value, -0.99), 0.99);
  return Array.from({ length: COUNT }, (_, i) => point(i / COUNT, 1.9 * draw.uniform() - 0.95, draw).map(inside));
}

export const DATA_SETS = {
  "Two sinusoids": () =>
    drawn(1, (_, x, draw) => [x, (draw() < 0 ? 1 : -1) * (0.42 + 0.25 * Math.sin(4 * x)) + 0.04 * draw()]),
  Ring: () => drawn(2, (t, _, draw) => [Math.cos, Math.sin].map((of) => 0.75 * of(2 * Math.PI * t) + 0.04 * draw())),
  Spiral: () =>
    drawn(3, (t, _, draw) => {
      const turn = 2 * Math.PI * (0.35 + 1.75 * Math.sqrt(t));
      return [Math.cos, Math.sin].map((of) => (0.065 * turn + 0.05) * of(turn) + 0.02 * draw());
    }),
  "S-curve": () => drawn(4, (_, y, draw) => [0.9 * y + 0.42 * Math.sin(5.2 * y) + 0.05 * draw(), y]),
  Fan: () => drawn(5, (_, x, draw) => [x, 0.35 * x - 0.1 + 0.22 * (x + 1.05) * draw()]),
};
