"""A web service of a SavedModel: requests that come together are answered by one call of the model.

    python examples/service.py --model saved_models/mine      # http://127.0.0.1:8000/docs
    python examples/service.py --quick                        # trains a small one, asks it once, and ends

It needs TensorFlow, FastAPI and Uvicorn (`pip install 'tfmdn[tools]'`), and tfmdn only to train. The SavedModel is one
that `tfmdn.export_saved_model(regressor.model_, folder)` wrote. A request is a few rows:

    curl 127.0.0.1:8000/predict -H 'Content-Type: application/json' \
        -d '{"rows": [{"age": 41, "city": "Oslo"}], "quantiles": [0.1, 0.9], "coverage": [0.9]}'

and the answer for each row its mean, standard deviation, quantiles and central intervals. What is wrong with a row is
said by status 400, with the row and the field. `/health` answers once the model does. docs/service.md says more.

Shapes in comments: n rows, F columns, Q levels.
"""

from __future__ import annotations

import argparse
import asyncio
import concurrent.futures
import contextlib
import math
import os
import pathlib
import sys
import tempfile
from typing import Any, NamedTuple

import fastapi
import numpy as np
import pydantic

# Where `app`, which every worker makes for itself, finds the model.
MODEL = "SERVICE_MODEL"
# How long a request waits for others, how many rows are computed together, and how many one request may have.
PATIENCE, MOST_ROWS, MOST_ROWS_OF_REQUEST = 0.002, 512, 10_000


class Request(pydantic.BaseModel):
    """Rows, each an object of values by the names of the columns, or a list of numbers; and what is asked of them."""

    rows: list[dict[str, Any] | list[Any]]
    quantiles: list[float] = [0.05, 0.5, 0.95]
    coverage: list[float] = [0.9]

    @property
    def levels(self) -> list[float]:
        """The quantiles, and the ends of the intervals."""
        tails = [0.5 - 0.5 * share for share in self.coverage]
        return [*self.quantiles, *(end for tail in tails for end in (tail, 1.0 - tail))]


class BadRequest(Exception):
    """What is wrong with a request, in words."""


class Answer(NamedTuple):
    """What the model says of n rows: mean and standard deviation `[n, ...]`, and quantiles `[n, ..., Q]`."""

    mean: np.ndarray
    stddev: np.ndarray
    quantiles: np.ndarray


class Model:
    """A SavedModel, and what it takes for a row."""

    def __init__(self, path: str | os.PathLike):
        import tensorflow as tf  # after the worker has begun: TensorFlow does not survive a fork

        self._tensorflow, self._loaded = tf, tf.saved_model.load(str(path))
        self._moments, self._quantile = (self._loaded.signatures[name] for name in ("serving_default", "quantile"))
        self.inputs = self._moments.structured_input_signature[1]
        (self._levels,) = set(self._quantile.structured_input_signature[1]) - set(self.inputs)

    def columns(self, rows: list) -> dict[str, np.ndarray]:
        """Rows as the arrays that the model takes, by name.

        Raises:
          BadRequest: if there is anything wrong with them.
        """
        if not 0 < len(rows) <= MOST_ROWS_OF_REQUEST:
            raise BadRequest(f"rows: expected 1 to {MOST_ROWS_OF_REQUEST:,}. Received: {len(rows)}.")
        if [len(spec.shape) for spec in self.inputs.values()] == [2]:
            ((name, spec),) = self.inputs.items()
            return {name: np.array([_numbers(row, spec, place) for place, row in enumerate(rows)])}
        for place, row in enumerate(rows):
            if not isinstance(row, dict):
                raise BadRequest(
                    f"row {place}: expected an object of {', '.join(sorted(self.inputs))}. Received: a list."
                )
            for wrong, what in (
                (set(self.inputs) - set(row), "is missing"),
                (set(row) - set(self.inputs), "is unknown"),
            ):
                if wrong:
                    raise BadRequest(f"row {place}, field {min(wrong)!r}: {what}.")
        return {
            name: np.array([_value(row[name], spec, f"row {place}, field {name!r}") for place, row in enumerate(rows)])
            for name, spec in self.inputs.items()
        }

    def answer(self, columns: dict[str, np.ndarray], levels: list[float]) -> Answer:
        """The answers for rows."""
        tf = self._tensorflow
        given = {name: tf.constant(columns[name], spec.dtype) for name, spec in self.inputs.items()}
        moments = self._moments(**given)
        (q,) = (spec for name, spec in self._quantile.structured_input_signature[1].items() if name == self._levels)
        quantiles = self._quantile(**given, **{self._levels: tf.constant(levels, q.dtype)})["quantile"].numpy()
        return Answer(moments["mean"].numpy(), moments["stddev"].numpy(), np.moveaxis(quantiles, 0, -1))


