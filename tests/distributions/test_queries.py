"""What else can be asked of a Mixture: its parts, marginals, conditionals, modes and regions."""

import numpy as np
import pytest
import scipy.integrate
import scipy.optimize
import scipy.special
import scipy.stats
import tensorflow as tf
import tensorflow_probability as tfp
from cases import COMPONENTS, DISTRIBUTIONS, SCALAR_COMPONENTS, SciPyMixture, case_name, mixture_of
from sklearn.mixture import BayesianGaussianMixture, GaussianMixture

import tfmdn
from tfmdn.distributions import tensors
from tfmdn.layers import families

POSITIVE = [name for name, family in families.FAMILIES.items() if family.is_positive]
tfd = tfp.distributions
every_kind = pytest.mark.parametrize("case", COMPONENTS, ids=case_name)
every_scalar_kind = pytest.mark.parametrize("case", SCALAR_COMPONENTS, ids=case_name)
every_vector_kind = pytest.mark.parametrize("case", [case for case in COMPONENTS if case[2] == (3,)], ids=case_name)
every_normal_vector = pytest.mark.parametrize(
    "case", [case for case in COMPONENTS if case[0] == "normal" and case[2] == (3,)], ids=case_name
)


def normals(logits, loc, scale, **kwargs):
    return tfmdn.Mixture(tfd.Categorical(logits=np.float64(logits)), tfd.Normal(np.float64(loc), scale), **kwargs)


def by_scipy(truth, row, axes, y, each=False):
    """The log density `[n]` of the coordinates `axes` of vectors, at `y` `[n, len(axes)]`, or each component's part."""
    log_probs = []
    for k in range(truth.logits.shape[-1]):
        if "scale_tril" in truth.parameters:
            rows = truth.parameters["scale_tril"][row, k][axes]
            normal = scipy.stats.multivariate_normal(truth.parameters["loc"][row, k][axes], rows @ rows.T)
            log_probs.append(normal.logpdf(y))
        else:
            log_probs.append(sum(truth.univariate((row, k, axis)).logpdf(y[..., i]) for i, axis in enumerate(axes)))
    log_weights = scipy.special.log_softmax(truth.logits[row])
    parts = np.stack([np.reshape(log_prob, len(y)) for log_prob in log_probs], -1) + log_weights
    return parts if each else scipy.special.logsumexp(parts, -1)


# One component


@pytest.mark.covering(1)
@every_kind
def test_a_component_is_the_one_of_its_number(case):
    mixture = mixture_of(case, dtype="float64")
    truth, y = SciPyMixture(case, mixture), mixture.sample(seed=0)
    heaviest = mixture.most_likely_component()
    for k in (0, 2, -1):
        component = mixture.component(k)
        assert component.batch_shape == (5,)
        expected = [truth.component_log_prob(row, k, np.asarray(y)[row]) for row in range(5)]
        np.testing.assert_allclose(component.log_prob(y), expected, rtol=1e-9)
    assert heaviest.batch_shape == (5,)
    best = np.argmax(truth.logits, -1)
    expected = [truth.component_log_prob(row, best[row], np.asarray(y)[row]) for row in range(5)]
    np.testing.assert_allclose(heaviest.log_prob(y), expected, rtol=1e-9)


def test_components_shared_by_all_rows():
    mixture = normals([[0.0, 1.0], [1.0, 0.0], [3.0, 2.0]], [-1.0, 1.0], 0.5)
    np.testing.assert_array_equal(mixture.component(1).mean(), [1.0, 1.0, 1.0])
    np.testing.assert_array_equal(mixture.most_likely_component().mean(), [1.0, -1.0, -1.0])
    weights_shared = normals([0.0, 1.0], [[-1.0, 1.0], [-2.0, 2.0]], 0.5)
    np.testing.assert_array_equal(weights_shared.component(-2).mean(), [-1.0, -2.0])
    np.testing.assert_array_equal(weights_shared.most_likely_component().mean(), [1.0, 2.0])
    assert normals([0.0, 1.0], [-1.0, 1.0], 0.5).most_likely_component().batch_shape == ()


@pytest.mark.parametrize("k", [2, -3, 0.0, None, True])
def test_no_such_component(k):
    with pytest.raises(ValueError, match=r"`k` must be an integer from -2 to 1. Received: k="):
        normals([0.0, 1.0], [-1.0, 1.0], 0.5).component(k)


# Marginals and conditionals

AXES = [0, -1, [1], [2, 0], [-1, 1], (0, 1, 2), np.array([2, 1, 0])]


@pytest.mark.covering(1)
@every_vector_kind
def test_marginal_density_by_scipy(case):
    mixture = mixture_of(case, batch_shape=(2,), dtype="float64")
    truth, draws = SciPyMixture(case, mixture), np.asarray(mixture.sample(3, seed=0))
    for axes in AXES:
        marginal = mixture.marginal(axes)
        assert isinstance(marginal, tfmdn.Mixture)
        assert marginal.event_shape == np.shape(axes)
        columns = np.atleast_1d(axes)
        expected = np.stack([by_scipy(truth, row, columns, draws[:, row][:, columns]) for row in range(2)], -1)
        np.testing.assert_allclose(marginal.log_prob(draws[..., axes]), expected, rtol=1e-8)


