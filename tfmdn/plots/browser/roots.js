// Roots of functions of one number.

/** Where a function is 0 between values whose signs differ: false position, which halves when it is slow. */
export function rootBetween(f, a, fa, b, fb) {
  const smallest = 1e-13 * (Math.abs(a) + Math.abs(b)) + 1e-300;
  for (let step = 0, side = 0; step < 100 && Math.abs(b - a) > smallest; step++) {
    const share = Number.isFinite(fa - fb) ? fa / (fa - fb) : 0.5;
    const middle = a + Math.min(Math.max(share, 1e-3), 1 - 1e-3) * (b - a);
    const value = f(middle);
    if (value === 0) return middle;
    if (value > 0 === fa > 0) {
      ((a = middle), (fa = value));
      if (side === 1) fb /= 2; // the Illinois rule: neither end stays for long
      side = 1;
    } else {
      ((b = middle), (fb = value));
      if (side === -1) fa /= 2;
      side = -1;
    }
  }
  return 0.5 * (a + b);
}
