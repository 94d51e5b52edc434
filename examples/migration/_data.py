"""Made-up data of the three kinds of programs, and what both sides of a pair print."""

from __future__ import annotations

import sys

import numpy as np

QUICK = "--quick" in sys.argv


def inverse_problem(rows: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """A wave, read the wrong way round: where on it is a height? `[n, 1]` and `[n, 1]`."""
    rng = np.random.default_rng(seed)
    place = rng.uniform(0.0, 1.0, rows)
    height = place + 0.3 * np.sin(2 * np.pi * place) + rng.uniform(-0.1, 0.1, rows)
    return height[:, np.newaxis].astype("float32"), place[:, np.newaxis].astype("float32")


def gestures(rows: int, seed: int, steps: int = 30) -> tuple[np.ndarray, np.ndarray]:
    """Four knobs that circle, each turning back now and then: where they are, and where they are next. `[n, T, 4]`."""
    rng = np.random.default_rng(seed)
    turns = np.cumsum(np.where(rng.uniform(size=(rows, steps + 1, 4)) < 0.1, np.pi, 0.0), 1)
    speed = 0.3 * np.cos(turns) + 0.03 * rng.normal(size=turns.shape)
    places = np.sin(rng.uniform(0, 2 * np.pi, (rows, 1, 4)) + np.cumsum(speed, 1)).astype("float32")
    return places[:, :-1], places[:, 1:]


def redshifts(rows: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Four colours of galaxies, of which two kinds look alike, and their redshifts: `[n, 4]` and `[n]`."""
    rng = np.random.default_rng(seed)
    redshift = rng.gamma(3.0, 0.25, rows)
    kind = rng.uniform(size=rows) < 0.4
    phase = np.where(kind, redshift, 1.6 - redshift)[:, np.newaxis] * [1.0, 0.7, 0.4, 0.2]
    colours = np.sin(2.0 * phase) + 0.1 * rng.normal(size=(rows, 4)) * (1.0 + redshift[:, np.newaxis])
    return colours.astype("float32"), redshift.astype("float32")


def report(nll: float) -> None:
    print(f"test NLL: {nll:.4f} nats")