@pytest.mark.covering(1)
@every_vector_kind
def test_conditional_density_is_the_ratio_of_densities(case):
    mixture = mixture_of(case, batch_shape=(2,), dtype="float64")
    truth, draws = SciPyMixture(case, mixture), np.asarray(mixture.sample(4, seed=0))
    for axes in AXES[:5]:
        columns = np.atleast_1d(axes) % 3
        others = np.delete(np.arange(3), columns)
        conditional = mixture.condition(axes, draws[..., axes])
        assert isinstance(conditional, tfmdn.Mixture)
        assert conditional.batch_shape == (4, 2)
        assert conditional.event_shape == (len(others),)
        ratios = [
            truth.log_prob(row, draws[:, row]) - by_scipy(truth, row, columns, draws[:, row][:, columns])
            for row in range(2)
        ]
        expected, y = np.stack(ratios, -1), draws[..., others]
        np.testing.assert_allclose(conditional.log_prob(y), expected, rtol=1e-7, atol=1e-9)
        single = tf.cast(mixture, tf.float32).condition(axes, draws[..., axes])
        assert single.dtype == tf.float32
        np.testing.assert_allclose(single.log_prob(y), expected, rtol=2e-4, atol=2e-4)


@pytest.mark.covering(1)
@pytest.mark.parametrize("unit", [1e-3, 1.0, 1e4])
@every_normal_vector
def test_conditional_density_by_quadrature(case, unit):
    pair = mixture_of(case, batch_shape=(1,), dtype="float64")[0].marginal([0, 2])
    values = tensors.parameters(pair.components_distribution)
    pair = tensors.rebuild(
        pair, {"logits": pair.mixture_distribution.logits, **{key: unit * v for key, v in values.items()}}
    )
    for axis, known, unknown in [(0, 0.0, 0.5), (0, 1.0, -1.0), (1, 0.5, 0.0), (1, -2.0, 1.0)]:
        assert_ratio_by_quadrature(pair, axis, unit * known, unit * unknown)


def assert_ratio_by_quadrature(pair, axis, known, unknown):
    """Of a mixture of pairs: p(unknown | known) is the joint density, divided by its integral over the unknown."""
    centres, scales = (
        np.asarray(part)[:, 1 - axis]
        for part in (pair.components_distribution.mean(), pair.components_distribution.stddev())
    )
    # The trapezoidal rule is exact for smooth functions that vanish at both ends, as soon as it resolves them.
    y = np.linspace(np.min(centres - 12 * scales), np.max(centres + 12 * scales), 40_001)
    points = np.stack(np.broadcast_arrays(*((known, y) if axis == 0 else (y, known))), -1)
    total = scipy.integrate.trapezoid(np.asarray(pair.prob(points)), y)
    joint = float(pair.prob([known, unknown] if axis == 0 else [unknown, known]))
    assert float(pair.condition(axis, known).marginal(0).prob(unknown)) == pytest.approx(joint / total, rel=1e-7)


@pytest.mark.covering(1)
@pytest.mark.parametrize("distance", [1e2, 1e4, 1e8, 1e30])
@every_normal_vector
def test_condition_far_from_all_centres(case, distance):
    """There the weights are those of the component whose tail is the heaviest, and everything has a gradient."""
    mixture = mixture_of(case, batch_shape=(2,))
    values = tf.fill([2, 2], tf.constant(distance))
    with tf.GradientTape() as tape:
        tape.watch(values)
        conditional = mixture.condition([0, 2], values)
        answer = conditional.mean()
    weights = np.asarray(conditional.mixture_distribution.probs_parameter())
    np.testing.assert_allclose(weights.sum(-1), 1.0, rtol=1e-6)
    assert np.isfinite(answer).all()
    assert np.isfinite(tape.gradient(answer, values)).all()
    if distance <= 1e8:
        truth = SciPyMixture(case, tf.cast(mixture, tf.float64))
        for row in range(2):
            point = np.full((1, 2), distance)
            heaviest = np.argmax(by_scipy(truth, row, [0, 2], point, each=True)[0])
            assert weights[row, heaviest] == pytest.approx(1.0, abs=0.02)


def test_condition_keeps_the_digits_of_floats():
    scale_tril = np.array([[1.0, 0.0], [0.5, 1e-3]])
    joint = tfmdn.Mixture(tfd.Categorical(logits=np.zeros(1)), tfd.MultivariateNormalTriL(np.zeros((1, 2)), scale_tril))
    for value in (-2.4, [-2.4, 0.1], np.float64(-2.4), np.float32(1.5), 3, np.int64(3)):
        expected = 0.5 * np.asarray(value, np.float64)
        np.testing.assert_allclose(joint.condition(0, value).mean()[..., 0], expected, rtol=1e-14)


def test_condition_of_strongly_correlated_coordinates_in_float32():
    for correlation in (0.9, 0.9999, 0.9999999):
        spread = np.sqrt(1 - correlation**2)
        components = tfd.MultivariateNormalTriL(np.zeros((1, 2), "f4"), np.float32([[1.0, 0.0], [correlation, spread]]))
        conditional = tfmdn.Mixture(tfd.Categorical(logits=[0.0]), components).condition(1, 0.5).marginal(0)
        assert float(conditional.mean()) == pytest.approx(0.5 * correlation, rel=1e-6)
        assert float(conditional.stddev()) == pytest.approx(spread, rel=1e-4)


