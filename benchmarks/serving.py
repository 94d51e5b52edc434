"""How long answers take: of one row, of many, of a mixture that is at hand, of a step in a loop, and of a web service.

    python benchmarks/serving.py                                    # everything
    python benchmarks/serving.py --parts regressor peers --quick    # some of it, for a look

- regressor: `MDNRegressor.predict` and `predict_quantiles` of 1 and of 10,000 rows, of arrays and of frames, by
  regressors of default settings whose targets have no limits, have two, or are counts.
- peers: the same of CatBoost (`RMSEWithUncertainty` and `MultiQuantile`) and NGBoost, which the extra `benchmarks` has.
- mixture: what a `Mixture` of 100 rows is asked eagerly.
- step: one step of a GRU of 256 units whose head is a mixture of 20 bivariate normals, in a loop in Python.
- service: requests a second of examples/service.py (extra `tools`), asked from another process.

Prints medians, and what the first call takes, which traces.
"""

from __future__ import annotations

import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import argparse
import asyncio
import multiprocessing
import pathlib
import statistics
import sys
import tempfile
import time
from collections.abc import Callable

import numpy as np
import tensorflow as tf
from tables import print_table

import tfmdn

LEVELS = [0.05, 0.5, 0.95]
ROWS, FEATURES, MANY = 3_000, 8, 10_000


def clocked(ask: Callable, times: int) -> tuple[float, float]:
    """Seconds of the first call, and the median of the others."""
    seconds = []
    for _ in range(times + 1):
        start = time.perf_counter()
        ask()
        seconds.append(time.perf_counter() - start)
    return seconds[0], statistics.median(seconds[min(3, times) :])


def row_of(name: str, ask: Callable, times: int = 50) -> list[str]:
    first, later = clocked(ask, times)
    return [name, f"{1e3 * later:.3g}", f"{first:.2g}"]


def targets_of(x: np.ndarray, rng: np.random.Generator) -> dict[str, np.ndarray]:
    y = x[:, 0] + np.sin(2.0 * x[:, 1]) + 0.5 * rng.normal(size=len(x))
    return {
        "no limits": y,
        "two limits": np.abs(np.mod(y + 2.0, 8.0) - 4.0),
        "counts": rng.poisson(np.exp(0.5 * x[:, 0])),
    }


def of_regressor(quick: bool) -> None:
    import pandas as pd

    rng = np.random.default_rng(0)
    x = rng.normal(size=(ROWS, FEATURES))
    settings = {"max_steps": 50, "n_estimators": 2} if quick else {"max_steps": 300}
    for kind, y in targets_of(x, rng).items():
        regressor = tfmdn.MDNRegressor(random_state=0, trees=True, **settings).fit(x, y)
        print_regressor(f"{kind}, arrays", regressor, x[:1], np.resize(x, (MANY, FEATURES)))
        if kind == "no limits":
            frame = pd.DataFrame(x, columns=list("abcdefgh"))
            regressor = tfmdn.MDNRegressor(random_state=0, trees=True, **settings).fit(frame, y)
            print_regressor(f"{kind}, frames", regressor, frame[:1], pd.concat([frame] * 4)[:MANY])


def print_regressor(name: str, regressor: tfmdn.MDNRegressor, one: object, many: object) -> None:
    asks = {
        "`predict`, 1 row": lambda: regressor.predict(one),
        "`predict_quantiles`, 1 row": lambda: regressor.predict_quantiles(one, LEVELS),
        "`predict`, 10,000 rows": lambda: regressor.predict(many),
        "`predict_quantiles`, 10,000 rows": lambda: regressor.predict_quantiles(many, LEVELS),
    }
    rows = [row_of(ask, function, 4 if "10,000" in ask else 50) for ask, function in asks.items()]
    size = regressor.predict_dist(one).mixture_distribution.logits.shape[-1]
    print_table(f"MDNRegressor of 3,000 rows x 8, {name}: {size} components", ["", "ms", "s, first call"], rows)


def of_peers(quick: bool) -> None:
    import catboost
    import ngboost

    rng = np.random.default_rng(0)
    x = rng.normal(size=(ROWS, FEATURES))
    y = targets_of(x, rng)["no limits"]
    many, size = np.resize(x, (MANY, FEATURES)), 20 if quick else None
    alphas = ",".join(map(str, LEVELS))
    settings = {
        "verbose": False,
        "thread_count": -1,
        "allow_writing_files": False,
        **({"iterations": size} if size else {}),
    }
    normal = catboost.CatBoostRegressor(loss_function="RMSEWithUncertainty", **settings).fit(x, y)
    several = catboost.CatBoostRegressor(loss_function=f"MultiQuantile:alpha={alphas}", **settings).fit(x, y)
    boosted = ngboost.NGBRegressor(verbose=False, **({"n_estimators": size} if size else {})).fit(x, y)
    asks = {
        "CatBoost, RMSEWithUncertainty: mean and variance": normal.predict,
        "CatBoost, MultiQuantile: three quantiles": several.predict,
        "NGBoost: mean": boosted.predict,
        "NGBoost: three quantiles": lambda rows: [boosted.pred_dist(rows).ppf(level) for level in LEVELS],
    }
    rows = []
    for name, ask in asks.items():
        rows.append(row_of(f"{name}, 1 row", lambda ask=ask: ask(x[:1])))
        rows.append(row_of(f"{name}, 10,000 rows", lambda ask=ask: ask(many), 4))
    print_table("Peers, the same table", ["", "ms", "s, first call"], rows)


