"""What the first and the later fits of an `MDNRegressor` cost in one process: CPU seconds, and memory that stays.

    python benchmarks/fits.py                # 300 rows, the defaults, max_steps=100
    python benchmarks/fits.py --fits 21      # how memory grows

Each fit has other rows, one row more than the fit before, and another seed.
"""

import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import argparse
import pathlib
import time

import numpy as np

import tfmdn


def resident_mb() -> float:
    """The memory of this process (Linux), in MB."""
    pages = int(pathlib.Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=300)
    parser.add_argument("--features", type=int, default=1)
    parser.add_argument("--max-steps", type=int, default=100)
    parser.add_argument("--fits", type=int, default=3)
    options = parser.parse_args()
    for number in range(options.fits):
        rng = np.random.default_rng(number)
        x = rng.normal(size=(options.rows + number, options.features))
        y = x[:, 0] + rng.normal(size=len(x))
        start = time.process_time()
        regressor = tfmdn.MDNRegressor(max_steps=options.max_steps, random_state=number).fit(x, y)
        fitted = time.process_time()
        regressor.predict(x)
        predicted = time.process_time()
        print(
            f"fit {number + 1}: {fitted - start:.2f} CPU s, predict {predicted - fitted:.2f} CPU s, "
            f"{resident_mb():.0f} MB"
        )


if __name__ == "__main__":
    main()
