"""How much each kind of members counts."""

import numpy as np
import pytest
import scipy.optimize
import scipy.special
import scipy.stats

from tfmdn.ensembles import stacking

RNG = np.random.default_rng(0)
SHARES = [0.6, 0.4]
CENTRES, SCALES = np.array([-1.0, 2.0]), np.array([1.0, 0.5])


def log_probs(num_rows):
    """Densities of targets that were drawn from a mixture, by each of its components."""
    kinds = RNG.choice(2, num_rows, p=SHARES)
    y = RNG.normal(CENTRES[kinds], SCALES[kinds])
    return scipy.stats.norm.logpdf(y[:, np.newaxis], CENTRES, SCALES)


def test_the_weights_of_the_mixture_that_targets_were_drawn_from():
    found = stacking.kind_weights(log_probs(20_000), np.ones(20_000))
    np.testing.assert_allclose(found, SHARES, atol=0.02)


def test_the_maximum_is_scipy_s(monkeypatch):
    monkeypatch.setattr(stacking, "PRIOR_ROWS", 0.0)
    three, weights = np.c_[log_probs(300), RNG.normal(-2.0, 1.0, 300)], RNG.uniform(0.0, 2.0, 300)

    def loss(logits):
        return -weights @ scipy.special.logsumexp(three + scipy.special.log_softmax(logits), axis=1)

    expected = scipy.special.softmax(scipy.optimize.minimize(loss, np.zeros(3)).x)
    np.testing.assert_allclose(stacking.kind_weights(three, weights), expected, atol=1e-3)


def test_weights_count_as_repetitions():
    rows, counts = log_probs(40), RNG.integers(0, 3, 40)
    repeated = stacking.kind_weights(np.repeat(rows, counts, axis=0), np.ones(counts.sum()))
    # Rows of unequal weights tell less than as many equal ones, and so leave the prior a little more.
    np.testing.assert_allclose(stacking.kind_weights(rows, counts * 1.0), repeated, atol=0.02)


@pytest.mark.parametrize(("gap", "expected"), [(0.0, 0.5), (3.0, 1.0), (-3.0, 0.0)])
def test_a_kind_that_hardly_counts_is_left_out(gap, expected):
    common = RNG.normal(size=100)
    found = stacking.kind_weights(np.stack([common + gap, common], axis=1), np.ones(100))
    assert found[0] == pytest.approx(expected, abs=1e-6)
    assert found.sum() == pytest.approx(1.0)


def test_few_rows_hardly_move_the_weights():
    found = stacking.kind_weights(np.array([[3.0, 0.0]]), np.ones(1))
    assert 0.5 < found[0] < 0.7
