"""scikit-learn has the private names that `sklearn_internals` uses, and they mean what is read of them."""

import numpy as np
import pytest
import sklearn
from sklearn.ensemble import HistGradientBoostingRegressor

from tfmdn import sklearn_internals

X = np.repeat([[0.0], [1.0], [2.0], [np.nan]], 20, axis=0)
Y = np.repeat([1.0, 4.0, 5.0, -2.0], 20)


def model_of(**kwargs):
    return HistGradientBoostingRegressor(max_iter=2, learning_rate=1.0, min_samples_leaf=2, **kwargs).fit(X, Y)


@pytest.mark.parametrize("name", ["_predictors", "_baseline_prediction"])
def test_sklearn_has_the_name(name):
    assert hasattr(model_of(), name), f"scikit-learn {sklearn.__version__}: see tfmdn/sklearn_internals.py"


def test_sklearn_has_the_fields():
    names = model_of()._predictors[0][0].nodes.dtype.names
    assert set(sklearn_internals.NODE_FIELDS) <= set(names), f"scikit-learn {sklearn.__version__}"


def test_what_they_mean():
    model = model_of()
    assert sklearn_internals.baseline(model) == Y.mean()
    first, second = sklearn_internals.boosted_nodes(model)
    reached = []
    for value in X[:, 0]:
        node = first[0]
        while not node["is_leaf"]:
            assert node["feature_idx"] == 0
            goes_left = node["missing_go_to_left"] if np.isnan(value) else value <= node["num_threshold"]
            node = first[node["left"] if goes_left else node["right"]]
        reached.append(node["value"])
    np.testing.assert_allclose(Y.mean() + np.array(reached), Y)
    np.testing.assert_allclose(second["value"][second["is_leaf"] == 1], 0.0, atol=1e-12)  # the first left nothing


def test_other_names_are_an_error():
    with pytest.raises(RuntimeError, match="_predictors"):
        sklearn_internals.boosted_nodes(object())
    with pytest.raises(RuntimeError, match="_baseline_prediction"):
        sklearn_internals.baseline(object())
    model = model_of()
    model._predictors = [[type("Predictor", (), {"nodes": np.zeros(1, [("value", float)])})]]
    with pytest.raises(RuntimeError, match="num_threshold"):
        sklearn_internals.boosted_nodes(model)


def test_categories_are_refused():
    with pytest.raises(NotImplementedError, match="split by category"):
        sklearn_internals.boosted_nodes(model_of(categorical_features=[0]))
