"""What is fuzzed: configurations, hostile mixtures of each, hostile targets, and programs that make one of them again.

Shapes in comments: n rows, B batch, K components, E event, S targets of each row.
"""

from __future__ import annotations

import dataclasses
import itertools
import math

import numpy as np
import tensorflow as tf
import tensorflow_probability as tfp

import tfmdn
from tfmdn.layers import families

tfd = tfp.distributions

POSITIVE = [name for name, family in families.FAMILIES.items() if family.is_positive]
BATCHES = {"rows": lambda n: (n,), "a plane": lambda n: (n // 4, 4), "rows of one": lambda n: (n, 1)}
COARSE = {
    # low, high, grid: a is an atom, m a mirror, - nothing
    "an atom": "a--",
    "two atoms": "aa-",
    "an upper atom and a mirror": "ma-",
    "a grid": "--g",
    "stars": "aag",
    "counts": "a-g",
    "a grid between mirrors": "mmg",
}
# Of the programs that show a finding.
IMPORTS = (
    "import numpy as np, tfmdn, tensorflow as tf, tensorflow_probability as tfp; "
    "tfd, inf, nan = tfp.distributions, np.inf, np.nan"
)


@dataclasses.dataclass(frozen=True)
class Configuration:
    """A kind of mixtures. `limits` are "", "l", "h" or "lh"; `coarse` is "" or one of `COARSE`."""

    family: str
    covariance: str
    event_shape: tuple[int, ...]
    dtype: str
    limits: str = ""
    coarse: str = ""

    def __str__(self):
        event = "x".join(map(str, self.event_shape)) or "scalar"
        parts = [self.family, self.covariance, event, self.dtype, self.limits and f"limits-{self.limits}", self.coarse]
        return "/".join(part.replace(" ", "-") for part in parts if part)

    @property
    def size(self) -> int:
        return math.prod(self.event_shape)

    @property
    def is_independent(self) -> bool:
        return self.covariance != "full"

    @property
    def epsilon(self) -> float:
        return float(np.finfo(self.dtype).eps)


def configurations() -> list[Configuration]:
    """Every family with every covariance, event, dtype, with limits and without, and what is coarse."""
    events, found = ((), (1,), (3,)), []
    for dtype in ("float32", "float64"):
        for family in families.FAMILIES:
            found += [Configuration(family, "diag", event, dtype) for event in events]
            found.append(Configuration(family, "spherical", (2,), dtype))
        found += [Configuration("normal", "full", event, dtype) for event in ((1,), (2,), (4,))]
        for limits in ("l", "h", "lh"):
            found += [Configuration("normal", "diag", event, dtype, limits) for event in events]
            found += [Configuration("normal", "full", event, dtype, limits) for event in ((1,), (2,))]
        for coarse, event in itertools.product(COARSE, ((), (2,))):
            found.append(Configuration("normal", "diag", event, dtype, coarse=coarse))
    return found


@dataclasses.dataclass
class Case:
    """Mixtures of one configuration: `logits` `[n, K]` and `parameters` `[n, K, *E]` as NumPy arrays in float64.

    All numbers can be written in the dtype of the configuration. `unit` `[n, *E]` is about how large targets are.
    """

    configuration: Configuration
    batch: str
    logits: np.ndarray
    parameters: dict[str, np.ndarray]
    unit: np.ndarray
    num_merged: int = 1

    def mixture(self) -> tfmdn.Mixture:
        shape = BATCHES[self.batch](len(self.logits))
        parts = np.split(np.arange(self.logits.shape[1]), self.num_merged)
        mixtures = [
            mixture_of(
                self.configuration,
                self.logits[:, part].reshape(*shape, len(part)),
                {key: value[:, part].reshape(*shape, len(part), *value.shape[2:]) for key, value in self.items()},
            )
            for part in parts
        ]
        return mixtures[0] if self.num_merged == 1 else tfmdn.merge(mixtures)

    def items(self):
        return self.parameters.items()

    def log_weights(self) -> np.ndarray:
        parts = np.split(self.logits, self.num_merged, -1)
        return np.concatenate([_log_softmax(part) for part in parts], -1) - math.log(self.num_merged)

    def rows(self, index) -> Case:
        """Some of the rows, as a case of rows."""
        parameters = {key: value[index] for key, value in self.items()}
        return Case(self.configuration, "rows", self.logits[index], parameters, self.unit[index], self.num_merged)

    def program(self, row: int, question: str) -> str:
        """Three lines that ask a question about one row again."""
        own = self.rows(slice(row, row + 1))
        dtype = self.configuration.dtype
        kind = {key: _literal(value[0], dtype) for key, value in own.items()}
        arguments = ", ".join(f"{key}={value}" for key, value in kind.items())
        components = f"{_name(self.configuration)}({arguments})"
        if self.configuration.event_shape and _is_scalar_kind(self.configuration):
            components = f"tfd.Independent({components}, 1)"
        logits = _literal(own.log_weights()[0], dtype)
        return f"{IMPORTS}\nm = tfmdn.Mixture(tfd.Categorical(logits={logits}), {components})\n{question}"


def _literal(value, dtype) -> str:
    return f"np.array({np.asarray(value, dtype).tolist()}, '{dtype}')"


def _log_softmax(logits):
    shifted = logits - logits.max(-1, keepdims=True)
    return shifted - np.log(np.exp(shifted).sum(-1, keepdims=True))


def _is_scalar_kind(configuration) -> bool:
    return configuration.is_independent and (configuration.family != "normal" or bool(_ends(configuration)))


def _ends(configuration) -> str:
    return configuration.limits or configuration.coarse


def _name(configuration) -> str:
    vector = bool(configuration.event_shape)
    if configuration.coarse:
        return "tfmdn.distributions.CoarsenedNormal"
    if configuration.limits:
        return f"tfmdn.distributions.Reflected{'MultivariateN' if not configuration.is_independent else 'N'}ormal"
    if not configuration.is_independent:
        return "tfd.MultivariateNormalTriL"
    if configuration.family == "normal":
        return "tfd.MultivariateNormalDiag" if vector else "tfd.Normal"
    kind = families.FAMILIES[configuration.family].distribution
    return f"tfmdn.layers.families.FAMILIES['{configuration.family}'].distribution" if kind else ""


def mixture_of(configuration: Configuration, logits: np.ndarray, parameters: dict[str, np.ndarray]) -> tfmdn.Mixture:
    """Of arrays `[*B, K, ...]`."""
    name = _name(configuration)
    kind = families.FAMILIES[configuration.family].distribution
    if name.startswith("tfmdn.distributions"):
        kind = getattr(tfmdn.distributions, name.rpartition(".")[2])
    elif name.startswith("tfd"):
        kind = getattr(tfd, name.rpartition(".")[2])
    tensors = {key: tf.constant(value, configuration.dtype) for key, value in parameters.items()}
    components = kind(**tensors)
    if configuration.event_shape and _is_scalar_kind(configuration):
        components = tfd.Independent(components, 1)
    return tfmdn.Mixture(tfd.Categorical(logits=tf.constant(logits, configuration.dtype)), components)


# Hostile mixtures


def draw(configuration: Configuration, rng: np.random.Generator, num_rows: int, variant: int) -> Case:
    """Mixtures of 4 components, in each row in other units and in another kind of trouble."""
    shape = (num_rows, 4, *configuration.event_shape)
    parameters, unit = _locations_and_scales(configuration, rng, shape)
    if configuration.family == "student_t":
        parameters["df"] = 2.1 + 10.0 ** rng.uniform(-2, 4, shape)
    if configuration.limits:
        parameters |= _limits(rng, parameters, unit, configuration.limits)
    if configuration.coarse:
        parameters |= _coarseness(rng, parameters, unit, COARSE[configuration.coarse])
    if configuration.covariance == "spherical":
        parameters["scale"] = np.broadcast_to(parameters["scale"][..., :1], shape)
    if not configuration.is_independent:
        parameters["scale_tril"] = _factor(rng, parameters.pop("scale"))
    elif _name(configuration) == "tfd.MultivariateNormalDiag":
        parameters["scale_diag"] = parameters.pop("scale")
    rounded = {key: _rounded(value, configuration.dtype) for key, value in parameters.items()}
    names = list(BATCHES)
    batch, num_merged = names[variant % len(names)], 1 + (variant // len(names)) % 2
    return Case(configuration, batch, _rounded(_logits(rng, shape[:2]), configuration.dtype), rounded, unit, num_merged)


def _rounded(value, dtype):
    return np.asarray(value, dtype).astype(np.float64)


def _one_of(rng, choices, shape):
    """For each row one of several values, `[n, 1, ...]`."""
    return rng.choice(np.array(choices, np.float64), (shape[0], *[1] * (len(shape) - 1)))


def _locations_and_scales(configuration, rng, shape):
    row = (shape[0], *[1] * (len(shape) - 1))
    steep = rng.normal(size=shape)
    near = rng.random(row) < 0.1  # nearly equal components
    if configuration.family == "von_mises":
        scale = 10.0 ** np.where(rng.random(row) < 0.2, rng.uniform(-5, 1, shape), rng.uniform(-2, 0.7, shape))
        loc = steep * _one_of(rng, (0.0, 1.0, 3.0, 10.0), shape)
        return {"loc": loc, "scale": scale}, np.ones((shape[0], *shape[2:]))
    exponent = np.where(rng.random(row) < 0.7, rng.uniform(-3, 3, row), rng.uniform(-29, 29, row))
    unit = 10.0**exponent * 10.0 ** (rng.uniform(-1, 1, (shape[0], 1, *shape[2:])) * (len(shape) > 2))
    if configuration.family in POSITIVE:
        ceiling = 0.7 if configuration.family == "lognormal" else 1.0
        scale = 10.0 ** np.clip(rng.uniform(-2, 1, shape) - _one_of(rng, (0, 1, 3), shape), -5, ceiling)
        loc = np.log(unit) + steep * _one_of(rng, (0.0, 0.1, 1.0, 5.0), shape)
        scale, loc = (np.where(near, value[:, :1] + 1e-6 * value, value) for value in (scale, loc))
        return {"loc": loc, "scale": scale}, unit[:, 0]
    scale = 10.0 ** (rng.uniform(-1, 1, shape) * _one_of(rng, (0, 1, 3), shape))
    loc = steep * _one_of(rng, (0, 1, 3, 30, 1e4), shape)
    scale, loc = (np.where(near, value[:, :1] * (1.0 + 1e-6 * steep), value) for value in (scale, loc))
    far = np.where(rng.random(row) < 0.2, 10.0 ** rng.uniform(0, -0.5 * math.log10(configuration.epsilon), row), 0.0)
    return {"loc": unit * (loc + far), "scale": unit * scale}, unit[:, 0]


def _logits(rng, shape):
    logits = rng.normal(size=shape) * _one_of(rng, (0.0, 1.0, 10.0, 100.0, 1e4), shape)
    impossible = (rng.random(shape) < 0.4) & (rng.random((shape[0], 1)) < 0.25)
    impossible[:, ::2] = False  # in each half, which may be merged, there is one that is possible
    return np.where(impossible, -math.inf, logits)


def _limits(rng, parameters, unit, sides):
    """Limits near the components and far from them, which some centres lie beyond. All components share them."""
    loc, scale = parameters["loc"], parameters["scale"]
    centre, spread = loc[:, :1], scale[:, 1:2]
    row = (len(loc), *[1] * (loc.ndim - 1))
    distance = spread * 10.0 ** rng.uniform(-2, 2, row)
    low = np.where(rng.random(row) < 0.2, 0.0, centre - distance * rng.uniform(-0.2, 1.0, row))
    width = np.maximum(distance * 10.0 ** rng.uniform(-1.5, 1.5, row), 1e-4 * np.abs(low))
    high = low + width
    everywhere = np.ones_like(loc)
    return {
        "low": np.where("l" in sides, low, -math.inf) * everywhere,
        "high": np.where("h" in sides, high, math.inf) * everywhere,
    }


def _coarseness(rng, parameters, unit, ends):
    """Limits as above, at values of the grid where there is one; in some rows one component stays beyond the limits."""
    shape, row = parameters["loc"].shape, (len(unit), *[1] * (parameters["loc"].ndim - 1))
    limits = _limits(rng, parameters, unit, "lh")
    step = 2.0 ** np.floor(np.log2(parameters["scale"][:, 1:2] * 10.0 ** rng.uniform(-1.0, 0.7, row)))
    everywhere = np.ones(shape)
    if "g" in ends:
        limits["low"] = step * np.round(limits["low"] / step)
        limits["high"] = limits["low"] + step * np.maximum(np.round((limits["high"] - limits["low"]) / step), 2.0)
    # In some rows the last component is a background, which goes on beyond the limits.
    is_last = (np.arange(shape[1]) == 3).reshape(-1, *[1] * (len(shape) - 2))
    found = {"is_moved": np.where(is_last & (rng.random(row) < 0.3), 0.0, everywhere)}
    for name, end, infinite in (("low", ends[0], -math.inf), ("high", ends[1], math.inf)):
        found[name] = np.where(end == "a", limits[name], infinite) * everywhere
        if "m" in ends:
            found[f"mirror_{name}"] = np.where(end == "m", limits[name], infinite) * everywhere
    if "g" in ends:
        found |= {"resolution": step * everywhere, "origin": 0.0 * everywhere}
    return found


def _factor(rng, scale):
    """Lower triangular factors of correlations up to nearly 1."""
    size = scale.shape[-1]
    slope = rng.normal(size=(*scale.shape, size)) * _one_of(rng, (0.0, 0.5, 3.0, 30.0), (*scale.shape, size))
    return scale[..., np.newaxis] * (np.tril(slope, -1) + np.eye(size))
