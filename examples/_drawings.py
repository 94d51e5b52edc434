"""Drawings for handwriting.py: signs made by code, or those of a file.

A drawing is an array `[points, 4]`: the offset (dx, dy) from the point before, whether the pen is lifted after the
point, and whether the drawing ends there. y points downwards.
"""

from __future__ import annotations

import itertools

import numpy as np


def made(count: int, seed: int) -> list[np.ndarray]:
    """Signs of six kinds, turned, stretched, slanted and drawn by an unsteady hand, some 100 units large."""
    rng = np.random.default_rng(seed)
    drawings = []
    for _ in range(count):
        strokes = [np.asarray(stroke, float) for stroke in SIGNS[rng.integers(len(SIGNS))](rng)]
        transform = 50 * (np.diag([1, -1]) + rng.normal(0, 0.12, (2, 2)))
        points = np.concatenate([stroke @ transform + rng.normal(0, 1, stroke.shape) for stroke in strokes])
        lifted = np.zeros(len(points))
        lifted[np.cumsum([len(stroke) for stroke in strokes]) - 1] = 1
        drawings.append(_drawing(np.diff(points, axis=0, prepend=[[0, 0]]), lifted))
    return drawings


def loaded(path: str, split: str, count: int, seed: int) -> list[np.ndarray]:
    """The first drawings of a file: rows (dx, dy, pen lifted) one drawing after the other, and where each begins.

    To offsets that are integers a uniform number between -1/2 and 1/2 is added.
    """
    data = np.load(path)
    rows, places = data[split], data[f"{split}_offsets"][: count + 1]
    offsets = rows[:, :2].astype(float)
    if np.issubdtype(rows.dtype, np.integer):
        offsets += np.random.default_rng(seed).uniform(-0.5, 0.5, offsets.shape)
    return [_drawing(offsets[i:j], rows[i:j, 2]) for i, j in itertools.pairwise(places)]


def _drawing(offsets: np.ndarray, lifted: np.ndarray) -> np.ndarray:
    ends = np.arange(len(offsets)) == len(offsets) - 1
    return np.column_stack([offsets, lifted, ends]).astype("float32")


def _arc(start: float, stop: float, radius_x: float = 1.0, radius_y: float = 1.0) -> np.ndarray:
    """Around the origin, the angles in full turns."""
    angle = 2 * np.pi * np.linspace(start, stop, round(10 * abs(stop - start)) + 1)
    return np.stack([radius_x * np.cos(angle), radius_y * np.sin(angle)], -1)


# Each gives the strokes of one sign, within about 1 of the origin, with y upwards.


def _ring(rng):
    """With a bar through it, upright or level."""
    start, turn = rng.random(), rng.choice([-1, 1])
    bar = [[0, -1.3], [0, 1.3]] if rng.random() < 0.5 else [[-1.3, 0], [1.3, 0]]
    return [_arc(start, start + turn, *rng.uniform(0.5, 1.1, 2)), bar]


def _ladder(rng):
    width, rungs = rng.uniform(0.3, 0.9), np.linspace(-0.8, 0.8, rng.integers(2, 6))
    return [[[side, -1], [side, 1]] for side in (-width, width)] + [[[-width, y], [width, y]] for y in rungs]


def _zigzag(rng):
    """At times with a roof."""
    x = np.linspace(-1, 1, rng.integers(4, 8))
    zigzag = np.stack([x, np.where(np.arange(len(x)) % 2, *rng.uniform(0.3, 0.9, 2) * [1, -1])], -1)
    return [zigzag, [[-1, 1.2], [1, 1.2]]] if rng.random() < 0.5 else [zigzag]


def _spiral(rng):
    spiral = _arc(start := rng.random(), start + 2.5 * rng.choice([-1, 1]))
    return [spiral * np.linspace(0.1, 1, len(spiral))[:, np.newaxis]]


def _house(rng):
    """With a door, or a round window."""
    walls = [[-1, -1], [-1, eaves := rng.uniform(0.3, 0.9)], [0, 1.3], [1, eaves], [1, -1], [-1, -1]]
    size = rng.uniform(0.2, 0.45)
    door = [[-size, -1], [-size, 0], [size, 0], [size, -1]]
    return [walls, door if rng.random() < 0.5 else _arc(0, 1, size, size)]


def _star(rng):
    angles = 2 * np.pi * (rng.random() + np.arange(rng.integers(3, 7)) / 6)
    return [[[0, 0], [np.cos(angle), np.sin(angle)]] for angle in angles]


SIGNS = (_ring, _ladder, _zigzag, _spiral, _house, _star)
