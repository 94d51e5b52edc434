"""What learns the frames of real_sources.py: tfmdn in its default configuration, and gradient boosting of three makes.

Each method is given a frame and returns a function from a frame to an `Answer`. tfmdn is given the frame as it is. The
others are told which columns are dates, and get of each what a user would make of it: seconds, month, weekday and
hour. They stop early on 15 % of the rows, and are otherwise as they come, on one thread.
"""

from __future__ import annotations

import dataclasses
import importlib
from collections.abc import Callable, Sequence
from typing import ClassVar

import numpy as np
import pandas as pd
from real_answers import LEVELS, Answer, Mixtures, Normals, Quantiles

HELD_OUT = 0.15
PATIENCE = 50


Predict = Callable[[pd.DataFrame], Answer]


@dataclasses.dataclass(frozen=True)
class Method:
    """What all methods share. `packages` are the distributions on PyPI that count, `modules` what is imported."""

    packages: ClassVar[tuple[str, ...]]
    modules: ClassVar[tuple[str, ...]]

    def load(self) -> None:
        """Imports what `fit` needs, before its time is taken. An ImportError says what is missing."""
        for module in self.modules:
            importlib.import_module(module)

    def config(self) -> dict:
        return {"method": type(self).__name__, **dataclasses.asdict(self)}

    def fit(self, frame: pd.DataFrame, y: np.ndarray, dates: Sequence[str], seed: int) -> Predict:
        raise NotImplementedError


@dataclasses.dataclass(frozen=True)
class Tfmdn(Method):
    """`tfmdn.MDNRegressor`. `options` are its arguments: none is the default configuration."""

    packages = ("tfmdn", "keras", "tensorflow")
    modules = ("tfmdn.tabular.regressor",)
    options: dict = dataclasses.field(default_factory=dict)

    def config(self):
        # The defaults too: cells of another default configuration are other cells.
        return {**super().config(), "params": self._estimator().get_params()}

    def _estimator(self, **arguments):
        import tfmdn

        return tfmdn.MDNRegressor(**self.options, **arguments)

    def fit(self, frame, y, dates, seed):
        regressor = self._estimator(random_state=seed).fit(frame, y)
        return lambda frame: Mixtures(regressor, frame)


@dataclasses.dataclass(frozen=True)
class CatBoost(Method):
    """CatBoost, which reads categories and gaps itself: a normal distribution, or quantiles of one model."""

    packages = ("catboost",)
    modules = ("catboost",)
    loss: str = "RMSEWithUncertainty"
    iterations: int = 1_000

    def fit(self, frame, y, dates, seed):
        import catboost

        def pool(frame, y=None):
            frame = with_parts(frame, dates)
            texts = [name for name in frame if is_text(frame[name])]
            frame[texts] = frame[texts].astype(object).fillna("").astype(str)
            return catboost.Pool(frame, y, cat_features=texts)

        is_quantiles = self.loss == "MultiQuantile"
        loss = f"MultiQuantile:alpha={','.join(map(str, LEVELS))}" if is_quantiles else self.loss
        model = catboost.CatBoostRegressor(
            loss_function=loss,
            iterations=self.iterations,
            random_seed=seed,
            thread_count=1,
            verbose=False,
            allow_writing_files=False,
        )
        learnt, held_out = drawn(len(y), seed)
        model.fit(
            pool(frame.iloc[learnt], y[learnt]),
            eval_set=pool(frame.iloc[held_out], y[held_out]),
            early_stopping_rounds=PATIENCE,
        )

        def predict(frame):
            outputs = model.predict(pool(frame))
            return Quantiles(outputs) if is_quantiles else Normals(outputs[:, 0], np.sqrt(outputs[:, 1]))

        return predict


@dataclasses.dataclass(frozen=True)
class LightGBM(Method):
    """LightGBM, which reads categories and gaps itself: a model for each quantile."""

    packages = ("lightgbm",)
    modules = ("lightgbm",)
    n_estimators: int = 1_000

    def fit(self, frame, y, dates, seed):
        import lightgbm

        dated = with_parts(frame, dates)
        known = {name: pd.Index(dated[name].dropna().unique()) for name in dated if is_text(dated[name])}

        def prepared(frame):
            frame = with_parts(frame, dates)
            for name, values in known.items():
                frame[name] = pd.Categorical.from_codes(values.get_indexer(frame[name]), values)
            return frame

        x = prepared(frame)
        learnt, held_out = drawn(len(y), seed)
        models = [
            lightgbm.LGBMRegressor(
                objective="quantile", alpha=level, n_estimators=self.n_estimators, seed=seed, n_jobs=1, verbose=-1
            ).fit(
                x.iloc[learnt],
                y[learnt],
                eval_set=[(x.iloc[held_out], y[held_out])],
                callbacks=[lightgbm.early_stopping(PATIENCE, verbose=False)],
            )
            for level in LEVELS
        ]
        return lambda frame: Quantiles(np.stack([model.predict(prepared(frame)) for model in models], 1))


