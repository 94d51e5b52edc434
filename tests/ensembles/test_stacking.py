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


def test_kinds_that_disagree_are_too_broad_together():
    """Each is right about the half of a target that it knows of; both together are known to be off by less."""
    known = RNG.normal(size=(2, 20_000, 1))
    y = known.sum(0) + RNG.normal(size=(20_000, 1))
    of_kinds = [lambda factor, own=own: scipy.stats.norm.logpdf(y, own, factor * np.sqrt(2.0)) for own in known]
    everyone, ones, shares = np.ones((20_000, 1), bool), np.ones(20_000), np.array([0.7, 0.3])
    for one in of_kinds:
        assert stacking.common_factor([one], np.ones(1), everyone, ones) == pytest.approx(1.0, abs=0.02)

    def loss(factor):
        by_kind = [np.log(share) + one(factor) for share, one in zip(shares, of_kinds)]
        return -scipy.special.logsumexp(by_kind, axis=0).mean()

    expected = scipy.optimize.minimize_scalar(loss, bounds=(0.5, 2.0), method="bounded").x
    found = stacking.common_factor(of_kinds, shares, everyone, ones)
    assert found == pytest.approx(expected, abs=0.01)
    assert found < 0.95
