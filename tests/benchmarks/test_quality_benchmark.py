"""The quality benchmark's scorer against SciPy, quadrature and simulation, its tasks, and its file of results."""

import json
import pathlib
import sys
import types

import numpy as np
import pytest
import scipy.integrate
import scipy.special
import scipy.stats

sys.path.append(str(pathlib.Path(__file__).parents[2] / "benchmarks"))
import coarse
import peers
import quality
import quality_report
import scoring
import tasks

import tfmdn


def mixture_of(size, n=4, num_components=3):
    rng = np.random.default_rng(size)
    logits, loc = rng.normal(size=(n, num_components)), rng.normal(size=(n, num_components, size))
    factor = np.tril(rng.normal(size=(n, num_components, size, size)), -1)
    return scoring.NormalMixture.of(
        logits, loc, factor + np.exp(rng.normal(size=(n, num_components, size, 1))) * np.eye(size)
    )


def by_scipy(mixture, row):
    return [
        (weight, scipy.stats.multivariate_normal(loc, factor @ factor.T))
        for weight, loc, factor in zip(np.exp(mixture.log_weights[row]), mixture.loc[row], mixture.scale_tril[row])
    ]


@pytest.mark.parametrize("size", [1, 2, 3])
def test_log_prob_in_units(size):
    mixture, rng = mixture_of(size), np.random.default_rng(1)
    location, scale, y = rng.normal(size=size), np.exp(rng.normal(size=size)), rng.normal(size=(4, size))
    expected = [
        np.log(sum(weight * component.pdf((y[row] - location) / scale) for weight, component in by_scipy(mixture, row)))
        for row in range(4)
    ]
    received = mixture.in_units(location, scale).log_prob(y)
    np.testing.assert_allclose(received, np.array(expected) - np.log(scale).sum(), rtol=1e-10)


def test_cdf_and_crps_by_quadrature():
    mixture, y = mixture_of(1), np.array([[-2.0], [0.0], [0.3], [5.0]])
    grid = np.linspace(-60.0, 60.0, 200_001)
    for row in range(4):
        cdf = sum(w * scipy.stats.norm(c.mean[0], np.sqrt(c.cov[0, 0])).cdf(grid) for w, c in by_scipy(mixture, row))
        crps = scipy.integrate.trapezoid((cdf - (grid >= y[row])) ** 2, grid)
        assert mixture.crps(y)[row, 0] == pytest.approx(crps, abs=1e-3)
        assert mixture.cdf(y)[row, 0] == pytest.approx(np.interp(y[row, 0], grid, cdf), abs=1e-6)


def test_draws_score_like_the_parameters_they_are_drawn_from():
    mixture, y = mixture_of(2, n=300), np.random.default_rng(2).normal(size=(300, 2))

    def draw(count):
        rng = np.random.default_rng(3)
        index = np.stack([rng.choice(3, count, p=np.exp(row)) for row in mixture.log_weights], 1)  # [S, n]
        rows = np.arange(300)
        noise = rng.normal(size=(count, 300, 2, 1))
        return mixture.loc[rows, index] + (mixture.scale_tril[rows, index] @ noise)[..., 0]

    location, scale = np.array([5.0, -1.0]), np.array([10.0, 0.1])
    sampled = scoring.Sampled(mixture.log_prob, draw).in_units(location, scale)
    received = scoring.score(sampled, location + scale * y)
    expected = scoring.score(mixture.in_units(location, scale), location + scale * y)
    assert received["nll"] == pytest.approx(expected["nll"], rel=1e-10)
    for name in ("rmse", "coverage", "crps"):
        assert received[name] == pytest.approx(expected[name], rel=0.02)


def test_the_true_density_scores_as_it_should():
    """Standard normals: entropy, RMSE 1, coverage 0.9, CRPS 1 / sqrt(pi)."""
    n = 200_000
    truth = scoring.NormalMixture.of(np.zeros((n, 1)), np.zeros((n, 1, 1)), np.ones((n, 1, 1)))
    scores = scoring.score(truth, np.random.default_rng(0).normal(size=(n, 1)))
    expected = {"nll": 0.5 * np.log(2 * np.pi * np.e), "rmse": 1.0, "coverage": 0.9, "crps": 1 / np.sqrt(np.pi)}
    assert scores == pytest.approx(expected, abs=5e-3)