def _numbers(row: Any, spec: Any, place: int) -> list[float]:
    """A row `[F]` of numbers."""
    if not isinstance(row, list) or len(row) != spec.shape[1]:
        received = f"{len(row)}" if isinstance(row, list) else "an object"
        raise BadRequest(f"row {place}: expected a list of {spec.shape[1]} numbers. Received: {received}.")
    return [_value(value, spec, f"row {place}, field {number}") for number, value in enumerate(row)]


def _value(value: Any, spec: Any, where: str) -> float | str:
    """A number, or text, as a column has it: NaN or "" where there is none."""
    if spec.dtype.name == "string":
        if value is None or _is_text(value):
            return value or ""
        raise BadRequest(f"{where}: expected text. Received: {value!r}.")
    if value is None:
        return math.nan
    if isinstance(value, (int, float)) and abs(value) <= sys.float_info.max:
        return float(value)
    raise BadRequest(f"{where}: expected a number. Received: {value!r}.")


def _is_text(value: Any) -> bool:
    """Whether it is text that has an encoding, which half of a surrogate pair has not."""
    try:
        value.encode()
    except (AttributeError, UnicodeEncodeError):
        return False
    return True


class Batcher:
    """Answers requests that come within `PATIENCE` together, in a thread: while it computes, others gather."""

    def __init__(self, model: Model):
        self.model, self.calls = model, 0
        self._waiting: asyncio.Queue = asyncio.Queue()
        self._thread = concurrent.futures.ThreadPoolExecutor(1)
        self._task = asyncio.create_task(self._run())

    async def answer(self, columns: dict[str, np.ndarray], levels: list[float]) -> Answer:
        """What the model says of some rows."""
        answered = asyncio.get_running_loop().create_future()
        await self._waiting.put((columns, levels, answered))
        return await answered

    def close(self) -> None:
        self._task.cancel()
        self._thread.shutdown()

    async def _run(self) -> None:
        while True:
            batch = [await self._waiting.get()]
            await asyncio.sleep(PATIENCE)
            size = _num_rows(batch[0])
            while not self._waiting.empty() and size < MOST_ROWS:
                batch.append(self._waiting.get_nowait())
                size += _num_rows(batch[-1])
            try:
                answers = await asyncio.get_running_loop().run_in_executor(self._thread, self._compute, batch)
            except Exception as error:  # the others go on
                answers = [error] * len(batch)
            for (*_, answered), answer in zip(batch, answers):
                if answered.done():  # who asked has gone
                    continue
                if isinstance(answer, Exception):
                    answered.set_exception(answer)
                else:
                    answered.set_result(answer)

    def _compute(self, batch: list) -> list[Answer]:
        """The answers of a batch of requests, by one call of the model: of all rows and all levels."""
        self.calls += 1
        levels = sorted({level for _, own, _ in batch for level in own})
        together = {name: np.concatenate([columns[name] for columns, *_ in batch]) for name in self.model.inputs}
        all_rows = self.model.answer(together, levels)
        ends = np.cumsum([_num_rows(request) for request in batch])
        return [
            Answer(
                all_rows.mean[end - _num_rows(request) : end],
                all_rows.stddev[end - _num_rows(request) : end],
                all_rows.quantiles[end - _num_rows(request) : end][..., [levels.index(level) for level in request[1]]],
            )
            for request, end in zip(batch, ends)
        ]


def _num_rows(request: tuple) -> int:
    return len(next(iter(request[0].values())))


