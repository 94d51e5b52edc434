"""MLflow: what autolog logs is the model's, and what is loaded again predicts the same."""

import keras
import numpy as np
import pytest

import tfmdn

mlflow = pytest.importorskip("mlflow")
pytest.importorskip("skops")
OURS = ["tfmdn.tabular.regressor.MDNRegressor"]
# To look for what a model imports MLflow starts a process, which takes longer than all else here.
NOTHING = {"pip_requirements": []}


@pytest.fixture(autouse=True, scope="module")
def store(tmp_path_factory):
    folder = tmp_path_factory.mktemp("mlflow")
    mlflow.set_tracking_uri(f"sqlite:///{folder}/mlflow.db")
    mlflow.set_experiment(experiment_id=mlflow.create_experiment("tests", (folder / "artifacts").as_uri()))
    yield
    mlflow.set_tracking_uri(None)


def compiled(y):
    head = tfmdn.MDNLayer(3)
    head.adapt(y)
    model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(16, "silu"), head])
    model.compile(keras.optimizers.Adam(1e-2), tfmdn.NegativeLogLikelihood(), metrics=["mae", tfmdn.metrics.CRPS()])
    return model


def test_autolog(train, test):
    x_test, y_test = test[0][:96], test[1][:96]  # whole batches: Keras' own metrics average over these
    mlflow.tensorflow.autolog()
    try:
        model = compiled(train[1])
        with mlflow.start_run() as run:
            health = tfmdn.ComponentHealth((x_test, y_test))
            model.fit(*train, epochs=2, validation_data=(x_test, y_test), callbacks=[health], verbose=0)
    finally:
        mlflow.tensorflow.autolog(disable=True)
    data = mlflow.get_run(run.info.run_id).data
    mixture = model(x_test)
    nll = tfmdn.negative_log_likelihood(y_test, mixture).numpy().mean()
    assert data.metrics["val_loss"] == pytest.approx(nll, rel=1e-5)
    assert data.metrics["val_crps"] == pytest.approx(tfmdn.crps(y_test, mixture).numpy().mean(), rel=1e-5)
    assert data.metrics["val_mae"] == pytest.approx(np.abs(mixture.numpy() - y_test).mean(), rel=1e-5)
    assert data.metrics["dead_components"] == health.history[next(iter(health.history))]["dead_components"][-1]
    assert data.params["epochs"] == "2"
    steps = mlflow.MlflowClient().get_metric_history(run.info.run_id, "val_loss")
    assert [metric.step for metric in steps] == [0, 1]

    (logged,) = mlflow.search_logged_models(filter_string=f"source_run_id='{run.info.run_id}'", output_format="list")
    again = mlflow.tensorflow.load_model(logged.model_uri)
    np.testing.assert_array_equal(again(x_test).log_prob(y_test), mixture.log_prob(y_test))
    assert isinstance(again.loss, tfmdn.NegativeLogLikelihood)
    served = mlflow.pyfunc.load_model(logged.model_uri)
    np.testing.assert_array_equal(np.ravel(served.predict(x_test)), model.predict(x_test, verbose=0))


@pytest.mark.parametrize("flavour", ["tensorflow", "keras"])
def test_flavours_of_keras(flavour, train, tmp_path):
    model = compiled(train[1])
    flavour = getattr(mlflow, flavour)
    flavour.save_model(model, str(tmp_path / "model"), **NOTHING)
    again = flavour.load_model(str(tmp_path / "model"))
    np.testing.assert_array_equal(again(train[0]).log_prob(train[1]), model(train[0]).log_prob(train[1]))


