"""Checks of what an `MDNLayer` outputs, for hostile inputs and in hostile units, and of weights of any size.

Shapes in comments: n rows, K components, E event, F features.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterator

import fuzz_checks
import keras
import numpy as np
import tensorflow as tf
from fuzz_cases import COARSE, POSITIVE, Case
from fuzz_checks import Comparison, Fuzzed

import tfmdn
from tfmdn.distributions import tensors

NUM_FEATURES = 3


def layers(fuzzed: Fuzzed) -> Iterator[Comparison]:
    """The mixtures of an adapted layer beside those of the parameters that it says they have."""
    configuration, rng = fuzzed.configuration, fuzzed.rng
    is_free = configuration.family not in (*POSITIVE, "von_mises")
    unit = 10.0 ** rng.uniform(-21, 26) if is_free else 1.0
    low, step = _low_and_step(configuration)
    y = unit * (low + np.abs(rng.normal(size=(200, *configuration.event_shape))) + 0.1)
    y = np.round(y / (unit * step)) * unit * step if "resolution" in fuzzed.case.parameters else y
    keras.utils.set_random_seed(int(rng.integers(1 << 30)))
    layer = tfmdn.MDNLayer(
        4,
        configuration.event_shape,
        family=configuration.family,
        covariance=configuration.covariance,
        kernel_initializer="he_normal",
        dtype=configuration.dtype,
        **_ends(configuration, unit, low, step),
    )
    layer.adapt(y)
    x = rng.normal(size=(fuzzed.num_rows, NUM_FEATURES)) * rng.choice([0.0, 1.0, 100.0], (fuzzed.num_rows, 1))
    x[0], x[1] = math.nan, min(1e30, 1e30 / unit)  # in the units of the target, too, within float32
    mixture = layer(tf.constant(x, configuration.dtype))
    logits = np.asarray(mixture.mixture_distribution.logits_parameter(), np.float64)
    parameters = tensors.parameters(mixture.components_distribution)
    parameters = {key: np.asarray(value, np.float64) for key, value in parameters.items()}
    # The rows that are none, as a case of their own: of the layer's own mixture, and of no other.
    number = fuzzed.num_rows - 2
    own = Case(configuration, "rows", logits, parameters, np.full((fuzzed.num_rows, *configuration.event_shape), unit))
    own = Fuzzed(own.rows(slice(2, None)), rng, 4)
    own.mixture = mixture[2:]
    for comparison in fuzz_checks.probabilities(own):
        yield dataclasses.replace(comparison, check=f"layer: {comparison.check}", case=own.case)
    at = tf.constant(y[: fuzzed.num_rows], configuration.dtype)
    log_prob = np.asarray(mixture.log_prob(at))
    answers = np.isnan(log_prob[:2]) * 1.0
    # As a case of the layer's own mixture: the row of 1e30 can be asked again, and that of NaN has parameters of NaN.
    ends = Case(
        configuration, "rows", logits[:2], {key: value[:2] for key, value in parameters.items()}, own.case.unit[:2]
    )
    target = y[:2]
    yield Comparison(
        "layer: NaN, 1e30",
        answers,
        np.array([1.0, 0.0]),
        0.0,
        0,
        lambda index: f"np.isnan(m.log_prob({fuzz_checks.literal(target[index[0]], configuration.dtype)}))",
        ends,
    )
    yield from _weights(own, y[:number].reshape(number, *configuration.event_shape))


def _low_and_step(configuration) -> tuple[float, float]:
    return (2.0 if configuration.limits or configuration.coarse else 0.0), 0.25


def _ends(configuration, unit: float, low: float, step: float) -> dict:
    """The arguments of the layer."""
    if not (configuration.limits or configuration.coarse):
        return {}
    letters = COARSE.get(configuration.coarse, "")
    has_low = "l" in configuration.limits or letters[:1] in ("a", "m")
    has_high = "h" in configuration.limits or letters[1:2] in ("a", "m")
    support = (unit * low if has_low else None, unit * (low + 8.0) if has_high else None)
    arguments = {"support": support} if has_low or has_high else {}
    if "a" in letters and "g" not in letters:
        arguments["atoms"] = (letters[0] == "a", letters[1] == "a")
    if "g" in letters:
        arguments["resolution"] = unit * step
    return arguments


def _weights(fuzzed: Fuzzed, y: np.ndarray) -> Iterator[Comparison]:
    """Weighted means are the same for weights of any scale, rows of weight 0 may hold anything, none is negative."""
    y = np.array(y)
    y[0] = math.nan
    at, n = fuzzed.shaped(y), len(y)
    weights = np.where(np.arange(n) == 0, 0.0, 1.0 + np.arange(n) % 3)
    for metric in (tfmdn.metrics.NegativeLogLikelihood, tfmdn.metrics.CRPS):
        if metric is tfmdn.metrics.CRPS and not fuzzed.configuration.is_independent:
            continue
        answers = []
        for scale in (1.0, 1e-300, 1e300):
            own = metric()
            own.update_state(at, fuzzed.mixture, sample_weight=scale * weights)
            answers.append(float(own.result()))
        name, answers = f"weights of {metric.__name__}", np.array(answers)
        tolerance = 1e-5 * np.abs(answers[0]) + 1e-30
        yield Comparison(
            name, answers, np.full(3, answers[0]), tolerance, 0, lambda index: "'weights of 1e-300, 1e300'"
        )
        try:
            metric().update_state(at, fuzzed.mixture, sample_weight=-1.0 * weights)
        except ValueError:
            accepted = 0.0
        else:
            accepted = 1.0
        yield Comparison(f"{name} < 0", np.array([accepted]), np.zeros(1), 0.0, 0, lambda index: "'negative weights'")
