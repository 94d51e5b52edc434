// The smallest region that has a given probability: where the density is above a level.

import { rootBetween } from "./roots.js";

const DEPTH = 60; // in nats below the peak, where nothing counts any more

/**
 * The intervals of a highest density region, from left to right.
 *
 * `points` must rise, and lie so close that the density crosses no level twice between two of them.
 */
export function highestDensityRegion(points, logDensity, cdf, coverage) {
  const heights = points.map((y) => Math.max(logDensity(y), -1e300));
  const top = heights.reduce((a, b) => Math.max(a, b));
  const at = (level) => {
    const above = (y) => Math.max(logDensity(y), -1e300) - level;
    const bounds = heights[0] > level ? [points[0]] : [];
    for (let i = 1; i < points.length; i++) {
      const before = heights[i - 1] - level,
        after = heights[i] - level;
      if (before > 0 !== after > 0) bounds.push(rootBetween(above, points[i - 1], before, points[i], after));
    }
    if (bounds.length % 2) bounds.push(points[points.length - 1]);
    return bounds;
  };
  const probability = (bounds) => bounds.reduce((sum, y, i) => sum + (i % 2 ? 1 : -1) * cdf(y), 0);
  const excess = (depth) => probability(at(top - depth)) - coverage;
  const bounds = at(top - rootBetween(excess, 0, -coverage, DEPTH, 1 - coverage)),
    intervals = [];
  for (let i = 0; i < bounds.length; i += 2) intervals.push([bounds[i], bounds[i + 1]]);
  return intervals;
}
