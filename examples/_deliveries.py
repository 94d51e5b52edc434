"""Made-up deliveries: a table of numbers, text and dates with gaps, and targets whose density is known."""

from __future__ import annotations

import numpy as np
import pandas as pd

CITIES = ["Bern", "Graz", "Lyon", "Oslo", "Riga", "Turin"]
NOISE = 0.1
MINUTES_OF_A_TOUR = 180.0


def made_up(seed: int, num_rows: int) -> tuple[pd.DataFrame, np.ndarray]:
    """Deliveries, and how many minutes each took: one that missed its tour waits for the next."""
    rng = np.random.default_rng(seed)
    weight = rng.lognormal(0.0, 0.7, num_rows)
    minutes = rng.integers(0, 365 * 24 * 60, num_rows).astype("timedelta64[m]")
    frame = pd.DataFrame(
        {
            "distance": rng.gamma(2.0, 4.0, num_rows),
            "weight": np.where(rng.uniform(size=num_rows) < 0.1, np.nan, weight),
            "city": rng.choice(CITIES, num_rows),
            "ordered": np.datetime64("2025-01-01T00:00", "us") + minutes,
        }
    )
    is_late = rng.uniform(size=num_rows) < _prob_late(frame)
    typical = _on_time(frame) + MINUTES_OF_A_TOUR * is_late
    return frame, typical * np.exp(NOISE * rng.normal(size=num_rows))


def log_density(frame: pd.DataFrame, minutes: np.ndarray) -> np.ndarray:
    """The logarithm of the density that the minutes are drawn from, `[n]`: no model can do better on average."""
    typical = _on_time(frame)[:, np.newaxis] + [0.0, MINUTES_OF_A_TOUR]
    prob = _prob_late(frame)[:, np.newaxis]
    errors = (np.log(minutes)[:, np.newaxis] - np.log(typical)) / NOISE
    log_normal = -0.5 * errors**2 - np.log(NOISE * np.sqrt(2.0 * np.pi) * minutes)[:, np.newaxis]
    return np.logaddexp.reduce(log_normal + np.log(np.concatenate([1.0 - prob, prob], axis=1)), axis=1)


def _prob_late(frame: pd.DataFrame) -> np.ndarray:
    return np.where(frame["city"] == "Riga", 0.4, 0.1)


def _on_time(frame: pd.DataFrame) -> np.ndarray:
    evening = frame["ordered"].dt.hour >= 17
    # What nobody has weighed weighs 1 kg.
    return (10.0 + 3.0 * frame["distance"] + 2.0 * frame["weight"].fillna(1.0) + 20.0 * evening).to_numpy()