@pytest.mark.parametrize("kind", ["regressor", "of_two"])
def test_flavour_of_scikit_learn(kind, request, train, tmp_path):
    fitted, x = request.getfixturevalue(kind), train[0]
    path = str(tmp_path / "model")
    with pytest.raises(mlflow.exceptions.MlflowException, match=r"tfmdn.tabular.regressor.MDNRegressor"):
        mlflow.sklearn.save_model(fitted, str(tmp_path / "refused"), **NOTHING)
    mlflow.sklearn.save_model(fitted, path, skops_trusted_types=OURS, input_example=x[:5], **NOTHING)
    served = mlflow.pyfunc.load_model(path)
    np.testing.assert_array_equal(served.predict(x), fitted.predict(x))
    assert served.metadata.signature.inputs.inputs[0].shape == (-1, 3)
    assert served.metadata.signature.outputs.inputs[0].shape == ((-1, 2) if kind == "of_two" else (-1,))
    again = mlflow.sklearn.load_model(path)
    np.testing.assert_array_equal(again.predict_interval(x, conformal=True), fitted.predict_interval(x, conformal=True))


def test_a_frame(frame, small, tmp_path):
    # MLflow has no type for durations and categories.
    table = frame[0].drop(columns="wait").assign(size=frame[0]["size"].astype(str))
    fitted = tfmdn.MDNRegressor(**small).fit(table, frame[1])
    path = str(tmp_path / "model")
    signature = mlflow.models.infer_signature(table, fitted.predict(table))
    mlflow.sklearn.save_model(
        fitted, path, skops_trusted_types=OURS, signature=signature, input_example=table[:5], **NOTHING
    )
    served = mlflow.pyfunc.load_model(path)
    assert served.metadata.signature.inputs.input_names() == list(table)
    np.testing.assert_array_equal(served.predict(table), fitted.predict(table))
    np.testing.assert_array_equal(served.predict(table[list(table)[::-1]]), fitted.predict(table))
    # As a server sends it: missing numbers, and dates as text.
    example = served.input_example
    np.testing.assert_array_equal(served.predict(example), fitted.predict(table[:5]))
    with pytest.raises(mlflow.exceptions.MlflowException, match="missing inputs"):
        served.predict(table.drop(columns="city"))


def test_durations_and_categories_without_a_signature(of_frame, frame, tmp_path):
    path = str(tmp_path / "model")
    mlflow.sklearn.save_model(of_frame, path, skops_trusted_types=OURS, **NOTHING)
    np.testing.assert_array_equal(mlflow.pyfunc.load_model(path).predict(frame[0]), of_frame.predict(frame[0]))


class Quantiles(mlflow.pyfunc.PythonModel):
    """As docs/tools/mlflow.md has it."""

    def load_context(self, context):
        self.regressor = tfmdn.MDNRegressor.load(context.artifacts["regressor"])

    def predict(self, context, model_input, params=None):
        return self.regressor.predict_quantiles(model_input, params["quantiles"])


@pytest.mark.filterwarnings("ignore:.*type hint")
def test_quantiles_by_a_model_of_one_s_own(regressor, train, tmp_path):
    regressor.save(tmp_path / "regressor.keras")
    path, x = str(tmp_path / "model"), train[0]
    signature = mlflow.models.infer_signature(
        x, regressor.predict_quantiles(x, [0.1, 0.9]), params={"quantiles": [0.1, 0.9]}
    )
    mlflow.pyfunc.save_model(
        path,
        python_model=Quantiles(),
        artifacts={"regressor": str(tmp_path / "regressor.keras")},
        signature=signature,
        **NOTHING,
    )
    served = mlflow.pyfunc.load_model(path)
    np.testing.assert_array_equal(served.predict(x), regressor.predict_quantiles(x, [0.1, 0.9]))
    np.testing.assert_array_equal(
        served.predict(x, params={"quantiles": [0.25, 0.5, 0.75]}), regressor.predict_quantiles(x, [0.25, 0.5, 0.75])
    )


def test_figures_and_settings_of_a_regressor(regressor, test):
    figures = regressor.evaluate(*test)
    with mlflow.start_run() as run:
        mlflow.log_params(regressor.get_params())
        mlflow.log_metrics(figures)
    data = mlflow.get_run(run.info.run_id).data
    assert data.metrics == pytest.approx(dict(figures))
    assert data.params["num_components"] == "2"
