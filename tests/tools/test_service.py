"""examples/service.py: its answers are the model's, whoever else asks, and it says what is wrong with a row."""

import concurrent.futures
import json
import pathlib
import sys

import numpy as np
import pytest
import tensorflow as tf

EXAMPLES = pathlib.Path(__file__).parents[2] / "examples"
ROW = {"age": 41.0, "city": "Oslo"}


@pytest.fixture(scope="module")
def service():
    pytest.importorskip("fastapi")
    pytest.importorskip("httpx")
    sys.path.insert(0, str(EXAMPLES))
    import service

    sys.path.remove(str(EXAMPLES))
    return service


@pytest.fixture(scope="module")
def folder(service, tmp_path_factory, quick_graphs):
    return service.train_a_small_one(tmp_path_factory.mktemp("service"), trees=False)


@pytest.fixture(scope="module")
def client(service, folder):
    from fastapi.testclient import TestClient

    with TestClient(service.create_app(folder)) as client:
        yield client


@pytest.fixture(scope="module")
def loaded(folder):
    return tf.saved_model.load(str(folder))


def test_answers_are_those_of_the_model(client, loaded):
    rows = [ROW, {"age": 65, "city": "Rome"}, {"age": None, "city": None}]
    body = {"rows": rows, "quantiles": [0.5, 0.1], "coverage": [0.8, 0.5]}
    response = client.post("/predict", json=body)
    assert response.status_code == 200, response.text
    answer = response.json()
    x = {"age": tf.constant([41.0, 65.0, np.nan], tf.float64), "city": tf.constant(["Oslo", "Rome", ""])}
    for name in ("mean", "stddev"):
        np.testing.assert_allclose(answer[name], loaded.signatures["serving_default"](**x)[name], rtol=1e-6)
    levels = [0.1, 0.25, 0.5, 0.75, 0.9]
    expected = dict(
        zip(levels, loaded.signatures["quantile"](**x, q=tf.constant(levels, tf.float64))["quantile"].numpy())
    )
    for level in (0.1, 0.5):
        np.testing.assert_allclose(answer["quantiles"][str(level)], expected[level], rtol=1e-6)
    for share, ends in {"0.8": (0.1, 0.9), "0.5": (0.25, 0.75)}.items():
        np.testing.assert_allclose(answer["intervals"][share], np.stack([expected[end] for end in ends], -1), rtol=1e-6)


def test_requests_at_once_share_calls_and_get_their_own_answers(client):
    batcher = client.app.state.batcher
    ages, calls = np.linspace(20.0, 80.0, 60), batcher.calls
    levels = [[0.5], [0.1, 0.9]]

    def ask(number):
        body = {"rows": [{"age": ages[number], "city": "Oslo"}] * (1 + number % 3), "quantiles": levels[number % 2]}
        return client.post("/predict", json=body).json()

    alone = [ask(number) for number in range(6)]
    assert batcher.calls == calls + 6
    with concurrent.futures.ThreadPoolExecutor(16) as pool:
        answers = list(pool.map(ask, range(60)))
    assert batcher.calls < calls + 6 + 60
    for number, answer in enumerate(answers):
        assert len(answer["mean"]) == 1 + number % 3
        assert list(answer["quantiles"]) == list(map(str, levels[number % 2]))
    for answer, expected in zip(answers, alone):
        np.testing.assert_allclose(answer["mean"], expected["mean"], rtol=1e-6)
        np.testing.assert_allclose(*(list(each["quantiles"].values()) for each in (answer, expected)), rtol=1e-6)
    assert np.all(np.diff([answer["mean"][0] for answer in answers][::10]) > 0)  # the target rises with age


BAD = {
    "text for a number": ({"rows": [ROW, {"age": "old", "city": "Oslo"}]}, "row 1, field 'age': expected a number"),
    "a number for text": ({"rows": [{"age": 3.0, "city": 4}]}, "row 0, field 'city': expected text. Received: 4."),
    "a list for a number": ({"rows": [{"age": [1], "city": "Oslo"}]}, "row 0, field 'age': expected a number"),
    "a number beyond all": ({"rows": [{"age": 10**400, "city": "Oslo"}]}, "row 0, field 'age': expected a number"),
    "half of a character": ({"rows": [{"age": 3.0, "city": "\ud800"}]}, "row 0, field 'city': expected text"),
    "missing": ({"rows": [{"age": 3.0}]}, "row 0, field 'city': is missing."),
    "unknown": ({"rows": [{**ROW, "size": 1}]}, "row 0, field 'size': is unknown."),
    "a list": ({"rows": [[1.0, 2.0]]}, "row 0: expected an object of age, city. Received: a list."),
    "no rows": ({"rows": []}, "rows: expected 1 to 10,000. Received: 0."),
    "no rows at all": ({}, "rows: Field required."),
    "a level": (
        {"rows": [ROW], "quantiles": [0.5, 1.5]},
        "quantiles: expected numbers between 0 and 1. Received: 1.5.",
    ),
    "a share": ({"rows": [ROW], "coverage": [0.0]}, "coverage: expected numbers between 0 and 1. Received: 0.0."),
}


@pytest.mark.parametrize("case", BAD)
def test_what_is_wrong_is_said(client, case):
    body, expected = BAD[case]
    response = client.post("/predict", content=json.dumps(body), headers={"Content-Type": "application/json"})
    assert response.status_code == 400
    assert response.json()["detail"].startswith(expected)


def test_bad_rows_leave_others_alone(client):
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        bodies = [{"rows": [ROW]}, {"rows": [{"age": "x", "city": "Oslo"}]}] * 8
        codes = [response.status_code for response in pool.map(lambda body: client.post("/predict", json=body), bodies)]
    assert codes == [200, 400] * 8


def test_health(client):
    response = client.get("/health")
    assert response.json() == {"status": "ok", "inputs": {"age": "float64", "city": "string"}}


def test_rows_of_numbers(service, tmp_path):
    """A model of an array takes lists of numbers."""
    import keras
    from fastapi.testclient import TestClient

    import tfmdn

    model = keras.Sequential([keras.Input((2,)), tfmdn.MDNLayer(2)])
    tfmdn.export_saved_model(model, tmp_path / "model")
    with TestClient(service.create_app(tmp_path / "model")) as client:
        answer = client.post("/predict", json={"rows": [[1.0, 2.0], [0.0, 1.0]]}).json()
        np.testing.assert_allclose(answer["mean"], model(np.array([[1.0, 2.0], [0.0, 1.0]])).mean(), rtol=1e-5)
        for row, expected in (
            ([1.0], "row 0: expected a list of 2"),
            ([1.0, "a"], "row 0, field 1: expected a number"),
        ):
            response = client.post("/predict", json={"rows": [row]})
            assert response.status_code == 400
            assert response.json()["detail"].startswith(expected)