@every_normal_vector
def test_gradients_of_the_condition_are_those_of_finite_differences(case):
    mixture = mixture_of(case, batch_shape=(2,), num_components=2, dtype="float64")
    parameters = tensors.parameters(mixture.components_distribution)
    parameters |= {"logits": mixture.mixture_distribution.logits, "values": tf.constant([[0.3], [-0.4]], tf.float64)}

    def ask(logits, values, **parameters):
        conditional = tensors.rebuild(mixture, {"logits": logits, **parameters}).condition([1], values)
        return tf.reduce_sum(conditional.log_prob([0.1, 0.7]) + tf.reduce_sum(conditional.mean(), -1))

    rng = np.random.default_rng(0)
    for name, value in parameters.items():
        with tf.GradientTape() as tape:
            tape.watch(value)
            answer = ask(**{**parameters, name: value})
        direction = rng.normal(size=value.shape) * (np.abs(value) > 0)  # a triangle stays one
        high, low = (ask(**{**parameters, name: value + step * direction}) for step in (1e-6, -1e-6))
        slope = np.sum(tape.gradient(answer, value) * direction)
        assert slope == pytest.approx(float(high - low) / 2e-6, rel=1e-5, abs=1e-7), name


@pytest.mark.covering(1)
@pytest.mark.parametrize(
    ("values_shape", "batch_shape", "expected"),
    [
        ((), (), ()),
        ((7,), (), (7,)),
        ((7, 5), (5,), (7, 5)),
        ((), (5,), (5,)),
        ((1,), (5,), (5,)),
        ((4, 1), (5,), (4, 5)),
        ((2, 1), (3,), (2, 3)),
    ],
    ids=str,
)
@pytest.mark.parametrize("covariance", ["diag", "full"])
def test_values_broadcast(covariance, values_shape, batch_shape, expected):
    case = ("normal", covariance, (3,))
    mixture = mixture_of(case, batch_shape or (1,), dtype="float64")
    mixture = mixture if batch_shape else mixture[0]
    values = np.random.default_rng(0).normal(size=values_shape)
    conditional = mixture.condition(1, values)
    assert conditional.batch_shape == expected
    full = mixture.condition([1], np.broadcast_to(values, expected)[..., np.newaxis])
    y = conditional.sample(seed=0)
    assert y.shape == (*expected, 2)
    np.testing.assert_allclose(full.log_prob(y), conditional.log_prob(y), rtol=1e-10)
    if expected:
        np.testing.assert_allclose(conditional[0].log_prob(y[0]), conditional.log_prob(y)[0], rtol=1e-10)


OTHER_NORMALS = {
    "no location": lambda: tfd.MultivariateNormalDiag(scale_diag=np.float64([[1, 2, 3], [2, -1, 1]])),
    "no scale": lambda: tfd.MultivariateNormalDiag(loc=np.float64([[1, 2, 3], [2, 1, 1]])),
    "shared factor": lambda: tfd.MultivariateNormalTriL(
        np.float64([[1, 2, 3], [2, 1, 1]]), np.float64([[1, 0, 0], [2, -1, 0], [0, 1, 1]])
    ),
    "covariance matrix": lambda: tfd.MultivariateNormalFullCovariance(
        np.float64([[1, 2, 3], [2, 1, 1]]), np.float64([[2, 1, 0], [1, 2, 1], [0, 1, 2]])
    ),
    "low rank": lambda: tfd.MultivariateNormalDiagPlusLowRank(
        np.float64([[1, 2, 3], [2, 1, 1]]), np.float64([1, 2, 3]), scale_perturb_factor=np.float64([[1], [2], [1]])
    ),
}


@pytest.mark.parametrize("build", OTHER_NORMALS.values(), ids=OTHER_NORMALS)
def test_normals_that_the_layer_does_not_make(build):
    """Their mean and covariance matrix say it all."""
    components = build()
    mixture = tfmdn.Mixture(tfd.Categorical(probs=np.float64([0.3, 0.7])), components)
    loc, covariance = np.broadcast_to(components.mean(), (2, 3)), np.broadcast_to(components.covariance(), (2, 3, 3))
    y, given, axes, others = np.array([0.5, -0.2]), np.array([1.5]), [2], [1, 0]
    joint, known = (
        scipy.special.logsumexp(
            [scipy.stats.multivariate_normal(m[i], c[np.ix_(i, i)]).logpdf(at) for m, c in zip(loc, covariance)],
            b=[0.3, 0.7],
        )
        for i, at in ((axes + others, np.concatenate([given, y])), (axes, given))
    )
    conditional = mixture.condition(axes, given)
    assert float(conditional.log_prob(y[::-1].copy())) == pytest.approx(joint - known, rel=1e-9)
    assert float(mixture.marginal(axes + others).log_prob(np.concatenate([given, y]))) == pytest.approx(joint, rel=1e-9)


def test_parts_keep_what_the_mixture_stands_for():
    pairs = tfd.MultivariateNormalDiag(np.zeros((2, 2)), np.ones((2, 2)))
    mixture = tfmdn.Mixture(tfd.Categorical(logits=np.zeros(2)), pairs, convert_to_tensor="mode", member_sizes=(1, 1))
    for part in (mixture.marginal(0), mixture.marginal([1]), mixture.condition(0, 0.5)):
        assert part.parameters["convert_to_tensor"] == "mode"
        assert part.member_sizes == (1, 1)


