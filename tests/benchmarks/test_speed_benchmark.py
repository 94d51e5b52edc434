"""The machinery of the speed benchmark: its processes, rounds, learning rates and tables, but no times."""

import dataclasses
import json
import pathlib
import sys

import numpy as np
import pytest
import scipy.special
import scipy.stats

sys.path.append(str(pathlib.Path(__file__).parents[2] / "benchmarks"))
import speed
import speed_peers
import speed_processes
import speed_report
import speed_tasks

PROBLEM = speed_peers.Problem((4,), num_components=3, size=2, batch_size=10, steps_per_epoch=3)


class FakeWorkers:
    """Answers as processes would, at once. `answer(call, method, arguments)` may raise what `Worker.ask` raises."""

    def __init__(self, answer):
        self.answer, self.calls = answer, []

    def open(self, method):
        return self

    def __enter__(self):
        return self

    def __exit__(self, *exception):
        pass

    def ask(self, call, method=None, **arguments):
        self.calls.append((call, method))
        return self.answer(call, method, arguments)


def records_of(task, answer, tmp_path, methods, sizes=speed_tasks.QUICK):
    workers = FakeWorkers(answer)
    benchmark = speed_tasks.Benchmark(sizes, workers, tmp_path, methods, rounds=2, max_seconds=9.0)
    return list(getattr(benchmark, task)()), workers.calls


def test_every_row_is_seen_once_before_any_is_seen_again():
    trainer = speed_peers.Trainer(PROBLEM, np.zeros((40, 1)), np.zeros((40, 2)))
    epochs = list(trainer.epochs(4))
    assert [epoch.shape for epoch in epochs] == [(3, 10)] * 4
    rows = np.ravel(epochs).reshape(3, 40)
    assert all(sorted(part) == list(range(40)) for part in rows)
    assert not np.array_equal(rows[0], rows[1])


@pytest.mark.by_default("tfmdn.fit-averaged")
@pytest.mark.parametrize("name", ["tfmdn", "tfmdn.fit-averaged", "tfp.layers"])
def test_training_lowers_the_nll(name):
    rng = np.random.default_rng(0)
    x = rng.normal(size=(200, 1)).astype(np.float32)
    y = np.concatenate([x, -x], 1) + 0.1 * rng.normal(size=(200, 2)).astype(np.float32)
    problem = speed_peers.Problem((16,), 3, 2, batch_size=20, steps_per_epoch=10, learning_rate=0.01)
    trainer = speed_peers.TRAINERS[name].build(problem, x, y)
    scores = []

    def after_epoch():
        scores.append(trainer.nll(x, y))
        return len(scores) == 4

    trainer.run(100, after_epoch)
    assert len(scores) == 4
    assert scores[-1] < scores[0] < 10.0


def test_the_nll_of_the_layer_is_the_densitys():
    rng = np.random.default_rng(1)
    x, y = rng.normal(size=(30, 1)).astype(np.float32), rng.normal(size=(30, 2)).astype(np.float32)
    trainer = speed_peers.TRAINERS["tfmdn"].build(PROBLEM, x, y)
    mixture = trainer.model(x)
    components = mixture.components_distribution
    log_probs = scipy.stats.norm.logpdf(y[:, np.newaxis], components.mean(), components.stddev()).sum(-1)
    expected = -scipy.special.logsumexp(np.log(mixture.mixture_distribution.probs_parameter()) + log_probs, -1).mean()
    assert trainer.nll(x, y) == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("name", ["tfmdn.Mixture", "tfp.distributions"])
def test_samplers_draw_from_the_mixture(name):
    logits = np.log(np.array([[0.2, 0.8]], np.float32))
    loc = np.array([[[-1.0, 0.0], [1.0, 2.0]]], np.float32)
    sampler = speed_peers.SAMPLERS[name].build(20_000, logits, loc, np.full((1, 2, 2), 0.5, np.float32))
    draws = sampler.draw().numpy()
    assert draws.shape == (20_000, 1, 2)
    np.testing.assert_allclose(draws.mean(0), [[0.6, 1.6]], atol=0.05)
    np.testing.assert_allclose(draws.std(0), np.sqrt(0.25 + np.array([[0.64, 0.64]])), atol=0.05)


def test_processes_tell_what_is_missing_and_what_failed(tmp_path, monkeypatch):
    (tmp_path / "jax.py").write_text('print("not an answer")\nraise ModuleNotFoundError("No module named jax")')
    np.savez(tmp_path / "data.npz", logits=np.zeros(1), loc=np.zeros(1), scale=np.ones(1))
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    with speed_processes.Workers({}).open("jax-sampler") as worker:
        with pytest.raises(ImportError, match="No module named jax"):
            worker.ask("start", method="jax-sampler", data=str(tmp_path / "data.npz"), num_draws=1)
        with pytest.raises(RuntimeError, match="FileNotFoundError"):
            worker.ask("start", method="jax-sampler", data="nowhere.npz", num_draws=1)
        peak = worker.ask("peak")["peak"]
        assert peak is None or 5.0 < peak < 500.0
        worker._process.kill()
        with pytest.raises(RuntimeError, match="The process ended"):
            worker.ask("peak")