def of_mixture(quick: bool) -> None:
    import keras

    keras.utils.set_random_seed(0)
    x = np.random.default_rng(0).normal(size=(100, 4)).astype("float32")
    y = tf.zeros(100)
    layer = tfmdn.MDNLayer(20, kernel_initializer="he_normal")
    mixture, times = layer(x), 2 if quick else 10
    asks = {
        "`layer(x)`": lambda: layer(x),
        "`log_prob`": lambda: mixture.log_prob(y),
        "`sample(10)`": lambda: mixture.sample(10),
        "`temper(0.5).sample()`": lambda: mixture.temper(0.5).sample(),
        "`mean`": mixture.mean,
        "`cdf`": lambda: mixture.cdf(y),
        "`quantile` of three levels": lambda: mixture.quantile(LEVELS),
        "`interval`": mixture.interval,
        "`mode`": mixture.mode,
        "`modes(3)`": lambda: mixture.modes(3),
        "`highest_density_region`": mixture.highest_density_region,
        "`tfmdn.crps`": lambda: tfmdn.crps(y, mixture),
    }
    rows = [row_of(name, ask, times) for name, ask in asks.items()]
    vector = tfmdn.MDNLayer(20, 3, covariance="full", kernel_initializer="he_normal")(x)
    rows.append(row_of("`mode` of correlated vectors of three", vector.mode, times))
    print_table("A mixture of 20 normals, 100 rows, eagerly", ["", "ms", "s, first call"], rows)


def of_step(quick: bool) -> None:
    import generation

    model, rng = generation.step_model(), np.random.default_rng(0)
    place = {"point": tf.zeros((1, 3)), "state": tf.zeros((1, generation.UNITS))}

    def step(point, state):
        offset, pen, state = model([point, state])
        return {"offset": offset, "pen": generation.tfd.Bernoulli(pen, dtype=tf.float32)}, state

    def point_of(draws):
        return tf.concat([draws["offset"], draws["pen"]], -1)

    def one_step():
        _, place["point"], place["state"] = tfmdn.generate(
            step,
            place["point"],
            place["state"],
            1,
            next_features=point_of,
            temperature=rng.uniform(0.2, 1.0),
            scale_temperature=rng.uniform(0.2, 1.0),
            return_state=True,
        )
        place["point"].numpy()

    def eagerly():
        offset, pen, place["state"] = model([place["point"], place["state"]])
        drawn = offset.temper(rng.uniform(0.2, 1.0), rng.uniform(0.2, 1.0)).sample()
        place["point"] = tf.concat([drawn, generation.tfd.Bernoulli(pen, dtype=tf.float32).sample()], -1)

    rows = [
        row_of("`tfmdn.generate`, one step a call", one_step, 20 if quick else 200),
        row_of("the model, `temper` and `sample`, eagerly", eagerly, 3 if quick else 20),
    ]
    print_table("A step of a network that somebody plays with", ["", "ms", "s, first call"], rows)


def of_service(quick: bool) -> None:
    sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "examples"))
    import httpx
    import service

    context = multiprocessing.get_context("spawn")
    with tempfile.TemporaryDirectory() as folder:
        path = service.train_a_small_one(pathlib.Path(folder))
        server = context.Process(target=_serve, args=(str(path), 8765), daemon=True)
        server.start()
        for _ in range(600):
            try:
                httpx.get("http://127.0.0.1:8765/health").raise_for_status()
                break
            except httpx.HTTPError:
                time.sleep(0.1)
        rows = []
        for clients in (1, 8, 32, 64):
            count = clients * (5 if quick else 50)
            seconds, waits = asyncio.run(_ask(count, clients))
            waits = np.percentile(1e3 * np.array(waits), [50, 99])
            rows.append([str(clients), f"{count / seconds:.3g}", *(f"{wait:.3g}" for wait in waits)])
        server.terminate()
    print_table(
        "examples/service.py, a row a request", ["clients", "requests a second", "ms, median", "ms, 99 %"], rows
    )


def _serve(path: str, port: int) -> None:
    import service
    import uvicorn

    uvicorn.run(service.create_app(path), port=port, log_level="error")


async def _ask(count: int, clients: int) -> tuple[float, list[float]]:
    """Seconds of all requests, and of each."""
    import httpx

    waits, rng = [], np.random.default_rng(0)
    async with httpx.AsyncClient(
        base_url="http://127.0.0.1:8765", limits=httpx.Limits(max_connections=clients)
    ) as client:

        async def one_client():
            for _ in range(count // clients):
                row = {"age": rng.uniform(20.0, 80.0), "city": "Oslo"}
                start = time.perf_counter()
                (await client.post("/predict", json={"rows": [row]})).raise_for_status()
                waits.append(time.perf_counter() - start)

        start = time.perf_counter()
        await asyncio.gather(*(one_client() for _ in range(clients)))
        return time.perf_counter() - start, waits


PARTS = {
    "regressor": of_regressor,
    "peers": of_peers,
    "mixture": of_mixture,
    "step": of_step,
    "service": of_service,
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--parts", nargs="+", default=list(PARTS), choices=PARTS)
    parser.add_argument("--quick", action="store_true", help="small models, few calls")
    arguments = parser.parse_args()
    for part in arguments.parts:
        try:
            PARTS[part](arguments.quick)
        except ImportError as error:
            print(f"{part}: left out, {error}\n")


if __name__ == "__main__":
    main()