@every_normal_vector
def test_a_row_of_nan_is_nan_and_leaves_the_others_alone(case):
    mixture = mixture_of(case, batch_shape=(3,))
    values = np.float32([0.0, np.nan, 1.0])
    conditional, without = mixture.condition(0, values), mixture.condition(0, [0.0, 0.0, 1.0])
    np.testing.assert_array_equal(np.isnan(conditional.mean()).all(-1), [False, True, False])
    np.testing.assert_array_equal(conditional.mean()[::2], without.mean()[::2])
    broken = {
        key: value * tf.reshape(values + 1.0, [3] + [1] * (value.shape.rank - 1))
        for key, value in tensors.parameters(mixture.components_distribution).items()
    }
    broken = tensors.rebuild(mixture, {"logits": mixture.mixture_distribution.logits, **broken})
    np.testing.assert_array_equal(np.isnan(broken.marginal([2, 0]).stddev()).all(-1), [False, True, False])


def vectors(size=3):
    return tfmdn.Mixture(
        tfd.Categorical(logits=np.zeros((5, 2))), tfd.MultivariateNormalDiag(np.zeros((5, 2, size)), np.ones(size))
    )


REFUSED = {
    "marginal of a scalar": (lambda: normals([0.0], [0.0], 1.0).marginal(0), r"vector event. Received: .* shape \(\)"),
    "too large": (lambda: vectors().marginal(3), "`axes` must be an integer from -3 to 2. Received: axes=3"),
    "too small": (lambda: vectors().marginal([0, -4]), "`axes` must be an integer from -3 to 2. Received: axes=-4"),
    "no number": (lambda: vectors().marginal("x"), "`axes` must be an integer from -3 to 2. Received: axes='x'"),
    "twice": (lambda: vectors().marginal([0, -3]), r"list of different integers. Received: axes=\[0, -3\]"),
    "none": (lambda: vectors().marginal([]), r"list of different integers. Received: axes=\[\]"),
    "nothing left": (lambda: vectors().condition([2, 0, 1], np.zeros(3)), "must leave at least one of the 3 axes"),
    "too few values": (
        lambda: vectors().condition([0, 1, 2][:2], np.zeros((5, 3))),
        r"`values` must have one value for each.*Received: values of shape \(5, 3\) for 2 axes",
    ),
    "other rows": (lambda: vectors().condition(0, np.zeros(4)), r"broadcast with the batch shape \(5,\)"),
}


@pytest.mark.parametrize(("ask", "message"), REFUSED.values(), ids=REFUSED)
def test_bad_axes_and_values(ask, message):
    with pytest.raises(ValueError, match=message):
        ask()


def test_coordinates_that_are_not_known():
    mixture = tfmdn.Mixture(tfd.Categorical(logits=[0.0, 0.0]), tfd.Dirichlet([[1.0, 2.0], [3.0, 4.0]]))
    for ask in (lambda: mixture.marginal(0), lambda: mixture.marginal([0]), lambda: mixture.condition(0, 0.5)):
        with pytest.raises(NotImplementedError, match="coordinates of Dirichlet"):
            ask()


# Modes