def test_a_conditioned_joint_mixture_is_the_ratio_of_densities():
    rng = np.random.default_rng(4)
    weights, means = rng.dirichlet(np.ones(3)), rng.normal(size=(3, 4))
    factors = rng.normal(size=(3, 4, 4))
    covariances = factors @ factors.transpose(0, 2, 1) + 0.1 * np.eye(4)
    rows = rng.normal(size=(6, 4))
    joint, marginal = (
        sum(
            w * scipy.stats.multivariate_normal(m[:size], c[:size, :size]).pdf(rows[:, :size])
            for w, m, c in zip(weights, means, covariances)
        )
        for size in (4, 2)
    )
    fitted = types.SimpleNamespace(covariance_type="full", weights_=weights, means_=means, covariances_=covariances)
    received = peers.condition(fitted, rows[:, :2]).log_prob(rows[:, 2:])
    np.testing.assert_allclose(received, np.log(joint / marginal), rtol=1e-9)


@pytest.mark.parametrize(
    ("event_shape", "covariance"), [((), "diag"), ((1,), "diag"), ((2,), "spherical"), ((2,), "full")]
)
def test_the_parameters_of_a_tfmdn_mixture(event_shape, covariance):
    layer = tfmdn.MDNLayer(3, event_shape, covariance=covariance, kernel_initializer="he_normal")
    rng = np.random.default_rng(0)
    mixture, y = layer(rng.normal(size=(5, 4))), rng.normal(size=(5, *event_shape))
    received = peers.prediction_of(mixture).log_prob(y.reshape(5, -1))
    np.testing.assert_allclose(received, mixture.log_prob(y), rtol=1e-5)


@pytest.mark.parametrize("event_shape", [(), (2,)])
def test_components_that_are_not_normal_are_scored_by_draws(event_shape):
    layer = tfmdn.MDNLayer(3, event_shape, support=(-1.0, 1.0), kernel_initializer="he_normal")
    mixture = layer(np.random.default_rng(0).normal(size=(5, 4)))
    y = np.random.default_rng(1).uniform(-1.0, 1.0, (5, *event_shape))
    prediction, columns = peers.prediction_of(mixture), y.reshape(5, -1)
    np.testing.assert_allclose(prediction.log_prob(columns), mixture.log_prob(y), rtol=1e-5)
    np.testing.assert_allclose(prediction.mean(), np.reshape(mixture.mean(), columns.shape), atol=0.1)
    np.testing.assert_allclose(prediction.cdf(columns), np.reshape(mixture.cdf(y), columns.shape), atol=0.07)


@pytest.mark.parametrize(
    ("y", "step"),
    [
        (np.tile([3, 4, 5, 8], 25), 1.0),
        (np.tile([0.0, 0.5, 1.0], 25), 0.5),
        (np.tile([0.0, 0.5, 1.2], 25), 0.0),
        (np.zeros(100), 0.0),
        (np.arange(100), 0.0),
        (np.random.default_rng(0).normal(size=100), 0.0),
    ],
    ids=["gaps", "halves", "uneven", "constant", "many", "continuous"],
)
def test_targets_of_few_equidistant_values(y, step):
    assert tasks.step_of(y[:, np.newaxis]) == step


def test_folders_are_read_by_their_format(tmp_path):
    quality.write_folder(tmp_path / "any name")
    found = list(tasks.folder_tasks(tmp_path))
    assert [(task.dataset, task.split, task.n) for task in found] == [
        ("any name", 0, 100),
        ("any name-dequantized", 0, 100),
    ]
    plain, noisy = (task.load() for task in found)
    assert plain.x.shape == (100, 2)
    assert plain.y_test.shape == (20, 1)
    assert np.all(np.abs(noisy.y - plain.y) <= 0.5)
    assert len(np.unique(noisy.y)) == 100
    assert not list(tasks.folder_tasks(tmp_path, splits=[7]))


def test_a_third_is_left_out_in_the_middle_or_at_the_ends():
    values = np.array([5, 0, 1, 3, 3, 4, 2, 6, 7, 8, 9, 10, 11.0])
    assert sorted(values[tasks.left_out(values, "gap")]) == [3, 4, 5, 6]
    assert sorted(values[tasks.left_out(values, "tail")]) == [0, 1, 2, 9, 10, 11]
    assert [tasks.left_out(np.zeros(600), kind).sum() for kind in ("gap", "tail")] == [200, 200]
    assert 50 < tasks.left_out(np.zeros(600), "gap")[:300].sum() < 150