def create_app(path: str | os.PathLike | None = None) -> fastapi.FastAPI:
    """The service of a SavedModel, by default the one that the environment names. Each worker calls it by itself."""
    path = path or os.environ[MODEL]

    @contextlib.asynccontextmanager
    async def lifespan(app: fastapi.FastAPI):
        model = Model(path)
        app.state.batcher = Batcher(model)
        text = {name: "" if spec.dtype.name == "string" else 0.0 for name, spec in model.inputs.items()}
        row = next(([0.0] * spec.shape[1] for spec in model.inputs.values() if len(spec.shape) == 2), text)
        await app.state.batcher.answer(model.columns([row]), [0.5])  # the first call takes longer
        yield
        app.state.batcher.close()

    app = fastapi.FastAPI(title="Mixture density network", lifespan=lifespan)

    @app.exception_handler(BadRequest)
    async def bad_request(request: fastapi.Request, error: BadRequest):
        return fastapi.responses.JSONResponse({"detail": str(error)}, status_code=400)

    @app.exception_handler(fastapi.exceptions.RequestValidationError)
    async def not_a_request(request: fastapi.Request, error: fastapi.exceptions.RequestValidationError):
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"][1:])) or "request"
        return fastapi.responses.JSONResponse({"detail": f"{where}: {first['msg']}."}, status_code=400)

    @app.get("/health")
    async def health() -> dict:
        return {
            "status": "ok",
            "inputs": {name: spec.dtype.name for name, spec in app.state.batcher.model.inputs.items()},
        }

    @app.post("/predict")
    async def predict(request: Request) -> dict:
        for name in ("quantiles", "coverage"):
            wrong = [number for number in getattr(request, name) if not 0.0 < number < 1.0]
            if wrong:
                raise BadRequest(f"{name}: expected numbers between 0 and 1. Received: {wrong[0]!r}.")
        batcher = app.state.batcher
        answer = await batcher.answer(batcher.model.columns(request.rows), request.levels)
        count = len(request.quantiles)
        quantiles, ends = answer.quantiles[..., :count], answer.quantiles[..., count:]
        return {
            "mean": answer.mean.tolist(),
            "stddev": answer.stddev.tolist(),
            "quantiles": {str(q): quantiles[..., place].tolist() for place, q in enumerate(request.quantiles)},
            "intervals": {
                str(share): ends[..., 2 * place : 2 * place + 2].tolist()
                for place, share in enumerate(request.coverage)
            },
        }

    return app


def train_a_small_one(folder: pathlib.Path, **settings: Any) -> pathlib.Path:
    """Writes the SavedModel of a table of two columns, which `--quick` and the tests ask."""
    import pandas as pd

    import tfmdn

    rng = np.random.default_rng(0)
    table = pd.DataFrame({"age": rng.uniform(20.0, 80.0, 200), "city": rng.choice(["Oslo", "Rome"], 200)})
    target = table["age"] + 10.0 * (table["city"] == "Rome") + rng.normal(0.0, 5.0, 200)
    regressor = tfmdn.MDNRegressor(random_state=0, n_estimators=2, max_steps=100, **settings).fit(table, target)
    tfmdn.export_saved_model(regressor.model_, folder / "saved_model")
    return folder / "saved_model"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", type=pathlib.Path, help="folder of a SavedModel; without one a small one is trained")
    parser.add_argument("--port", type=int, default=8000)
    parser.add_argument("--workers", type=int, default=1, help="processes, each with a model of its own")
    parser.add_argument("--quick", action="store_true", help="ask once, print the answer, and end")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        model = arguments.model or train_a_small_one(pathlib.Path(folder))
        if arguments.quick:
            from fastapi.testclient import TestClient

            with TestClient(create_app(model)) as client:
                print(client.post("/predict", json={"rows": [{"age": 41, "city": "Oslo"}]}).json())
            return
        import uvicorn

        os.environ[MODEL] = str(model)
        # Uvicorn starts workers as new processes, which import this file by its name.
        uvicorn.run(
            "service:create_app",
            factory=True,
            port=arguments.port,
            workers=arguments.workers,
            app_dir=str(pathlib.Path(__file__).parent),
        )


if __name__ == "__main__":
    main()