@dataclasses.dataclass(frozen=True)
class NGBoost(Method):
    """NGBRegressor, a normal distribution, on what scikit-learn makes of a frame.

    Gaps are filled with the median and marked; a text of at most 20 values becomes as many columns, another one the
    cross-fitted mean of its targets.
    """

    packages = ("ngboost", "scikit-learn")
    modules = ("ngboost",)
    n_estimators: int = 500
    max_one_hot: int = 20

    def fit(self, frame, y, dates, seed):
        from ngboost import NGBRegressor

        encoder = self._encoder(with_parts(frame, dates), seed)
        x = encoder.fit_transform(with_parts(frame, dates), y)
        learnt, held_out = drawn(len(y), seed)
        location, scale = y.mean(), y.std()
        model = NGBRegressor(n_estimators=self.n_estimators, random_state=seed, verbose=False).fit(
            x[learnt],
            (y[learnt] - location) / scale,
            X_val=x[held_out],
            Y_val=(y[held_out] - location) / scale,
            early_stopping_rounds=PATIENCE,
        )

        def predict(frame):
            found = model.pred_dist(encoder.transform(with_parts(frame, dates)))
            return Normals(location + scale * found.loc, scale * found.scale)

        return predict

    def _encoder(self, frame, seed):
        from sklearn.compose import make_column_transformer
        from sklearn.impute import SimpleImputer
        from sklearn.pipeline import make_pipeline
        from sklearn.preprocessing import OneHotEncoder, TargetEncoder

        texts = [name for name in frame if is_text(frame[name])]
        few = [name for name in texts if frame[name].nunique() <= self.max_one_hot]
        many = [name for name in texts if name not in few]
        fill = SimpleImputer(strategy="constant", fill_value="", missing_values=None)
        return make_column_transformer(
            (SimpleImputer(strategy="median", add_indicator=True), [name for name in frame if name not in texts]),
            (make_pipeline(fill, OneHotEncoder(handle_unknown="ignore", sparse_output=False)), few),
            (make_pipeline(fill, TargetEncoder(target_type="continuous", cv=5, random_state=seed)), many),
        )


def is_text(column: pd.Series) -> bool:
    return not pd.api.types.is_numeric_dtype(column)


def with_parts(frame: pd.DataFrame, dates: Sequence[str]) -> pd.DataFrame:
    """A copy with dates as numbers, the parts that are not always the same, and None for texts that are missing."""
    frame = frame.copy()
    for name in dates:
        date = pd.to_datetime(frame.pop(name), utc=True)
        frame[name] = (date - pd.Timestamp(0, tz="UTC")).dt.total_seconds()
        for part in ("month", "weekday", "hour"):
            frame[f"{name} {part}"] = getattr(date.dt, part)
    for name in frame:
        if is_text(frame[name]):
            frame[name] = frame[name].astype(object).where(frame[name].notna(), None)
        else:
            frame[name] = frame[name].astype(float)
    return frame


def drawn(num_rows: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """The numbers of rows to learn from, and of those that are held out for early stopping."""
    order = np.random.default_rng(seed).permutation(num_rows)
    held_out = max(1, round(HELD_OUT * num_rows))
    return order[held_out:], order[:held_out]


METHODS: dict[str, Method] = {
    "tfmdn": Tfmdn(),
    "catboost-normal": CatBoost(),
    "catboost-quantiles": CatBoost("MultiQuantile"),
    "ngboost": NGBoost(),
    "lightgbm-quantiles": LightGBM(),
}
# As small as it gets, to see that everything runs.
QUICK: dict[str, Method] = {
    "tfmdn": Tfmdn({"n_estimators": 2, "max_steps": 50}),
    "catboost-normal": CatBoost(iterations=5),
    "catboost-quantiles": CatBoost("MultiQuantile", iterations=5),
    "ngboost": NGBoost(n_estimators=5),
    "lightgbm-quantiles": LightGBM(n_estimators=5),
}