def test_packages_come_from_the_interpreter_named_for_them(tmp_path):
    workers = speed_processes.Workers({"torch": str(tmp_path / "python")})
    with pytest.raises(FileNotFoundError, match="python"), workers.open("zuko"):
        pass
    assert speed.interpreter("jax=a/bin/python") == ("jax", "a/bin/python")


def test_methods_take_turns(tmp_path):
    def answer(call, method, arguments):
        if (call, method) == ("start", "zuko"):
            raise ImportError("zuko")
        if (call, method) == ("round", "torch"):
            raise RuntimeError("out of memory")
        return {"versions": {}} if call == "start" else {"seconds": 2.0}

    records, calls = records_of("wide", answer, tmp_path, ("floor", "tfmdn", "zuko", "torch"))
    assert calls[4:] == [("round", name) for name in ("floor", "tfmdn", "torch", "floor", "tfmdn")]
    assert {"method": "zuko", "missing": "zuko"} in records
    assert {"method": "torch", "error": "out of memory"} in records
    steps = speed_tasks.QUICK.wide_epochs * speed_tasks.QUICK.wide.steps_per_epoch
    assert records[-2:] == [
        {"method": name, "seconds": [2.0 / steps] * 2, "versions": {}} for name in ("floor", "tfmdn")
    ]


def test_the_fastest_learning_rate_is_run_on_every_seed(tmp_path):
    sizes = dataclasses.replace(speed_tasks.QUICK, learning_rates=(1e-3, 3e-3, 3e-4))
    seconds = {(1e-3, 0): 6.0, (3e-3, 0): 4.0, (3e-4, 0): None, (3e-3, 1): 8.0, (3e-3, 2): 5.0}
    limits = []

    def answer(call, method, arguments):
        if call == "start":
            return {"versions": {}}
        problem = arguments["problem"]
        limits.append(arguments["max_seconds"])
        return {"seconds": seconds[problem["learning_rate"], problem["seed"]], "steps": 100, "best": 0.0}

    (record,), _ = records_of("quality", answer, tmp_path, ("jax",), sizes)
    assert limits == [9.0, 6.0, 4.0, 9.0, 9.0]
    assert (record["learning_rate"], record["seconds"], len(record["runs"])) == (3e-3, 5.0, 5)


def test_a_quality_that_is_not_reached_is_reported_so(capsys):
    runs = [{"learning_rate": rate, "seed": 0, "seconds": None, "steps": 700} for rate in (1e-3, 3e-3)]
    record = {"method": "zuko", "runs": runs, **speed_tasks.summary(runs)}
    assert speed_report.line_of(record) == "zuko: not reached"
    speed_report.print_quality([record])
    assert "| zuko | not reached | more than 700 |  |" in capsys.readouterr().out


def test_ratios_are_of_the_same_round():
    assert speed_report.ratio_of([2.0, 40.0, 6.0], [1.0, 10.0, 2.0]) == 3.0


def test_results_are_written_and_reported(tmp_path, capsys):
    def answer(call, method, arguments):
        if method == "keras-mdn-layer":
            raise ImportError("No module named 'keras_mdn_layer'")
        answers = {
            "start": {"versions": {}},
            "round": {"seconds": 1e-3},
            "quality": {"seconds": 1e-3, "steps": 100, "best": 0.0},
            "peak": {"peak": 700.0},
        }
        return answers[call]

    benchmark = speed_tasks.Benchmark(speed_tasks.QUICK, FakeWorkers(answer), tmp_path)
    speed.run(benchmark, speed_tasks.TASKS, tmp_path / "results")
    assert "small keras-mdn-layer: not installed" in capsys.readouterr().out
    for task in speed_tasks.TASKS:
        assert json.loads((tmp_path / "results" / f"{task}.json").read_text())["machine"]["cpus"] > 0
    speed_report.report(tmp_path / "results", tmp_path)
    printed = capsys.readouterr().out
    assert "| tfmdn, `tfmdn.fit` | 500 | 500 to 500 | 1.00 |" in printed
    assert "| 2 | 0.0500 | 0.0500 | 700 | 700 |" in printed
    assert (tmp_path / "growth.png").exists()


@pytest.mark.parametrize(("value", "text"), [(0.01234, "0.0123"), (9.876, "9.88"), (1469.4, "1,469"), (154.0, "154")])
def test_three_digits(value, text):
    assert speed_report.three_digits(value) == text


def test_every_method_has_a_label_and_a_task():
    used = {*speed_tasks.SMALL_METHODS, *speed_tasks.QUALITY_METHODS, *speed_peers.SAMPLERS}
    used |= {method for axis in speed_tasks.AXES for method in axis.methods}
    assert used == set(speed_peers.METHODS) == set(speed_report.LABELS)
