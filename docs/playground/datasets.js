// Points to learn, in a square from -1 to 1: more than one y for an x.

import { normals } from "./network.js";

const COUNT = 240;

function drawn(seed, point) {
  const draw = normals(seed);
  return Array.from({ length: COUNT }, (_, i) => point(i / COUNT, draw)).map((pair) =>
    pair.map((value) => Math.min(Math.max(value, -0.99), 0.99)),
  );
}

export const DATA_SETS = {
  "Two sinusoids": () =>
    drawn(1, (t, draw) => {
      const x = 1.9 * draw.uniform() - 0.95,
        side = draw.uniform() < 0.5 ? 1 : -1;
      return [x, side * (0.42 + 0.25 * Math.sin(4 * x)) + 0.04 * draw()];
    }),
  Ring: () =>
    drawn(2, (t, draw) => [0.75, 0.75].map((r, i) => r * (i ? Math.sin : Math.cos)(2 * Math.PI * t) + 0.04 * draw())),
  Spiral: () =>
    drawn(3, (t, draw) => {
      const turn = 2 * Math.PI * (0.35 + 1.75 * Math.sqrt(t)),
        r = 0.065 * turn + 0.05;
      return [r * Math.cos(turn) + 0.02 * draw(), r * Math.sin(turn) + 0.02 * draw()];
    }),
  "S-curve": () =>
    drawn(4, (t, draw) => {
      const y = 1.8 * draw.uniform() - 0.9;
      return [0.9 * y + 0.42 * Math.sin(5.2 * y) + 0.05 * draw(), y];
    }),
  Fan: () =>
    drawn(5, (t, draw) => {
      const x = 1.9 * draw.uniform() - 0.95;
      return [x, 0.35 * x - 0.1 + 0.22 * (x + 1.05) * draw()];
    }),
};
