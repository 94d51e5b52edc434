"""Time and memory of the CRPS of many rows of large mixtures, each in a process of its own.

    python benchmarks/ranked.py [--rows 10000] [case ...]

Shapes in comments: B rows, K components.
"""

from __future__ import annotations

import argparse
import resource
import subprocess
import sys
import time

import numpy as np

# Members and components: of the default MDNRegressor, each with its background, and of one head.
SIZES = {"ten members": (10, 13), "one head": (1, 20)}
KINDS = ("normal", "limits", "atoms", "grid", "student_t", "gamma")
CASES = [f"{kind}, {size}" for kind in KINDS for size in SIZES]


def mixture_of(kind: str, size: str, num_rows: int):
    """Targets `[B]` and a mixture in float64, as regressors are: much the same in each member."""
    import tensorflow as tf
    import tensorflow_probability as tfp

    import tfmdn
    from tfmdn.layers import families

    tfd = tfp.distributions
    rng, (members, count) = np.random.default_rng(0), SIZES[size]
    shape = num_rows, members, count
    centre = 0.5 + 0.8 * np.abs(rng.normal(size=(num_rows, 1, 1)))
    loc = np.abs(centre + 0.15 * rng.normal(size=(num_rows, members, 1)) + 0.4 * rng.normal(size=shape))
    scale = np.exp(0.5 * rng.normal(size=shape) - 1.5)
    logits = 1.5 * rng.normal(size=shape)
    # The background.
    loc[..., -1], scale[..., -1], logits[..., -1] = 1.1, 1.5, np.log(0.003 * np.exp(logits[..., :-1]).sum(-1))
    is_limited = np.ones(shape)
    is_limited[..., -1] = 0.0
    loc, scale, logits, is_limited = (tf.constant(v.reshape(num_rows, -1)) for v in (loc, scale, logits, is_limited))
    zero = tf.zeros_like(loc)
    build = {
        "normal": lambda: tfd.Normal(loc, scale),
        "limits": lambda: tfmdn.distributions.ReflectedNormal(
            loc, scale, tf.where(is_limited > 0, zero, -np.inf), zero + np.inf
        ),
        "atoms": lambda: tfmdn.distributions.CoarsenedNormal(loc, scale, zero, zero + np.inf, is_limited),
        "grid": lambda: tfmdn.distributions.CoarsenedNormal(loc, scale, zero, zero + np.inf, is_limited, zero + 0.1),
        "student_t": lambda: families.FAMILIES["student_t"].distribution(zero + 4.0, loc, scale),
        "gamma": lambda: families.FAMILIES["gamma"].distribution(tf.math.log(loc + 0.1), scale),
    }
    y = np.abs(centre[:, 0, 0] + 0.3 * rng.normal(size=num_rows))
    return y, tfmdn.Mixture(tfd.Categorical(logits=logits), build[kind]())


def measure(case: str, num_rows: int) -> str:
    """A row of a table: seconds and processor seconds of a second call, and by how much the first raised the peak."""
    import tfmdn

    y, mixture = mixture_of(*case.split(", "), num_rows)
    tfmdn.crps(*mixture_of(*case.split(", "), 100))
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    tfmdn.crps(y, mixture)
    memory = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
    wall, cpu = time.perf_counter(), time.process_time()
    tfmdn.crps(y, mixture)
    return f"| {case} | {time.perf_counter() - wall:.2f} | {time.process_time() - cpu:.2f} | {memory:.0f} |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("cases", nargs="*", default=CASES, help=f"of {CASES}")
    parser.add_argument("--rows", type=int, default=10_000)
    parser.add_argument("--here", action="store_true", help="in this process")
    arguments = parser.parse_args()
    if arguments.here:
        print(measure(arguments.cases[0], arguments.rows), flush=True)
        return
    print("| components | s | processor s | MB more |\n|---|---|---|---|", flush=True)
    for case in arguments.cases:
        subprocess.run([sys.executable, __file__, "--here", "--rows", str(arguments.rows), case], check=True)


if __name__ == "__main__":
    main()
