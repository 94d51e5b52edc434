"""examples/clusters: each engine scores rows as the regressor does, and what it does wrong is seen."""

import os
import pathlib
import re
import shutil
import subprocess
import sys
from collections import Counter

import numpy as np
import pandas as pd
import pytest
import scipy.stats

FOLDER = pathlib.Path(__file__).parents[2] / "examples" / "clusters"
ENGINES = {"spark": "pyspark", "ray_data": "ray", "beam": "apache_beam"}


@pytest.fixture
def modules(monkeypatch):
    """The modules that the examples share, by name. Their folders are in the path while a test runs."""
    monkeypatch.setattr(sys, "path", [str(FOLDER), str(FOLDER.parent), *sys.path])
    pytest.importorskip("pyarrow")
    import _job
    import _scorer

    return _job, _scorer


@pytest.mark.parametrize("engine", ENGINES)
def test_rows_are_scored_as_by_the_regressor(engine, tmp_path):
    pytest.importorskip(ENGINES[engine])
    if engine == "spark" and not shutil.which("java"):
        pytest.skip("Spark needs Java")
    folder = tmp_path / "kept"
    command = [sys.executable, FOLDER / f"{engine}.py", "--quick", "--workers", "1", "--folder", folder]
    environment = {**os.environ, "PYTHONPATH": str(FOLDER.parents[1])}
    ended = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    # The program itself has compared each number with what the regressor predicts.
    assert re.search(r"relative differences are \S+ at most", ended.stdout)
    assert "tensorflow_probability: none" in ended.stdout
    scores = pd.concat(pd.read_parquet(path) for path in sorted((folder / "scores").glob("*.parquet")))
    assert list(scores) == ["id", "q05", "q50", "q95", "mean"]
    assert len(scores) == 10_000
    assert (np.diff(scores[["q05", "q50", "q95"]], axis=1) > 0).all()


class Regressor:
    """What the checks ask of an `MDNRegressor`: here of a normal distribution around the distance."""

    def predict_quantiles(self, rows, levels):
        return rows["distance"].to_numpy()[:, None] + np.array([-1.6, 0.0, 1.6])

    def predict(self, rows):
        return rows["distance"].to_numpy()


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda scores: scores, None),
        (lambda scores: scores[1:], "There are 29"),
        (lambda scores: pd.concat([scores[:1], scores[:-1]]), "each once"),
        (lambda scores: scores.assign(q95=scores["q95"] * 1.001), "off by up to 1.0e-03"),
        (lambda scores: scores.assign(id=scores["id"].to_numpy()[::-1]), "off by"),
        (lambda scores: scores.assign(mean=np.nan), "off by"),
    ],
)
def test_wrong_scores_are_found(modules, tmp_path, damage, message):
    job_module, _ = modules
    job = job_module.Job(tmp_path, num_rows=30, rows_in_file=12, num_workers=1)
    rows = pd.concat([job_module.scored_rows(job, number) for number in range(3)], ignore_index=True)
    assert len(rows) == 30
    values = Regressor().predict_quantiles(rows, None)
    scores = pd.DataFrame({"id": rows["id"], **dict(zip(["q05", "q50", "q95"], values.T)), "mean": values[:, 1]})
    (tmp_path / "scores").mkdir()
    damage(scores).to_parquet(tmp_path / "scores" / "part.parquet")
    if message is None:
        job_module.check(job, Regressor())
    else:
        with pytest.raises(SystemExit, match=message):
            job_module.check(job, Regressor())


@pytest.mark.parametrize(
    ("column", "dtype", "expected"),
    [
        (np.array([1, 2]), "float64", [1.0, 2.0]),
        (np.array([True, False]), "float64", [1.0, 0.0]),
        (np.array([1.5, np.nan]), "float32", [1.5, np.nan]),
        (np.array([1.5, None]), "float64", [1.5, np.nan]),
        (np.array(["a", None], object), "string", ["a", ""]),
        (np.array(["a", np.nan], object), "string", ["a", ""]),
        (np.array(["a", "b"]), "string", ["a", "b"]),
        (np.array(["1970-01-02", "NaT"], "datetime64[ns]"), "float64", [86_400.0, np.nan]),
        (np.array(["1969-12-31T23:59:59.5"], "datetime64[ms]"), "float64", [-0.5]),
    ],
)
def test_columns_are_as_the_regressor_gives_them_to_its_model(modules, column, dtype, expected):
    _, scorer = modules
    values = scorer.raw(column, dtype)
    assert values.dtype == (object if dtype == "string" else dtype)
    np.testing.assert_array_equal(values, np.array(expected, values.dtype))


def test_rows_agree_with_model_inputs(modules):
    """What `raw` makes of the made-up columns is what `MDNRegressor.model_inputs` does."""
    pytest.importorskip("sklearn")
    import tfmdn

    job_module, scorer = modules
    rows, target = job_module.made_up(0, 60)
    regressor = tfmdn.MDNRegressor(n_estimators=1, max_steps=2, hidden_units=(4,), trees=False, random_state=0)
    inputs = regressor.fit(rows, target).model_inputs(rows)
    for name, column in inputs.items():
        dtype = "string" if name == "city" else "float64"
        np.testing.assert_array_equal(scorer.raw(rows[name].to_numpy(), dtype), column)


@pytest.mark.parametrize(("num_files", "num_workers"), [(1, 1), (4, 2), (5, 2)])
def test_workers_of_a_training_share_the_files(modules, tmp_path, num_files, num_workers):
    """Each row is one worker's, all have as many batches, and each epoch has the same."""
    import multi_worker

    paths = multi_worker.write_files(tmp_path, "train", num_files, first_seed=0)
    datasets = [multi_worker.read_files(paths, index, num_workers) for index in range(num_workers)]
    epochs = [[[y.numpy() for _, y in dataset] for dataset in datasets] for _ in range(2)]
    np.testing.assert_equal(*epochs)
    batches = [batch for worker in epochs[0] for batch in worker]
    whole = num_files // num_workers * multi_worker.ROWS_IN_FILE // multi_worker.BATCH_SIZE
    assert len(batches) == whole * num_workers
    assert {len(batch) for batch in batches} == {multi_worker.BATCH_SIZE}
    written = np.concatenate([pd.read_parquet(path)[multi_worker.TARGET] for path in paths]).astype("float32")
    assert not Counter(np.concatenate(batches).tolist()) - Counter(written.tolist())


def test_density_of_made_up_targets(modules):
    """It integrates to 1, and its cumulative distribution at the targets is uniform."""
    import _deliveries

    rows, minutes = _deliveries.made_up(0, 100)
    grid = np.linspace(1.0, 1_000.0, 10_000)
    levels = []
    for number, target in enumerate(minutes):
        density = np.exp(_deliveries.log_density(rows.iloc[[number] * len(grid)], grid))
        cdf = np.cumsum(density) * (grid[1] - grid[0])
        assert cdf[-1] == pytest.approx(1.0, abs=1e-3)
        levels.append(np.interp(target, grid, cdf))
    assert scipy.stats.kstest(levels, "uniform").pvalue > 0.01
