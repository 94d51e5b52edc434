// The standard normal distribution, to the last digits in both tails.

const SQRT_PI = Math.sqrt(Math.PI);

/** The complementary error function of x >= 0. */
function erfcOfPositive(x) {
  if (x > 27) return 0;
  const gauss = Math.exp(-x * x);
  if (x < 2.5) {
    let term = x,
      sum = x;
    for (let n = 1; n < 200 && term > 1e-17 * sum; n++) {
      term *= (2 * x * x) / (2 * n + 1);
      sum += term;
    }
    return 1 - (2 / SQRT_PI) * gauss * sum;
  }
  let fraction = x;
  for (let n = 60; n > 0; n--) fraction = x + n / 2 / fraction;
  return gauss / SQRT_PI / fraction;
}

/** P(Z <= z). */
export function normalCdf(z) {
  const tail = 0.5 * erfcOfPositive(Math.abs(z) * Math.SQRT1_2);
  return z < 0 ? tail : 1 - tail;
}