def grid_of(truth, row, count):
    """Increasing points that resolve a scalar density, out to where there is nothing left of it."""
    low, high, bends = truth.span(row)
    if truth.family == "lognormal":
        return np.geomspace(low, high, count)
    near = np.linspace(bends.min() - np.ptp(bends), bends.max() + np.ptp(bends), count)
    far = np.geomspace(1e-3, 1.0, count // 10)
    return np.unique(np.concatenate([near, near[0] + far * (low - near[0]), near[-1] + far * (high - near[-1])]))


def peaks_by_grid(truth, row):
    """Log density and place of all local maxima of a scalar density, from the highest down."""
    grid = grid_of(truth, row, 10_001)
    height = truth.log_prob(row, grid)
    peaks = []
    for top in np.flatnonzero((height[1:-1] > height[:-2]) & (height[1:-1] >= height[2:])) + 1:
        peak = scipy.optimize.minimize_scalar(
            lambda y: -truth.log_prob(row, np.array([y]))[0],
            bounds=grid[[top - 1, top + 1]],
            method="bounded",
            options={"xatol": 1e-9},
        )
        peaks.append((-peak.fun, peak.x))
    return np.array(sorted(peaks, reverse=True))


@pytest.mark.by_default("laplace-diag-scalar", "lognormal-diag-scalar")
@every_scalar_kind
def test_modes_are_the_peaks_of_a_fine_grid(case):
    mixture = mixture_of(case, num_components=6, dtype="float64")
    modes, truth = tf.function(lambda: mixture.modes(6))(), SciPyMixture(case, mixture)
    assert modes.points.shape == modes.log_prob.shape == (6, 5)
    for row in range(5):
        peaks = peaks_by_grid(truth, row)
        np.testing.assert_allclose(modes.log_prob[: len(peaks), row], peaks[:, 0], atol=1e-6)
        scale = np.min(mixture.components_distribution.stddev()[row])
        np.testing.assert_allclose(modes.points[: len(peaks), row], peaks[:, 1], atol=1e-2 * scale)
        assert np.isnan(modes.points[len(peaks) :, row]).all()
        assert np.isneginf(modes.log_prob[len(peaks) :, row]).all()
    np.testing.assert_allclose(modes.points[0], mixture.mode(), rtol=1e-6)


def test_the_number_of_modes_is_the_length_of_the_answer():
    mixture = normals([0.0, 1.0, 2.0], [-4.0, 0.0, 4.0], 1.0)
    for max_modes in (1, 2, 3, 5):
        points, log_prob = mixture.modes(max_modes)
        np.testing.assert_allclose(points, [4.0, 0.0, -4.0, np.nan, np.nan][:max_modes], atol=0.01)
        assert log_prob.shape == (max_modes,)


@pytest.mark.by_default("normal-full-3", "laplace-diag-3", "lognormal-diag-3")
@pytest.mark.parametrize("case", [case for case in DISTRIBUTIONS if case[2]], ids=case_name)
def test_modes_of_vectors_are_local_maxima(case):
    mixture = mixture_of(case, batch_shape=(3,), num_components=4)
    points, log_prob = map(np.asarray, tf.function(lambda: mixture.modes(4))())
    assert points.shape == (4, 3, 3)
    np.testing.assert_allclose(points[0], mixture.mode(), rtol=1e-5, atol=1e-5)
    exists = np.isfinite(log_prob)
    assert exists[0].all()
    assert np.all(log_prob[1:] <= log_prob[:-1])
    np.testing.assert_array_equal(np.isfinite(points).all(-1), exists)
    narrowest = np.min(mixture.components_distribution.stddev(), 1)  # [B, E]
    for size in (0.01,) if case[0] == "laplace" else (0.03, 0.1):  # a Laplace's peak can be that small
        steps = size * narrowest * np.random.default_rng(0).normal(size=(200, 1, 3, 3)).astype("float32")
        assert np.all(mixture.log_prob(points + steps).numpy()[:, exists] <= log_prob[exists] + 1e-4)


@pytest.mark.parametrize("covariance", ["diag", "full"])
def test_modes_of_components_apart_are_their_centres(covariance):
    rng = np.random.default_rng(0)
    loc = 100.0 * np.array([[0, 0], [0, 1], [1, 0], [1, 1]])
    tril = np.array([[1.0, 0.0], [0.7 if covariance == "full" else 0.0, 0.5]])
    components = tfd.MultivariateNormalTriL(np.concatenate([loc, loc + 0.01]), tril)  # each of them twice
    weights = rng.permutation([0.1, 0.2, 0.3, 0.4])
    mixture = tfmdn.Mixture(tfd.Categorical(probs=np.concatenate([weights, weights]) / 2), components)
    modes = mixture.modes(8)
    np.testing.assert_allclose(modes.points[:4], loc[np.argsort(-weights)], atol=0.02)
    np.testing.assert_allclose(np.exp(modes.log_prob[:4]), np.sort(weights)[::-1] / np.pi, rtol=1e-3)
    assert np.isnan(modes.points[4:]).all()


@pytest.mark.by_default("0.0-1-float64", "1.9-1-float32", "2.05-2-float32", "3.0-2-float64")
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(("distance", "count"), [(0.0, 1), (1.0, 1), (1.9, 1), (1.99, 1), (2.05, 2), (3.0, 2)])
def test_two_equal_normals_have_two_modes_if_more_than_two_scales_apart(distance, count, dtype):
    logits, loc = np.zeros(2, dtype), np.array([-distance / 2, distance / 2], dtype)
    mixture = tfmdn.Mixture(tfd.Categorical(logits=logits), tfd.Normal(loc, np.array(1.0, dtype)))
    assert np.isfinite(mixture.modes(2).points).sum() == count


def test_a_valley_and_a_narrow_peak_on_the_slope_of_a_wide_one():
    # The third component's centre is the lowest point between the others: a climb from there does not move.
    saddle = normals([0.0, 0.0, -8.0], [-2.0, 2.0, 0.0], 1.0).modes(3)
    np.testing.assert_allclose(np.sort(saddle.points), [-1.99856, 1.99856, np.nan], atol=1e-4)
    spike = normals([0.0, -12.0, -np.inf], [0.0, 2.0, 1e6], [1.0, 1e-6, 1.0]).modes(3)
    np.testing.assert_allclose(spike.points, [2.0, 0.0, np.nan], atol=1e-5)


@pytest.mark.parametrize("max_modes", [0, -1, 1.5, None])
def test_bad_number_of_modes(max_modes):
    with pytest.raises(ValueError, match=r"`max_modes` must be a positive integer. Received: max_modes="):
        normals([0.0], [0.0], 1.0).modes(max_modes)


# Intervals and regions


@pytest.mark.covering(1)
@every_kind
def test_as_much_probability_lies_below_an_interval_as_above(case):
    mixture = mixture_of(case, dtype="float64")
    for coverage in (0.1, 0.9, 0.999):
        interval = mixture.interval(coverage)
        assert interval.shape == (5, *case[2], 2)
        np.testing.assert_allclose(mixture.cdf(interval[..., 0]), 0.5 - 0.5 * coverage, rtol=1e-6)
        np.testing.assert_allclose(mixture.survival_function(interval[..., 1]), 0.5 - 0.5 * coverage, rtol=1e-6)


def test_interval_and_region_of_one_normal_by_scipy():
    normal, scale = scipy.stats.norm(3.0, 2.0), tf.constant(2.0, tf.float64)
    with tf.GradientTape() as tape:
        tape.watch(scale)
        interval = normals([0.0], [3.0], scale).interval()
        width = interval[1] - interval[0]
    np.testing.assert_allclose(interval, normal.interval(0.9), rtol=1e-9)
    assert float(tape.gradient(width, scale)) == pytest.approx(2 * scipy.stats.norm.ppf(0.95), rel=1e-9)
    for coverage in (1e-3, 0.9, 1 - 1e-6):
        region = normals([0.0], [3.0], 2.0).highest_density_region(coverage)
        np.testing.assert_allclose(region, [normal.interval(coverage)], rtol=1e-5)


def region_by_grid(truth, row, coverage):
    """The intervals of highest density of a scalar, by the definition."""
    grid = grid_of(truth, row, 20_001)
    density, probability = truth.log_prob(row, (grid[1:] + grid[:-1]) / 2), np.diff(truth.cdf(row, grid))
    order = np.argsort(-density)
    is_inside = np.zeros(len(density), bool)
    is_inside[order[: np.searchsorted(np.cumsum(probability[order]), coverage) + 1]] = True
    return grid[np.flatnonzero(np.diff(np.concatenate([[0], is_inside, [0]])))].reshape(-1, 2)


@pytest.mark.by_default("laplace-diag-scalar", "lognormal-diag-scalar")
@every_scalar_kind
def test_regions_are_those_of_a_fine_grid(case):
    mixture = mixture_of(case, batch_shape=(3,), num_components=6, dtype="float64")
    truth = SciPyMixture(case, mixture)
    for coverage in (0.5, 0.9):
        regions = np.asarray(mixture.highest_density_region(coverage))
        assert regions.shape == (6, 3, 2)
        for row in range(3):
            expected = region_by_grid(truth, row, coverage)
            region, absent = np.split(regions[:, row], [len(expected)])
            assert np.isnan(absent).all()
            np.testing.assert_allclose(region, expected, atol=1e-2 * np.ptp(expected))
            assert np.sum(np.diff(truth.cdf(row, region.ravel()))[::2]) == pytest.approx(coverage, abs=1e-6)
            level = truth.log_prob(row, region.ravel())
            np.testing.assert_allclose(level, level[0], atol=2e-5)
            assert np.sum(np.diff(region)) <= np.diff(mixture.interval(coverage)[row])[0] * (1 + 1e-6)
    single = np.asarray(tf.cast(mixture, tf.float32).highest_density_region(0.9))
    assert single.dtype == np.float32
    for row in range(3):
        ends = single[~np.isnan(single[:, row, 0]), row].ravel()
        assert np.sum(np.diff(truth.cdf(row, ends))[::2]) == pytest.approx(0.9, abs=2e-5)


@pytest.mark.covering(1)
@pytest.mark.parametrize("coverage", [1e-5, 1e-3, 1 - 1e-9])
@every_scalar_kind
def test_regions_in_float32_are_as_good_as_in_float64(case, coverage):
    mixture = mixture_of(case, batch_shape=(3,))
    expected = tf.cast(mixture, tf.float64).highest_density_region(coverage)
    np.testing.assert_allclose(mixture.highest_density_region(coverage), expected, rtol=1e-6)


def test_region_with_a_spike_a_gap_and_a_dead_component():
    mixture = normals([0.0, -3.0, 0.0, -np.inf], [0.0, 2.0, 1e4, -1e9], [1.0, 1e-6, 3.0, 1.0])
    truth = SciPyMixture(("normal", "diag", ()), mixture[tf.newaxis])
    region = np.asarray(mixture.highest_density_region(0.5))
    assert np.isfinite(region).all(-1).sum() == 3
    np.testing.assert_allclose(region[1], [2.0, 2.0], atol=1e-5)
    assert 9990 < region[2, 0] < region[2, 1] < 10010
    assert np.sum(np.diff(truth.cdf(0, region[:3].ravel()))[::2]) == pytest.approx(0.5, abs=1e-6)


REGIONS = {
    # family, coverage, logits, loc, scale
    "far below the centre of log y": ("lognormal", 0.5, [0.0, 0.0], [0.0, 2.0], [3.0, 1.0]),
    "down to nothing": ("gamma", 0.9, [0.0, 0.0], [0.0, 1.0], [10.0, 3.0]),
    "of a power": ("weibull", 0.9, [0.0, 1.0], [0.0, 1.0], [10.0, 0.5]),
    "of a narrow one beside a wide one": ("gumbel", 0.5, [0.0, 0.0], [0.0, 0.2], [1.0, 1e-4]),
    "of a narrow one beside long tails": ("student_t", 0.5, [0.0, 0.0], [0.0, 0.2], [1.0, 1e-4]),
    "between two centres of one height": ("logistic", 0.05, [0.0, 0.0], [0.0, 0.4], [1.2, 1.2]),
}


@pytest.mark.parametrize(("family", "coverage", "logits", "loc", "scale"), REGIONS.values(), ids=REGIONS)
def test_ends_of_regions_are_equally_high(family, coverage, logits, loc, scale):
    kind = families.FAMILIES[family].distribution
    more = {"df": np.float64([3.0, 3.0])} if family == "student_t" else {}
    components = kind(loc=np.float64(loc), scale=np.float64(scale), **more)
    mixture = tfmdn.Mixture(tfd.Categorical(logits=np.float64(logits)), components)
    ends = np.asarray(mixture.highest_density_region(coverage))
    ends = ends[np.isfinite(ends[:, 0])]
    assert np.sum(np.diff(mixture.cdf(ends), axis=-1)) == pytest.approx(coverage, abs=1e-5)
    inside = ends[ends > 0.0] if kind in (families.FAMILIES[name].distribution for name in POSITIVE) else ends
    np.testing.assert_allclose(mixture.log_prob(inside), mixture.log_prob(inside).numpy().max(), atol=1e-2)


def test_regions_of_any_batch_shape_and_of_components_that_tfmdn_does_not_have():
    for batch_shape in ((), (2, 3)):
        loc = np.random.default_rng(0).normal(size=(*batch_shape, 4))
        mixture = normals(np.zeros(4), loc, 0.3)
        regions = mixture.highest_density_region(0.8)
        assert regions.shape == (4, *batch_shape, 2)
        low, high = (np.nan_to_num(mixture.cdf(regions[..., end])) for end in (0, 1))
        np.testing.assert_allclose(np.sum(high - low, 0), 0.8, rtol=1e-6)
    gamma = tfmdn.Mixture(
        tfd.Categorical(probs=np.float64([0.3, 0.7])), tfd.Gamma(np.float64([2.0, 9.0]), np.float64([1.0, 2.0]))
    )
    (low, high), _ = np.asarray(gamma.highest_density_region(0.9))
    cdf = lambda y: 0.3 * scipy.stats.gamma(2.0).cdf(y) + 0.7 * scipy.stats.gamma(9.0, scale=0.5).cdf(y)  # noqa: E731
    assert cdf(high) - cdf(low) == pytest.approx(0.9, abs=1e-6)
    assert float(gamma.prob(low)) == pytest.approx(float(gamma.prob(high)), rel=1e-5)


def test_modes_are_the_same_alone_and_beside_slower_climbs():
    loc = np.random.default_rng(0).normal(size=(20, 4, 2))
    mixture = tfmdn.Mixture(tfd.Categorical(logits=np.zeros((20, 4))), tfd.MultivariateNormalDiag(loc, np.full(2, 0.9)))
    np.testing.assert_allclose(mixture.mode()[3:5], mixture[3:5].mode(), rtol=1e-13)


def test_a_row_of_nan_has_no_modes_and_no_region():
    mixture = normals([[0.0, 1.0], [np.nan, 0.0], [0.0, 1.0]], [-1.0, 1.0], 0.2)
    np.testing.assert_array_equal(np.isnan(mixture.modes(2).points), [[False, True, False]] * 2)
    np.testing.assert_array_equal(np.isnan(mixture.highest_density_region(0.9)).all((0, 2)), [False, True, False])


@pytest.mark.parametrize("coverage", [0.0, 1.0, -0.1, 90, None])
@pytest.mark.parametrize("question", ["interval", "highest_density_region"])
def test_bad_coverage(question, coverage):
    with pytest.raises(ValueError, match=r"`coverage` must lie between 0 and 1. Received: coverage="):
        getattr(normals([0.0], [0.0], 1.0), question)(coverage)


def test_region_of_a_vector_or_of_counts():
    with pytest.raises(ValueError, match=r"takes one coordinate.* Received: an event of shape \(3,\)"):
        vectors().highest_density_region(0.9)
    counts = tfmdn.Mixture(tfd.Categorical(logits=[0.0, 0.0]), tfd.Poisson([2.0, 9.0]))
    for ask in (counts.highest_density_region, lambda: counts.modes(2)):
        with pytest.raises(NotImplementedError, match=r"continuous components. Received: Poisson"):
            ask()


# Temperature


@every_scalar_kind
def test_graves_bias_is_a_special_case_of_temper(case):
    """Graves (2013, "Generating sequences with recurrent neural networks"), equations 61 and 62."""
    mixture = mixture_of(case, dtype="float64")
    for bias in (0.0, 0.5, 3.0, 10.0):
        biased = mixture.temper(1.0 / (1.0 + bias), np.exp(-bias))
        truth = SciPyMixture(case, mixture)
        truth.logits = (1.0 + bias) * truth.logits
        truth.parameters["scale"] = np.exp(np.log(truth.parameters["scale"]) - bias)
        y = np.asarray(biased.sample(3, seed=0))
        expected = np.stack([truth.log_prob(row, y[:, row]) for row in range(5)], -1)
        np.testing.assert_allclose(biased.log_prob(y), expected, rtol=1e-7)


@pytest.mark.covering(1)
@every_kind
def test_draws_at_the_lowest_temperatures(case):
    mixture = mixture_of(case, batch_shape=(3,))
    still = mixture.temper(1e-9, 1e-9)
    draws = still.sample(200, seed=0)
    centre = still.most_likely_component().mean()
    np.testing.assert_allclose(draws, np.broadcast_to(centre, draws.shape), atol=1e-4 * np.abs(centre).max())


# scikit-learn's mixtures

COVARIANCE_TYPES = ["full", "tied", "diag", "spherical"]


def pairs_of_ha(count=600):
    rng = np.random.default_rng(0)
    y = rng.uniform(-10.5, 10.5, count)
    return np.stack([7.0 * np.sin(0.75 * y) + 0.5 * y + rng.normal(size=count), y], -1)


def covariances_of(fitted):
    size = fitted.means_.shape[1]
    return {
        "full": lambda: fitted.covariances_,
        "tied": lambda: np.broadcast_to(fitted.covariances_, (fitted.n_components, size, size)),
        "diag": lambda: np.stack([np.diag(variances) for variances in fitted.covariances_]),
        "spherical": lambda: fitted.covariances_[:, None, None] * np.eye(size),
    }[fitted.covariance_type]()


@pytest.mark.covering(1)
@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@pytest.mark.parametrize("kind", [GaussianMixture, BayesianGaussianMixture])
@pytest.mark.parametrize("size", [1, 2])
@pytest.mark.parametrize("covariance_type", COVARIANCE_TYPES)
def test_mixtures_of_sklearn(covariance_type, size, kind):
    rows = pairs_of_ha()[:, :size]
    fitted = kind(n_components=5, covariance_type=covariance_type, random_state=0).fit(rows)
    mixture = tfmdn.Mixture.from_sklearn(fitted)
    assert mixture.dtype == tf.float64
    assert mixture.batch_shape == ()
    assert mixture.event_shape == (size,)
    log_probs = [
        scipy.stats.multivariate_normal(mean, covariance).logpdf(rows)
        for mean, covariance in zip(fitted.means_, covariances_of(fitted))
    ]
    expected = scipy.special.logsumexp(np.stack(log_probs, -1), -1, b=fitted.weights_)
    np.testing.assert_allclose(mixture.log_prob(rows), expected, rtol=1e-9)
    if kind is GaussianMixture:
        np.testing.assert_allclose(mixture.log_prob(rows), fitted.score_samples(rows), rtol=1e-9)
    single = tf.cast(mixture, tf.float32)
    np.testing.assert_allclose(single.log_prob(np.float32(rows)), expected, rtol=1e-4)


@pytest.mark.by_default("full", "tied")
@pytest.mark.parametrize("covariance_type", COVARIANCE_TYPES)
def test_both_directions_of_a_joint_mixture_by_quadrature(covariance_type):
    fitted = GaussianMixture(12, covariance_type=covariance_type, random_state=0).fit(pairs_of_ha())
    joint = tfmdn.Mixture.from_sklearn(fitted)
    for x, y in [(0.0, 4.0), (-5.0, -8.0), (3.0, 1.0)]:
        assert_ratio_by_quadrature(joint, 0, x, y)
        assert_ratio_by_quadrature(joint, 1, y, x)


def test_a_component_of_no_weight_of_sklearn():
    fitted = GaussianMixture(2, random_state=0).fit(pairs_of_ha())
    fitted.weights_ = np.array([1.0, 0.0])
    mixture = tfmdn.Mixture.from_sklearn(fitted)
    np.testing.assert_allclose(mixture.mean(), fitted.means_[0], rtol=1e-9)


def test_what_is_not_a_fitted_mixture():
    with pytest.raises(ValueError, match=r"must be fitted: call its `fit` first. Received: GaussianMixture"):
        tfmdn.Mixture.from_sklearn(GaussianMixture(3))
    with pytest.raises(TypeError, match=r"GaussianMixture or BayesianGaussianMixture of scikit-learn. Received: 3"):
        tfmdn.Mixture.from_sklearn(3)


# Every question in a graph, and under XLA

QUESTIONS = {
    "component": lambda d: d.component(-2).mean(),
    "most_likely_component": lambda d: d.most_likely_component().stddev(),
    "interval": lambda d: d.interval(0.8),
    "modes": lambda d: d.modes(2).log_prob,
}
SCALAR_QUESTIONS = {**QUESTIONS, "highest_density_region": lambda d: d.highest_density_region(0.8)}
VECTOR_QUESTIONS = {
    **QUESTIONS,
    "marginal": lambda d: d.marginal([2, 0]).log_prob([0.1, 0.2]),
    "marginal of one": lambda d: d.marginal(-1).log_prob(0.1),
    "condition": lambda d: d.condition([2, 0], [0.1, 0.2]).mean(),
}
GRAPH_CASES = [
    ("normal", "diag", ()),
    ("normal", "full", (3,)),
    ("laplace", "diag", (3,)),
]


@pytest.mark.by_default("normal-diag-scalar-graph")
@pytest.mark.parametrize("jit_compile", [False, True], ids=["graph", "xla"])
@pytest.mark.parametrize("case", GRAPH_CASES, ids=case_name)
def test_graph_and_xla_answer_as_eager_does(case, jit_compile):
    mixture = mixture_of(case, batch_shape=(3,), dtype="float64")

    def ask(mixture):
        questions = VECTOR_QUESTIONS if mixture.event_shape.rank else SCALAR_QUESTIONS
        return {name: question(mixture) for name, question in questions.items()}

    eager = ask(mixture)
    for name, answer in tf.function(ask, jit_compile=jit_compile)(mixture).items():
        np.testing.assert_allclose(answer, eager[name], rtol=1e-4, atol=1e-4, err_msg=name)


@pytest.mark.exhaustive
def test_unknown_batch_size_in_a_graph():
    @tf.function(input_signature=[tf.TensorSpec([None, 6]), tf.TensorSpec([None])])
    def answers(x, known):
        vector, scalar = head(x), scalar_head(x)
        return (
            vector.condition(1, known).marginal(0).mean(),
            vector.component(0).mean(),
            vector.most_likely_component().mean(),
            vector.modes(4).points,
            scalar.highest_density_region(0.9),
            scalar.interval(0.9),
        )

    head, scalar_head = (tfmdn.MDNLayer(3, 2, covariance="full"), tfmdn.MDNLayer(3))
    head.build((None, 6)), scalar_head.build((None, 6))
    for batch in (1, 4):
        shapes = [tuple(answer.shape) for answer in answers(tf.ones((batch, 6)), tf.zeros(batch))]
        assert shapes == [(batch,), (batch, 2), (batch, 2), (4, batch, 2), (3, batch, 2), (batch, 2)]
