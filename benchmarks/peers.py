"""The methods of the quality benchmark: tfmdn in its default configuration, and what else estimates p(y | x).

A method is a frozen dataclass: its fields are its configuration, `fit(x, y, seed)` takes `[n, F]` and `[n, D]` in
original units and returns a function from x to a `scoring.Prediction` in original units. Packages are imported where
they are used, so that each may be missing. Shapes in comments: n rows, K components, D coordinates, S draws.
"""

from __future__ import annotations

import copy
import dataclasses
import importlib
import math
from collections.abc import Callable
from typing import ClassVar

import numpy as np
from scoring import NormalMixture, Prediction, Sampled
from sklearn.preprocessing import StandardScaler

import tfmdn
from tfmdn.distributions import tensors

Predict = Callable[[np.ndarray], Prediction]
# The distributions of TFP that are normal, and what they call their scale.
NORMAL_SCALES = {"Normal": "scale", "MultivariateNormalDiag": "scale_diag", "MultivariateNormalTriL": "scale_tril"}


@dataclasses.dataclass(frozen=True)
class Method:
    """What all methods share. `packages` are the distributions on PyPI that count, `modules` what is imported."""

    packages: ClassVar[tuple[str, ...]] = ()
    modules: ClassVar[tuple[str, ...]] = ()
    takes_coarse: ClassVar[bool] = False  # targets that are pairs, partly missing, or have values with probability

    def load(self) -> None:
        """Imports what `fit` needs, before its time is taken. An ImportError says what is missing."""
        for module in self.modules:
            importlib.import_module(module)

    def config(self) -> dict:
        return {"method": type(self).__name__, **dataclasses.asdict(self)}

    def fit(self, x: np.ndarray, y: np.ndarray, seed: int) -> Predict:
        """Scales x and y to mean 0 and standard deviation 1, as the packages' own guides ask of their users."""
        inputs, targets = StandardScaler().fit(x), StandardScaler().fit(y)
        predict = self.fit_standardized(inputs.transform(x), targets.transform(y), seed)
        return lambda x: predict(inputs.transform(x)).in_units(targets.mean_, targets.scale_)

    def fit_standardized(self, x: np.ndarray, y: np.ndarray, seed: int) -> Predict:
        raise NotImplementedError


@dataclasses.dataclass(frozen=True)
class Tfmdn(Method):
    """`tfmdn.MDNRegressor`, on the data as they are. `options` are its arguments: none is the default configuration."""

    packages = ("tfmdn", "keras", "tensorflow")
    modules = ("tfmdn.tabular.regressor",)
    takes_coarse = True
    options: dict = dataclasses.field(default_factory=dict)

    def config(self):
        # The defaults too: cells of another default configuration are other cells.
        return {**super().config(), "params": self._estimator().get_params()}

    def _estimator(self, **kwargs):
        return tfmdn.MDNRegressor(**self.options, **kwargs)

    def fit(self, x, y, seed):
        estimator = self.fit_estimator(x, y, seed)
        return lambda x: prediction_of(estimator.predict_dist(x), seed)

    def fit_estimator(self, x: np.ndarray, y: np.ndarray, seed: int, **arguments) -> tfmdn.MDNRegressor:
        return self._estimator(random_state=seed, **arguments).fit(x, y[:, 0] if y.shape[1] == 1 else y)


def prediction_of(mixture, seed: int = 0) -> Prediction:
    """The parameters of a `tfmdn.Mixture` of normal components; of others, as those with limits, density and draws."""
    kind = mixture.components_distribution
    scale_name = NORMAL_SCALES.get(type(tensors.plain(kind)).__name__)
    shape = mixture.shape
    if scale_name is None:
        return Sampled(
            lambda y: mixture.log_prob(y.reshape(shape)).numpy(),
            lambda count: mixture.sample(count, seed=seed).numpy().reshape(count, shape[0], -1),
        )
    values = tensors.parameters(kind)
    logits, loc, scale = mixture.mixture_distribution.logits_parameter(), values["loc"], values[scale_name]
    if mixture.event_shape.rank == 0:
        loc, scale = loc[..., np.newaxis], scale[..., np.newaxis]
    return NormalMixture.of(np.broadcast_to(logits, loc.shape[:2]), loc, scale)


