"""skops: a regressor in a file that holds no code."""

import keras
import numpy as np
import pytest
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import tfmdn

skops_io = pytest.importorskip("skops.io")
OURS = ["tfmdn.tabular.regressor.MDNRegressor"]


@pytest.mark.parametrize("kind", ["regressor", "of_frame", "of_two"])
def test_one_type_is_to_be_trusted(kind, request, train, frame):
    fitted = request.getfixturevalue(kind)
    x = frame[0] if kind == "of_frame" else train[0]
    content = skops_io.dumps(fitted)
    assert skops_io.get_untrusted_types(data=content) == OURS
    with pytest.raises(skops_io.exceptions.UntrustedTypesFoundException):
        skops_io.loads(content)
    again = skops_io.loads(content, trusted=OURS)
    for ask in ("predict", "predict_interval"):
        np.testing.assert_array_equal(getattr(again, ask)(x), getattr(fitted, ask)(x))
    np.testing.assert_array_equal(again.predict_interval(x, conformal=True), fitted.predict_interval(x, conformal=True))
    assert again.get_params() == fitted.get_params()


def test_pipelines_and_what_is_not_fitted(train, small, tmp_path):
    pipeline = make_pipeline(StandardScaler(), tfmdn.MDNRegressor(**small)).fit(*train)
    skops_io.dump(pipeline, tmp_path / "pipeline.skops")
    again = skops_io.load(tmp_path / "pipeline.skops", trusted=OURS)
    np.testing.assert_array_equal(again.predict(train[0]), pipeline.predict(train[0]))
    new = skops_io.loads(skops_io.dumps(tfmdn.MDNRegressor(**small)), trusted=OURS)
    assert new.get_params() == tfmdn.MDNRegressor(**small).get_params()


def network():
    return keras.Sequential([keras.layers.Dense(8, "tanh")])


def test_a_network_of_one_s_own_is_to_be_trusted_as_well(train, small):
    content = skops_io.dumps(tfmdn.MDNRegressor(**small, network=network).fit(*train))
    types = skops_io.get_untrusted_types(data=content)
    assert set(types) == {*OURS, f"{__name__}.network"}
    assert skops_io.loads(content, trusted=types).network is network