def test_folders_are_split_off_their_data(tmp_path):
    quality.write_folder(tmp_path / "d")
    found = list(tasks.off_data_tasks(tmp_path, dequantize=False))
    assert [(task.suite, task.split, task.n) for task in found] == [
        ("gap", 0, 80),
        ("gap", 1, 80),
        ("tail", 0, 80),
        ("tail", 1, 80),
    ]
    gap, tail = found[1].load(), found[3].load()
    assert gap.x_test[:, 1].max() < gap.x[:, 1].max()
    assert gap.x_test[:, 1].min() > gap.x[:, 1].min()
    assert (np.abs(tail.x_test[:, 1]).min() > np.abs(tail.x[:, 1])).mean() > 0.9


def test_means_over_features_leave_out_those_that_were_not_published(capsys):
    record = {"dataset": "boston-housing", "method": "tfmdn", "rmse": 1.0, "coverage": 0.9}
    quality_report.print_off_data("Gaps", [{**record, "split": split, "nll": split} for split in range(5)])
    tables = capsys.readouterr().out.split("###")
    assert "| tfmdn | 2.000 ±" in tables[1]
    assert "| tfmdn | 1.750 ±" in tables[2]


def test_the_limit_is_of_the_test_rows_themselves():
    data = tasks.load_known("inverse_sinusoid", split=1, n=50, test_rows=2000)
    assert data.x.shape == (50, 1)
    assert data.limit == -tasks.KNOWN["inverse_sinusoid"].log_prob(data.x_test, data.y_test).mean()


def test_coarse_targets_keep_what_they_tell():
    load = {name: tasks.load_known(name, split=1, n=200, test_rows=40) for name in tasks.COARSE}
    for name, data in load.items():
        assert data.limit == -tasks.COARSE[name].log_prob(data.x_test, data.y_test).mean()
    assert load["tobit"].y.shape == (200, 1)
    assert np.any(np.isinf(load["censored_weibull"].y[:, 1]))
    assert load["censored_weibull"].arguments == {"intervals": True}
    assert np.any(np.isnan(load["robot_arm_missing"].y[:, 1]))
    assert not load["robot_arm_missing"].arguments


@pytest.mark.parametrize("name", coarse.TABLES)
def test_tables_know_their_distribution(name):
    table, rng = coarse.TABLES[name], np.random.default_rng(0)
    x = np.tile(rng.normal(size=coarse.NUM_FEATURES), (20_000, 1))
    y = table.draw(x, rng)
    atoms = np.array([value for value, count in zip(*np.unique(y, return_counts=True)) if count > 1])
    is_discrete = len(atoms) >= 5
    if is_discrete:
        atoms = np.arange(y.min(), y.max() + 1.0)
    weights = np.exp(table.log_prob(x[: len(atoms)], atoms))
    mass, mean = weights.sum(), weights @ atoms
    if not is_discrete:  # the rest has a density
        grid = np.setdiff1d(np.linspace(y.min(), y.max(), 4_001), atoms)
        density = np.exp(table.log_prob(x[: len(grid)], grid))
        mass += scipy.integrate.trapezoid(density, grid)
        mean += scipy.integrate.trapezoid(density * grid, grid)
    assert mass == pytest.approx(1.0, abs=0.01)
    assert mean == pytest.approx(y.mean(), abs=0.05 * y.std())
    low, high = coarse.interval(name, x[:1], 0.9)[0]
    assert np.mean((low <= y) & (y <= high)) > 0.88


def test_coverage_where_no_edge_is():
    estimator = types.SimpleNamespace(
        score=lambda x, y: -1.5, predict_interval=lambda x, coverage: np.tile([0.5, 2.5], (len(x), 1))
    )
    y, interval = np.array([[0.0], [0.0], [1.0], [3.0]]), np.tile([0.0, 1.0], (4, 1))
    data = tasks.CoarseData(y, y, y, y, limit=1.0, edges=(0.0,), interval=interval)
    assert scoring.coarse_scores(estimator, data) == {
        "nll": 1.5,
        "excess": 0.5,
        "coverage": 0.25,
        "inner": 0.5,
        "true_coverage": 0.75,
        "true_inner": 0.5,
    }