@dataclasses.dataclass(frozen=True)
class DeepEnsemble(Method):
    """Networks of one hidden layer that predict mean and variance, mixed (Lakshminarayanan et al. 2017)."""

    packages = ("keras", "tensorflow")
    modules = ("keras",)
    members: int = 5
    hidden: int = 50
    hidden_large: int = 100
    large: int = 20_000
    epochs: int = 40
    batch_size: int = 100
    learning_rate: float = 0.01

    def fit_standardized(self, x, y, seed):
        members = [self._member(x, y, self.members * seed + member) for member in range(self.members)]

        def predict(x):
            outputs = np.stack([member(np.float32(x)) for member in members], 1)
            loc, raw = np.split(np.float64(outputs), 2, -1)  # [n, members, D]
            return NormalMixture.of(np.zeros(loc.shape[:2]), loc, np.sqrt(np.logaddexp(0.0, raw) + 1e-6))

        return predict

    def _member(self, x, y, seed):
        import keras

        def loss(y, outputs):
            mean, raw = keras.ops.split(outputs, 2, -1)
            variance = keras.ops.softplus(raw) + 1e-6
            return 0.5 * keras.ops.sum(keras.ops.log(variance) + keras.ops.square(y - mean) / variance, -1)

        keras.utils.set_random_seed(seed)
        units = self.hidden if len(x) < self.large else self.hidden_large
        network = keras.Sequential([keras.layers.Dense(units, "relu"), keras.layers.Dense(2 * y.shape[1])])
        network.compile(keras.optimizers.Adam(self.learning_rate), loss, steps_per_execution=10)
        network.fit(x, y, batch_size=self.batch_size, epochs=self.epochs, verbose=0)
        return network


