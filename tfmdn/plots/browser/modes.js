// The peaks of a mixture of normals, which are climbed to from the centre of each component.

const MOST_STEPS = 400;

/** From each centre uphill: Newton's step where it leads higher, else the mean shift, which always does. */
export function climb(mixture, start) {
  let y = start,
    height = mixture.logDensity(y);
  for (let step = 0; step < MOST_STEPS; step++) {
    const { slope, curvature, shifted } = mixture.around(y);
    const newton = curvature < 0 ? y - slope / curvature : NaN;
    const heightThere = mixture.logDensity(newton);
    const next = heightThere >= height ? newton : shifted;
    const moved = Math.abs(next - y);
    height = next === newton ? heightThere : mixture.logDensity(next);
    y = next;
    if (!(moved > 1e-13 * (1 + Math.abs(y)))) break;
  }
  return y;
}

/** The peaks, from the highest down: `[{y, density}, ...]`. */
export function modes(mixture) {
  const found = [];
  const narrowest = Math.min(...mixture.counted.map((k) => mixture.scales[k]));
  for (const k of mixture.counted) {
    const y = climb(mixture, mixture.locs[k]);
    if (found.every((peak) => Math.abs(peak.y - y) > 1e-4 * narrowest)) found.push({ y, density: mixture.density(y) });
  }
  return found.sort((a, b) => b.density - a.density);
}