def test_only_some_methods_learn_coarse_targets():
    chosen = [*tasks.known_tasks(["robot_arm", "tobit"], [0], [60]), next(tasks.table_tasks([0]))]
    methods = {"tfmdn": peers.METHODS["tfmdn"], "ngboost": Broken()}
    assert [(task.dataset, task.suite, name) for task, name in quality.cells(chosen, methods)] == [
        ("robot_arm", "known", "tfmdn"),
        ("robot_arm", "known", "ngboost"),
        ("tobit", "coarse", "tfmdn"),
        ("rain", "tables", "tfmdn"),
    ]


class Broken(peers.Method):
    def fit(self, x, y, seed):
        raise RuntimeError("on purpose")


def test_finished_cells_are_skipped_and_failures_tried_again(tmp_path, capsys, monkeypatch):
    path, freed = tmp_path / "new" / "results.jsonl", []
    monkeypatch.setattr(quality, "free_memory", lambda: freed.append(True))  # which takes seconds in a large process
    methods = {"gaussian-mixture": peers.JointMixture((1,)), "ngboost": Broken()}
    cells = [(task, name) for task in tasks.known_tasks(["inverse_sinusoid"], [0, 1], [60], 100) for name in methods]
    assert quality.run(cells, methods, path) == 4
    path.write_text(path.read_text()[:-20])  # killed while it wrote the last line
    assert quality.run(cells, methods, path) == 2
    other = {**methods, "gaussian-mixture": peers.JointMixture((2,))}
    assert quality.run(cells[:2], other, path) == 2  # one split anew
    assert len(freed) == 8
    records = quality_report.read(path)
    assert [record["split"] for record in records] == [0, 1, 0]
    assert all(record["excess"] > 0 and record["versions"] for record in records)
    capsys.readouterr()
    quality_report.report(path, tmp_path)
    printed = capsys.readouterr().out
    assert "the cells of gaussian-mixture come from 2 configurations" in printed
    assert "ngboost: failed, RuntimeError('on purpose')" in printed
    assert (tmp_path / "known.png").exists()


def test_tables_are_paired_by_split(capsys):
    def record(method, split, nll):
        return {"suite": "uci", "dataset": "d", "split": split, "n": 9, "method": method, "nll": nll}

    records = [record("tfmdn", 0, 1.0), record("tfmdn", 1, 3.0), record("ngboost", 0, 1.5), record("ngboost", 1, 3.7)]
    quality_report.print_tables("Test NLL", records, "dataset", "nll", 2)
    lines = capsys.readouterr().out.splitlines()
    assert "| tfmdn | 2.00 ± 1.00 |" in lines
    assert lines[-1] == "| NGBoost | 0.60 ± 0.10 |"


def test_tables_with_coarse_targets_are_reported_one_a_line(capsys):
    scores = {"nll": 1.0, "excess": 0.1, "coverage": 0.9, "inner": 0.8, "true_coverage": 0.91, "true_inner": 0.83}
    record = {"suite": "tables", "dataset": "rain", "n": 9, "method": "tfmdn", **scores}
    quality_report.print_by_dataset([{**record, "split": split} for split in range(2)])
    last = capsys.readouterr().out.splitlines()[-1]
    assert last.startswith("| rain | 1.000 ± 0.000 | 0.100 ± 0.000 | 0.900 ± 0.000 (true: 0.910) | 0.800")


def test_the_report_is_of_what_ran_last(tmp_path):
    cell = {"suite": "known", "dataset": "a", "split": 0, "n": 9, "method": "tfmdn"}
    lines = [
        {**cell, "config": "first", "error": "out of memory"},
        {**cell, "config": "second", "nll": 2.0},
        {**cell, "config": "first", "nll": 1.0},
    ]
    (tmp_path / "results").write_text("\n".join(map(json.dumps, lines)))
    assert [record["nll"] for record in quality_report.current(quality_report.read(tmp_path / "results"))] == [1.0]


def test_integers():
    assert quality.integers("0,2,5-7") == [0, 2, 5, 6, 7]


def test_every_method_has_a_label_and_a_quick_size():
    assert list(peers.METHODS) == list(peers.QUICK) == list(quality_report.LABELS)
    hashes = {quality.config_hash(method) for name, method in peers.METHODS.items() if not name.startswith("tfmdn")}
    assert len(hashes) == len(peers.METHODS) - 2
    assert json.dumps([method.packages for method in peers.METHODS.values()])