@dataclasses.dataclass(frozen=True)
class JointMixture(Method):
    """scikit-learn's GaussianMixture of x and y together, conditioned on x. BIC chooses the number of components."""

    packages = ("scikit-learn",)
    modules = ("sklearn.mixture",)
    num_components: tuple[int, ...] = (1, 2, 3, 5, 8, 12, 18, 27, 40)

    def fit_standardized(self, x, y, seed):
        from sklearn.mixture import GaussianMixture

        rows = np.concatenate([x, y], 1)
        counts = [k for k in self.num_components if k <= max(1, len(rows) // 10)]
        joints = [GaussianMixture(k, random_state=seed).fit(rows) for k in counts]
        joint = min(joints, key=lambda joint: joint.bic(rows))
        return lambda x: condition(joint, x)


def condition(joint, x: np.ndarray) -> Prediction:
    """p(y | x) for rows x `[n, F]` of scikit-learn's joint mixture of (x, y)."""
    return prediction_of(tfmdn.Mixture.from_sklearn(joint).condition(list(range(x.shape[1])), x))


@dataclasses.dataclass(frozen=True)
class NGBoost(Method):
    """NGBRegressor in its default configuration; for a vector target with NGBoost's multivariate normal."""

    packages = ("ngboost", "scikit-learn")
    modules = ("ngboost",)
    n_estimators: int = 500
    learning_rate: float = 0.01

    def fit_standardized(self, x, y, seed):
        from ngboost import NGBRegressor
        from ngboost.distns import MultivariateNormal, Normal

        size = y.shape[1]
        model = NGBRegressor(
            Dist=Normal if size == 1 else MultivariateNormal(size),
            n_estimators=self.n_estimators,
            learning_rate=self.learning_rate,
            random_state=seed,
            verbose=False,
        ).fit(x, y[:, 0] if size == 1 else y)

        def predict(x):
            distribution = model.pred_dist(x)
            loc = np.reshape(distribution.loc, (-1, 1, size))
            scale = distribution.scale[:, None, None] if size == 1 else np.linalg.cholesky(distribution.cov)[:, None]
            return NormalMixture.of(np.zeros(loc.shape[:2]), loc, scale)

        return predict


@dataclasses.dataclass(frozen=True)
class KerasMDNLayer(Method):
    """The network of keras-mdn-layer's README, trained for as many epochs as its examples.

    They watch held-out rows and do not stop. With `patience` training stops that many epochs after the best one.
    """

    packages = ("keras-mdn-layer", "keras", "tensorflow")
    modules = ("keras_mdn_layer",)
    hidden: int = 15
    num_components: int = 5
    batch_size: int = 128
    epochs: int = 500
    max_steps: int = 30_000
    patience: int | None = None
    held_out: float = 0.15

    def fit_standardized(self, x, y, seed):
        import keras
        import keras_mdn_layer

        keras.utils.set_random_seed(seed)
        size, k = y.shape[1], self.num_components
        model = keras.Sequential([keras.layers.Dense(self.hidden, "relu"), keras_mdn_layer.MDN(size, k)])
        model.compile("adam", keras_mdn_layer.get_mixture_loss_func(size, k), steps_per_execution=10)
        epochs = min(self.epochs, self.max_steps // math.ceil(len(x) / self.batch_size))
        # Keras holds out the last rows as they come: the order is made random first.
        order = np.random.default_rng(seed).permutation(len(x))
        watch = {}
        if self.patience is not None:
            stop = keras.callbacks.EarlyStopping(patience=self.patience, restore_best_weights=True)
            watch = {"validation_split": self.held_out, "callbacks": [stop]}
        model.fit(x[order], y[order], batch_size=self.batch_size, epochs=epochs, verbose=0, **watch)

        def predict(x):
            params = np.float64(model(np.float32(x)))
            loc, scale, logits = np.split(params, [k * size, 2 * k * size], -1)
            return NormalMixture.of(logits, loc.reshape(-1, k, size), scale.reshape(-1, k, size))

        return predict


@dataclasses.dataclass(frozen=True)
class Skpro(Method):
    """skpro's MDNRegressor in its default configuration."""

    packages = ("skpro", "torch")
    modules = ("torch", "skpro.regression.mdn")
    epochs: int = 1000

    def fit_standardized(self, x, y, seed):
        import pandas as pd
        from skpro.regression.mdn import MDNRegressor

        model = MDNRegressor(epochs=self.epochs, device="cpu", random_state=seed).fit(pd.DataFrame(x), pd.DataFrame(y))

        def predict(x):
            distribution = model.predict_proba(pd.DataFrame(x))
            shape = (len(x), -1, y.shape[1])
            loc, scale = (np.reshape(distribution.get_params()[name], shape) for name in ("mu", "sigma"))
            with np.errstate(divide="ignore"):
                return NormalMixture.of(np.log(distribution.get_params()["pi"]), loc, scale)

        return predict


@dataclasses.dataclass(frozen=True)
class Zuko(Method):
    """A conditional density of zuko, "NSF" (a spline flow) or "GMM", by Adam with early stopping."""

    packages = ("zuko", "torch")
    modules = ("torch", "zuko")
    kind: str = "NSF"
    num_components: int = 5  # of the GMM
    learning_rate: float = 1e-3
    batch_size: int = 128
    max_epochs: int = 500
    patience: int = 20
    held_out: float = 0.1

    def fit_standardized(self, x, y, seed):
        import torch

        torch.manual_seed(seed)
        model = self._model(x.shape[1], y.shape[1])
        order = np.random.default_rng(seed).permutation(len(x))
        held_out = max(1, round(self.held_out * len(x)))
        x, y = torch.tensor(x[order], dtype=torch.float32), torch.tensor(y[order], dtype=torch.float32)
        self._train(model, (x[held_out:], y[held_out:]), (x[:held_out], y[:held_out]))
        return lambda x: self._prediction(model, torch.tensor(x, dtype=torch.float32))

    def _model(self, inputs: int, size: int):
        import zuko

        if self.kind == "NSF":
            return zuko.flows.NSF(size, inputs)
        return zuko.mixtures.GMM(size, inputs, components=self.num_components)

    def _train(self, model, train, held_out) -> None:
        """Trains until the held-out NLL has not improved for `patience` epochs, and goes back to the best epoch."""
        import torch

        optimizer = torch.optim.Adam(model.parameters(), lr=self.learning_rate)
        x, y = train
        best, best_state, waited = math.inf, copy.deepcopy(model.state_dict()), 0
        for _ in range(self.max_epochs):
            for rows in torch.randperm(len(x)).split(self.batch_size):
                optimizer.zero_grad()
                (-model(x[rows]).log_prob(y[rows]).mean()).backward()
                optimizer.step()
            with torch.no_grad():
                nll = -float(model(held_out[0]).log_prob(held_out[1]).mean())
            waited += 1
            if nll < best:
                best, best_state, waited = nll, copy.deepcopy(model.state_dict()), 0
            if waited >= self.patience:
                break
        model.load_state_dict(best_state)

    @staticmethod
    def _prediction(model, x) -> Sampled:
        import torch

        def density(y):
            with torch.no_grad():
                return np.float64(model(x).log_prob(torch.tensor(y, dtype=torch.float32)).numpy())

        def draw(count):
            with torch.no_grad():
                return np.concatenate([model(rows).sample((count,)).numpy() for rows in x.split(256)], 1)

        return Sampled(density, draw)


METHODS: dict[str, Method] = {
    "tfmdn": Tfmdn(),
    "tfmdn-k1": Tfmdn({"num_components": 1}),
    "deep-ensemble": DeepEnsemble(),
    "gaussian-mixture": JointMixture(),
    "ngboost": NGBoost(),
    "keras-mdn-layer": KerasMDNLayer(),
    "keras-mdn-layer-stopped": KerasMDNLayer(patience=30),
    "skpro": Skpro(),
    "zuko-nsf": Zuko(),
    "zuko-gmm": Zuko("GMM"),
}
# As small as it gets, to see that everything runs.
QUICK: dict[str, Method] = {
    "tfmdn": Tfmdn({"n_estimators": 2, "max_steps": 50}),
    "tfmdn-k1": Tfmdn({"n_estimators": 2, "num_components": 1, "max_steps": 50}),
    "deep-ensemble": DeepEnsemble(members=2, epochs=1),
    "gaussian-mixture": JointMixture((1, 3)),
    "ngboost": NGBoost(n_estimators=5),
    "keras-mdn-layer": KerasMDNLayer(epochs=1),
    "keras-mdn-layer-stopped": KerasMDNLayer(epochs=1, patience=1),
    "skpro": Skpro(epochs=5),
    "zuko-nsf": Zuko(max_epochs=1),
    "zuko-gmm": Zuko("GMM", max_epochs=1),
}
