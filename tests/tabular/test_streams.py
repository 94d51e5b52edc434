"""Rows of datasets that are larger than memory: the sample, and what is refused."""

import numpy as np
import pytest
import scipy.stats
import tensorflow as tf

from tfmdn.tabular import plans, streams
from tfmdn.tabular.progress import Progress

Dataset = tf.data.Dataset
X, Y = np.arange(600.0).reshape(300, 2), np.arange(300)


def sample(dataset, most_rows=0):
    return streams.sample(dataset, most_rows, Progress())


def test_few_rows_stay_as_they_are():
    parts = X.astype(np.float32), Y, X[:, 0]
    features, y, weights = sample(Dataset.from_tensor_slices(parts).batch(64))
    for part, expected in zip((features, y, weights), parts):
        np.testing.assert_array_equal(part, expected[1:])  # the first has a weight of 0
        assert part.dtype == expected.dtype
    names = np.array(["", "Zürich", "x" * 100] * 100)
    columns = {"b": Y, "a": Y / 2, "c": names}
    features, y, weights = sample(Dataset.from_tensor_slices((columns, X)).batch(7).skip(1))
    assert list(features) == ["b", "a", "c"]
    assert features["c"].tolist() == names[7:].tolist()
    assert isinstance(features["c"][0], str)
    np.testing.assert_array_equal(features["b"], Y[7:])
    np.testing.assert_array_equal(y, X[7:])
    assert weights is None


@pytest.mark.parametrize("limit", ["rows", "bytes"])
def test_the_sample_of_many_rows_is_uniform(limit, monkeypatch, capsys):
    monkeypatch.setattr(streams, "FEWEST_ROWS", 500)
    most_rows = {"rows": 1_000, "bytes": 10**9}[limit]
    if limit == "bytes":
        monkeypatch.setattr(streams, "MOST_BYTES", 24 * 1_000)  # two features and a target
    rows = np.arange(30_000.0)
    dataset = Dataset.from_tensor_slices((np.stack([rows, -rows], 1), 2 * rows)).batch(4_999)
    features, y, _ = streams.sample(dataset, most_rows, Progress(shown=True))
    assert len(set(y)) == len(y) == 1_000
    np.testing.assert_array_equal(features, np.stack([y / 2, -y / 2], 1))
    assert scipy.stats.kstest(y / 60_000, "uniform").pvalue > 1e-3
    assert "1,000 of 30,000 rows are learnt from, drawn at random." in capsys.readouterr().out
    assert len(streams.sample(dataset, 20, Progress())[1]) == 500


def test_as_many_rows_as_a_training_sees():
    assert plans.most_rows("auto", "auto") == 1_536_000
    assert plans.most_rows(10, "auto") == 120_000
    assert plans.most_rows(10, 50) == 500


REFUSED = {
    "no end": (Dataset.from_tensors((X, Y)).repeat(), "A dataset must end.*num_epochs=1"),
    "features alone": (
        Dataset.from_tensors(X),
        r"elements \(features, y\).*Received: elements of TensorSpec",
    ),
    "rows": (Dataset.from_tensor_slices((X, Y)), r"Rows come in batches: dataset\.batch"),
    "rows by name": (Dataset.from_tensor_slices(({"a": Y}, Y)), r"Rows come in batches: dataset\.batch"),
    "images": (Dataset.from_tensors((X.reshape(3, 100, 2), Y)), "Received: TensorSpec.*3, 100, 2"),
    "ragged": (Dataset.from_tensors((tf.ragged.constant([[1.0], []]), Y)), "Received: RaggedTensorSpec"),
    "other numbers of rows": (Dataset.from_tensors((X, Y[1:])), r"a batch with parts of \[300, 299\] rows"),
    "nothing": (Dataset.from_tensors((X, Y)).take(0), "Received: no rows"),
}


@pytest.mark.parametrize(("dataset", "message"), REFUSED.values(), ids=REFUSED)
def test_refused(dataset, message):
    with pytest.raises(ValueError, match=message):
        sample(dataset)
