"""Where components start: on the clusters of the targets, else spread over a standard normal."""

import numpy as np
import pytest
import scipy.stats

from tfmdn.layers import starts


def rng():
    return np.random.default_rng(7)


def blobs(centres, rows=200, width=0.02, seed=0):
    """Rows around each centre `[K, D]`, in random order."""
    noise = np.random.default_rng(seed)
    centres = np.asarray(centres, float)
    rows = np.concatenate([centre + width * noise.normal(size=(rows, centres.shape[1])) for centre in centres])
    return noise.permutation(rows)


BLOBS = {
    "1-D": [[-1.5], [-0.7], [0.2], [0.6], [1.4]],
    "2-D": [[-1.0, -1.0], [-0.9, 1.2], [0.3, 0.0], [1.0, -1.0], [1.3, 0.9]],
    "3-D": [[-1.0, 0.0, 0.0], [0.0, 1.0, -1.0], [1.0, 0.0, 1.0]],
}


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("name", BLOBS)
def test_centres_are_those_of_separate_blobs(name, seed):
    centres = np.array(BLOBS[name])
    start = starts.clusters(blobs(centres, seed=seed), len(centres), np.random.default_rng(seed))
    np.testing.assert_allclose(start.centres, centres, atol=0.01)  # both in the order of the first coordinate
    np.testing.assert_allclose(start.weights, np.full(len(centres), 1 / len(centres)), rtol=1e-9)
    distances = np.linalg.norm(centres[:, None] - centres, axis=-1) + 1e9 * np.eye(len(centres))
    np.testing.assert_allclose(start.scales, np.minimum(distances.min(1), 1.0), atol=0.02)


def test_weights_are_halfway_between_the_shares_and_equal_ones():
    rows = np.concatenate([blobs([[-1.0]], 900), blobs([[1.0]], 100)])
    np.testing.assert_allclose(starts.clusters(rows, 2, rng()).weights, [0.7, 0.3])


@pytest.mark.parametrize("num_components", [1, 2, 5, 20, 60])
@pytest.mark.parametrize("size", [1, 2, 5])
@pytest.mark.parametrize("kind", ["normal", "skewed", "ties", "near ties", "as many rows"])
def test_every_start_is_a_start(kind, size, num_components):
    noise = np.random.default_rng(1)
    rows = {
        "normal": noise.normal(size=(300, size)),
        "skewed": noise.lognormal(0.0, 2.0, (300, size)),
        "ties": np.where(noise.random((300, 1)) < 0.8, 0.0, noise.normal(size=(300, size))),
        "near ties": np.concatenate([np.zeros((200, size)), np.full((50, size), 1e-9), noise.normal(size=(50, size))]),
        "as many rows": noise.normal(size=(num_components, size)),
    }[kind]
    for start in (starts.clusters(rows, num_components, rng()), starts.spread(num_components, size)):
        assert start.centres.shape == (num_components, size)
        assert start.scales.shape == start.weights.shape == (num_components,)
        assert np.all(np.isfinite(start.centres))
        assert start.weights.sum() == pytest.approx(1.0)
        assert start.weights.min() >= 0.5 / num_components
        assert np.all((start.scales > 0.0) & (start.scales <= 1.0))


def test_one_component_starts_at_the_mean():
    rows = blobs(BLOBS["2-D"])
    start = starts.clusters(rows, 1, rng())
    np.testing.assert_allclose(start.centres, rows.mean(0, keepdims=True))
    np.testing.assert_array_equal([start.scales, start.weights], [[1.0], [1.0]])


def test_as_many_components_as_rows_start_on_the_rows():
    rows = np.random.default_rng(0).normal(size=(12, 2))
    start = starts.clusters(rows, 12, rng())
    np.testing.assert_allclose(start.centres, rows[np.argsort(rows[:, 0])])


@pytest.mark.parametrize(
    "rows",
    [
        np.zeros((50, 1)),
        np.tile([[0.0], [1.0]], (25, 1)),
        np.random.default_rng(0).normal(size=(3, 1)),
        np.repeat([[0.0], [1e-200], [1.0], [2.0]], 5, 0),  # their squares underflow
        np.repeat([[1.0], [1.0 + 1e-12], [2.0], [3.0]], 5, 0),  # no float32 tells them apart
    ],
    ids=["constant", "two values", "three rows", "underflow", "rounding"],
)
def test_fewer_distinct_rows_than_components_start_spread(rows):
    start, spread = starts.clusters(rows, 4, rng()), starts.spread(4, 1)
    np.testing.assert_array_equal(start.centres, spread.centres)
    np.testing.assert_array_equal(start.scales, spread.scales)
    np.testing.assert_array_equal(start.weights, np.full(4, 0.25))


def test_the_same_seed_is_the_same_start():
    rows = np.random.default_rng(0).normal(size=(500, 2))
    first, second = (starts.clusters(rows, 8, rng()) for _ in range(2))
    for name in ("centres", "scales", "weights"):
        np.testing.assert_array_equal(getattr(first, name), getattr(second, name))


def test_clusters_are_better_than_any_random_rows():
    """k-means++ and Lloyd's iterations: the rows are nearer to the centres than to the best of many random choices."""
    rows = blobs(np.random.default_rng(3).normal(size=(10, 2)), 50)

    def cost(centres):
        return np.min(np.square(rows[:, None] - centres).sum(-1), 1).mean()

    random = [cost(rng().permutation(rows)[:10])] + [
        cost(np.random.default_rng(seed).permutation(rows)[:10]) for seed in range(100)
    ]
    assert cost(starts.clusters(rows, 10, rng()).centres) < min(random)


@pytest.mark.parametrize("size", [1, 2, 5])
def test_the_spread_start_covers_a_standard_normal(size):
    centres = starts.spread(1000, size).centres
    np.testing.assert_allclose(centres.mean(0), np.zeros(size), atol=1e-12)
    for column in centres.T:
        assert scipy.stats.kstest(column, "norm").statistic < 0.03
    np.testing.assert_allclose(np.cov(centres.T).reshape(size, size), np.eye(size), atol=0.1)
