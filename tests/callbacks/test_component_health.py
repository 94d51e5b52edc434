"""ComponentHealth: what it finds in networks made sick on purpose, in every kind of model, and how it heals them."""

import warnings

import keras
import numpy as np
import pytest
import tensorflow as tf
from cases import COMPONENTS, case_name, layer_of, two_replicas

import tfmdn
from tfmdn.callbacks import observation
from tfmdn.callbacks.component_health import ComponentHealth, ComponentHealthWarning
from tfmdn.layers import links

pytestmark = pytest.mark.usefixtures("quick_graphs")
# All that give the head's weights a layout of their own: (1,) has that of a scalar, and so has its spherical kind.
KINDS = [case for case in COMPONENTS if case[2] == (3,) or (case[1] == "diag" and case[2] == ())]
every_kind = pytest.mark.parametrize("case", KINDS, ids=case_name)
FIGURES = ["effective_components", "dead_components", "largest_weight", "share_at_floor", "share_at_ceiling"]
MIN_SCALE = 0.01  # in units of the target's scale
K = 4


def data_of(case=("normal", "diag", ()), n=200):
    rng = np.random.default_rng(0)
    x = rng.normal(size=(n, 3)).astype("float32")
    return x, np.exp(0.3 * rng.normal(size=(n, *case[2])) + 4.0).astype("float32")


def model_of(case=("normal", "diag", ()), **kwargs):
    """A model whose head knows the target's units."""
    head = layer_of(case, K, min_scale=MIN_SCALE, name="head", **kwargs)
    head.adapt(data_of(case)[1])
    return keras.Sequential([keras.Input((3,)), head])


def set_bias(head, block, component, value):
    """Sets the raw logit, or the raw scales, of one component, for every input."""
    (columns,) = (each.columns[component] for each in head.raw_outputs.blocks if each.name == block)
    kernel, bias = head.dense.kernel.numpy(), head.dense.bias.numpy()
    kernel[:, columns], bias[columns] = 0.0, value
    head.dense.set_weights([kernel, bias])


def begin(health, model):
    health.set_model(model)
    health.on_train_begin()
    return health


def look(health, epoch=0):
    """The logs and the warnings of one epoch's end."""
    logs = {}
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        health.on_epoch_end(epoch, logs)
    return logs, [str(each.message) for each in caught if each.category is ComponentHealthWarning]


def diagnose(model, data, **kwargs):
    return look(begin(ComponentHealth(data, **kwargs), model))


# What it finds


@every_kind
def test_a_new_network_is_healthy(case):
    logs, messages = diagnose(model_of(case), data_of(case))
    assert not messages
    assert list(logs) == FIGURES
    assert logs["dead_components"] == logs["share_at_floor"] == logs["share_at_ceiling"] == 0
    assert 1.5 < logs["effective_components"] <= K


def test_the_figures_are_those_of_the_weights():
    x, _ = data_of()
    model = model_of(kernel_initializer="he_normal")
    weights = np.asarray(model(x).mixture_distribution.probs_parameter(), np.float64)
    mean = weights.mean(0)
    logs, _ = diagnose(model, x)
    assert logs["effective_components"] == pytest.approx(np.exp(-np.sum(mean * np.log(mean))), rel=1e-5)
    assert logs["largest_weight"] == pytest.approx(weights.max(1).mean(), rel=1e-5)


@every_kind
def test_a_dead_component(case):
    x, y = data_of(case)
    model = model_of(case)
    set_bias(model.layers[-1], "logits", 2, -20.0)
    logs, (message,) = diagnose(model, (x, y))
    assert logs["dead_components"] == 1
    assert logs["effective_components"] <= 3.001
    assert message.startswith("Epoch 1, layer 'head': 1 of 4 components are dead: [2]. Their weight is below 0.0025 ")
    assert diagnose(model, x)[0]["dead_components"] == 1


@every_kind
def test_scales_at_their_bounds(case):
    """The share is that of the weight of the one component that is there."""
    x, _ = data_of(case)
    model = model_of(case)
    weight = np.asarray(model(x).mixture_distribution.probs_parameter())[:, 1].mean()
    health = begin(ComponentHealth(x), model)
    for bound, other, argument, raw in [("floor", "ceiling", "min", -1e4), ("ceiling", "floor", "max", 1e9)]:
        set_bias(model.layers[-1], "log_scale", 1, raw)
        logs, (message,) = look(health)
        assert logs[f"share_at_{bound}"] == pytest.approx(weight, rel=1e-4)
        assert logs[f"share_at_{other}"] == 0.0
        assert f"whose scale is at the {bound}, {argument}_scale=" in message


@pytest.mark.parametrize("activation", links.SCALE_LINKS)
def test_a_scale_near_its_floor_is_not_at_it(activation):
    model = model_of(scale_activation=activation)
    unit, spec = float(model.layers[-1].target_scale), model.layers[-1].spec
    for factor, share in ((1.08, 1.0), (2.0, 0.0)):
        for k in range(K):
            set_bias(model.layers[-1], "log_scale", k, spec.link.raw(factor * MIN_SCALE, spec.bounds))
        x, _ = data_of()
        np.testing.assert_allclose(model(x).components_distribution.scale, factor * MIN_SCALE * unit, rtol=1e-3)
        assert diagnose(model, x)[0]["share_at_floor"] == pytest.approx(share)


def test_weights_collapsed_to_one_component():
    x, y = data_of()
    model = model_of()
    set_bias(model.layers[-1], "logits", 0, 5.0 + np.log(K))
    logs, messages = diagnose(model, x)
    assert logs["effective_components"] < 1.1
    assert logs["dead_components"] == 3
    (message,) = messages  # not of the dead ones too
    assert "one of 4 components has 99." in message
    single = keras.Sequential([keras.Input((3,)), tfmdn.MDNLayer(1)])
    single.layers[-1].adapt(y)
    assert diagnose(single, x) == ({**dict.fromkeys(FIGURES, 0.0), "effective_components": 1, "largest_weight": 1}, [])


def test_a_component_of_its_own_at_each_row_is_a_collapse_too():
    """The mean weights are equal, and yet no row has a mixture."""
    model = keras.Sequential([keras.Input((2,)), tfmdn.MDNLayer(2)])
    head = model.layers[-1]
    set_weights = np.zeros((2, 6), "float32")
    set_weights[[0, 1], [0, 1]] = 10.0
    head.dense.kernel.assign(set_weights)
    logs, messages = diagnose(model, np.eye(2, dtype="float32"))
    assert logs["effective_components"] == pytest.approx(2.0)
    assert len(messages) == 1
    assert "each mixture is a single distribution" in messages[0]


def test_a_component_that_serves_a_small_region_is_alive():
    x = np.zeros((1000, 3), "float32")
    model = model_of()
    set_bias(model.layers[-1], "logits", 2, -20.0)
    assert diagnose(model, x)[0]["dead_components"] == 1
    kernel = model.layers[-1].dense.kernel.numpy()
    kernel[0, 2] = 1.0
    model.layers[-1].dense.kernel.assign(kernel)
    x[17, 0] = 17.0  # a weight of exp(-3) / 3 at one row of a thousand
    weights = np.asarray(model(x).mixture_distribution.probs_parameter())[:, 2]
    assert weights.mean() < 0.01 / K < weights.max()
    assert diagnose(model, x)[0]["dead_components"] == 0


def test_a_component_that_explains_an_outlier_is_alive():
    x, y = data_of()
    model = model_of()
    head = model.layers[-1]
    set_bias(head, "logits", 2, -12.0)
    bias = head.dense.bias.numpy()
    bias[K + 2] = 40.0
    head.dense.bias.assign(bias)
    assert diagnose(model, (x, y))[0]["dead_components"] == 1
    y[5] = float(head.target_location + 40.0 * head.target_scale)
    assert diagnose(model, (x, y))[0]["dead_components"] == 0


def test_nan():
    x, y = data_of()
    model = model_of()
    x[3], y[4] = np.nan, np.inf
    logs, messages = diagnose(model, (x, y))
    assert not messages
    assert np.isfinite(list(logs.values())).all()
    model.layers[-1].dense.bias.assign(np.full(3 * K, np.nan))
    logs, messages = diagnose(model, (x, y))
    assert np.isnan(logs["largest_weight"])
    assert logs["dead_components"] == 0
    assert messages == [
        "Epoch 1, layer 'head': the mixture is NaN at every row of `data`. Lower the learning rate, and look for NaN "
        "in the inputs."
    ]


def test_each_problem_is_warned_of_once_until_it_comes_back():
    x, _ = data_of()
    model = model_of()
    health = begin(ComponentHealth(x), model)
    told = []
    for epoch, logit in enumerate([0.0, -20.0, -20.0, 0.0, 0.0, -20.0]):
        set_bias(model.layers[-1], "logits", 2, logit)
        told += look(health, epoch)[1]
    assert [message.split(",")[0] for message in told] == ["Epoch 2", "Epoch 6"]
    assert health.history["head"]["dead_components"] == [0, 1, 1, 0, 0, 1]


def test_a_background_component_is_not_counted():
    x, y = data_of()
    logs, messages = diagnose(model_of(background=0.001), (x, y))
    assert not messages
    assert logs["dead_components"] == 0
    assert logs["effective_components"] <= K
    model = model_of(background=0.3)
    set_bias(model.layers[-1], "logits", 0, 20.0)
    assert diagnose(model, x)[0]["largest_weight"] == pytest.approx(1.0)


# In fit


def compiled(model, optimizer=None, **kwargs):
    arguments = {"jit_compile": False, **kwargs}
    model.compile(optimizer or keras.optimizers.Adam(0.01), loss=tfmdn.NegativeLogLikelihood(), **arguments)
    return model


def test_logs_reach_later_callbacks_and_the_history_of_fit():
    x, y = data_of()
    health = ComponentHealth((x, y), frequency=2)
    model = compiled(model_of(), run_eagerly=True)
    history = model.fit(x, y, batch_size=200, epochs=5, verbose=0, callbacks=[health]).history
    assert len(history["loss"]) == 5
    for name in FIGURES:
        assert history[name] == health.history["head"][name]
    assert health.history["head"]["epoch"] == [1, 3]
    assert health.history["head"]["reseeded"] == [0, 0]


def test_tensorboard_writes_the_figures(tmp_path):
    x, y = data_of()
    health = ComponentHealth((x, y))
    board = keras.callbacks.TensorBoard(tmp_path, write_graph=False)
    model = compiled(model_of(), run_eagerly=True)
    model.fit(x, y, batch_size=200, epochs=2, verbose=0, callbacks=[health, board])
    (path,) = (tmp_path / "train").glob("events.*")
    written = {}
    for record in tf.data.TFRecordDataset(str(path)):
        for value in tf.compat.v1.Event.FromString(record.numpy()).summary.value:
            written.setdefault(value.tag, []).append(float(tf.make_ndarray(value.tensor)))
    for name in FIGURES:
        np.testing.assert_allclose(written[f"epoch_{name}"], health.history["head"][name], rtol=1e-6)


def test_several_steps_at_once():
    x, y = data_of()
    model = model_of()
    set_bias(model.layers[-1], "logits", 2, -20.0)
    health = ComponentHealth((x, y), reseed=True)
    with pytest.warns(ComponentHealthWarning):
        compiled(model, steps_per_execution=4).fit(x, y, epochs=2, verbose=0, callbacks=[health])
    assert health.history["head"]["dead_components"] == [1, 0]


def test_two_replicas():
    x, y = data_of()
    with two_replicas().scope():
        model = compiled(model_of(), keras.optimizers.Adam(0.01, use_ema=True))
    set_bias(model.layers[-1], "logits", 2, -20.0)
    health = ComponentHealth((x, y), reseed=True)
    with pytest.warns(ComponentHealthWarning):
        model.fit(x, y, batch_size=100, epochs=2, verbose=0, callbacks=[health])
    assert health.history["head"]["dead_components"] == [1, 0]
    values = [np.asarray(replica) for replica in model.layers[-1].dense.bias.value.values]
    np.testing.assert_array_equal(*values)


@pytest.mark.parametrize("policy", ["mixed_float16", "mixed_bfloat16", "float64"])
def test_dtype_policies(policy):
    keras.config.set_dtype_policy(policy)
    x, y = data_of()
    model = model_of()
    set_bias(model.layers[-1], "logits", 2, -20.0)
    health = ComponentHealth((x, y), reseed=True)
    with pytest.warns(ComponentHealthWarning):
        compiled(model, run_eagerly=True).fit(x, y, batch_size=100, epochs=2, verbose=0, callbacks=[health])
    assert health.history["head"]["dead_components"] == [1, 0]


# Every kind of model


class Subclassed(keras.Model):
    def __init__(self):
        super().__init__()
        self.hidden = keras.layers.Dense(4)
        self.head = tfmdn.MDNLayer(K, name="head")

    def call(self, inputs):
        return self.head(self.hidden(inputs))


@keras.saving.register_keras_serializable(package="tests")
class Wrapped(keras.layers.Layer):
    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.head = tfmdn.MDNLayer(K, name="head")

    def call(self, inputs):
        return self.head(inputs)

    def compute_output_spec(self, inputs):
        return self.head.compute_output_spec(inputs)


def functional(last):
    inputs = keras.Input((3,))
    return keras.Model(inputs, last(keras.layers.Dense(4)(inputs)))


MODELS = {
    "sequential": lambda: keras.Sequential([keras.Input((3,)), tfmdn.MDNLayer(K, name="head")]),
    "functional": lambda: functional(tfmdn.MDNLayer(K, name="head")),
    "subclassed": Subclassed,
    "nested": lambda: functional(
        keras.Sequential([keras.Input((4,)), keras.layers.Dense(4), tfmdn.MDNLayer(K, name="head")])
    ),
    "nested twice": lambda: functional(keras.Sequential([keras.Input((4,)), Wrapped()])),
    "followed by a layer": lambda: functional(lambda h: keras.layers.Dense(1)(tfmdn.MDNLayer(K, 2, name="head")(h))),
    "one of two outputs": lambda: functional(lambda h: [tfmdn.MDNLayer(K, name="head")(h), keras.layers.Dense(1)(h)]),
}


@pytest.mark.parametrize("build", MODELS.values(), ids=MODELS)
def test_the_head_is_found_and_left_as_it_was(build):
    x, _ = data_of()
    model = build()
    model(x[:1])
    (head,) = (layer for layer in model._flatten_layers() if isinstance(layer, tfmdn.MDNLayer))
    before = model(x)
    set_bias(head, "logits", 3, -20.0)
    for layer in (None, "head", head):
        logs, messages = diagnose(model, x, layer=layer)
        assert logs["dead_components"] == 1
        assert len(messages) == 1
    assert "call" not in vars(head)
    assert type(model(x)) is type(before)


def two_heads(kind=dict, shared=False):
    inputs = keras.Input((3,))
    low, high = tfmdn.MDNLayer(K, name="low"), tfmdn.MDNLayer(K, 2, name="high")
    outputs = {"a": low(inputs), "b": high(inputs), "c": keras.layers.Dense(1)(inputs)}
    return keras.Model(inputs, outputs if kind is dict else list(outputs.values()))


@pytest.mark.parametrize("kind", [dict, list])
def test_two_heads_are_reported_and_healed_one_by_one(kind):
    x, y = data_of()
    targets = {"a": y, "b": np.stack([y, -y], 1), "c": y}
    targets = targets if kind is dict else list(targets.values())
    model = two_heads(kind)
    model.get_layer("low").adapt(y)
    model.get_layer("high").adapt(np.stack([y, -y], 1))
    set_bias(model.get_layer("high"), "logits", 1, -20.0)
    health = begin(ComponentHealth((x, targets), reseed=True), model)
    logs, messages = look(health)
    assert list(logs) == [f"{head}_{name}" for head in ("low", "high") for name in FIGURES]
    assert (logs["low_dead_components"], logs["high_dead_components"]) == (0, 1)
    assert len(messages) == 1
    assert "layer 'high'" in messages[0]
    low = model.get_layer("low").dense.bias.numpy()
    health.on_epoch_begin(1)
    assert look(health, 1)[0]["high_dead_components"] == 0
    np.testing.assert_array_equal(model.get_layer("low").dense.bias, low)
    assert [health.history[head]["reseeded"] for head in ("low", "high")] == [[0, 0], [1, 0]]
    # One of them by itself needs its own targets only, by the name of the layer.
    alone = ComponentHealth((x, {"high": np.stack([y, -y], 1)}), layer="high", reseed=True)
    assert list(look(begin(alone, model))[0]) == FIGURES


def test_a_shared_head_is_looked_at_wherever_it_is_used():
    first, second = keras.Input((3,)), keras.Input((3,))
    head = tfmdn.MDNLayer(2, name="head")
    model = keras.Model([first, second], [head(first), head(second)])
    kernel = np.zeros((3, 6), "float32")
    kernel[0, 0] = 20.0
    head.dense.kernel.assign(kernel)
    ones = np.ones((10, 3), "float32")
    assert diagnose(model, [ones, ones])[0]["dead_components"] == 1
    assert diagnose(model, [ones, -ones])[0]["dead_components"] == 0
    health = ComponentHealth(([ones, ones], [np.zeros(10), np.zeros((10, 1))]), reseed=True)
    health = begin(health, model)
    assert look(health)[0]["dead_components"] == 1


def test_two_heads_of_one_name():
    def part():
        return keras.Sequential([keras.Input((3,)), tfmdn.MDNLayer(K, name="head")])

    inputs = keras.Input((3,))
    logs, _ = diagnose(keras.Model(inputs, [part()(inputs), part()(inputs)]), data_of()[0])
    assert {"head_dead_components", "head_1_dead_components"} <= set(logs)


def sequence_model():
    inputs = keras.Input((None, 2))
    return keras.Model(inputs, tfmdn.MDNLayer(2, 1, name="head")(keras.layers.Masking()(inputs)))


def test_masked_steps_do_not_count():
    model = sequence_model()
    kernel = np.zeros((2, 6), "float32")
    kernel[0, 0] = 20.0
    model.layers[-1].dense.kernel.assign(kernel)
    x, y = np.ones((8, 6, 2), "float32"), np.zeros((8, 6), "float32")
    x[:, 3:] = 0.0  # where the weights would be equal
    y[:, 3:] = np.nan
    for data in (x, (x, y)):
        logs, _ = diagnose(model, data)
        assert logs["dead_components"] == 1
        assert logs["effective_components"] == pytest.approx(1.0, abs=1e-5)


# Data


def as_dataset(x, y=None):
    return tf.data.Dataset.from_tensor_slices(x if y is None else (x, y)).batch(7)


def test_containers():
    x, y = data_of()
    model = model_of(kernel_initializer="he_normal")
    expected = diagnose(model, x)[0]
    weight = np.ones(len(x))
    weighted = tf.data.Dataset.from_tensor_slices((x, y, weight)).batch(7)
    for data in (
        x,
        tf.constant(x),
        (x,),
        (x, y),
        (x, y[:, None]),
        (x, y, weight),
        as_dataset(x),
        as_dataset(x, y),
        weighted,
    ):
        logs = diagnose(model, data)[0]
        assert logs == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("container", [lambda x: x, as_dataset])
def test_the_sample_is_uniform_over_the_rows(container):
    rows = [
        np.concatenate([x for x, _ in observation.sample_batches(container(np.arange(5000.0)), size)])
        for size in (1000, 1)
    ]
    assert len(rows[0]) == len(set(rows[0])) == 1000
    assert np.mean(rows[0]) == pytest.approx(2500, abs=5 * 5000 / np.sqrt(12 * 1000))
    assert len(rows[1]) == 1


def test_batches_of_sequences_of_several_lengths():
    batches = [np.ones((3, length, 2), "float32") for length in (4, 2, 5, 2)]
    data = tf.data.Dataset.from_generator(lambda: iter(batches), output_signature=tf.TensorSpec([None, None, 2]))
    assert diagnose(sequence_model(), data)[0]["dead_components"] == 0
    assert sorted(x.shape for x, _ in observation.sample_batches(data, 100)) == [(3, 4, 2), (3, 5, 2), (6, 2, 2)]


X, Y = data_of()
REFUSED = [
    ({"data": X, "frequency": 0}, "`frequency` must be a positive integer. Received: frequency=0."),
    ({"data": X, "max_rows": 0}, "`max_rows` must be a positive integer. Received: max_rows=0."),
    ({"data": X, "dead_weight": 0.0}, "`dead_weight` must be a finite number greater than 0."),
    ({"data": X, "max_share_at_bounds": -1}, "`max_share_at_bounds` must be a finite number greater than 0."),
    ({"data": X, "layer": 3}, "`layer` must be an MDNLayer, its name, or None. Received: layer=3."),
    ({"data": X, "reseed": True}, "`reseed=True` needs targets: give `data` as (x, y)."),
    ({"data": (X, Y[:9])}, "Received: arrays of the shapes (200, 3), (9,)."),
    ({"data": 3.0}, "`data` must be arrays with equally many rows"),
    ({"data": X[:0]}, "`data` must have at least one row. Received none."),
    ({"data": as_dataset(X).repeat()}, "`data` must end. Received: a dataset that repeats forever."),
]


@pytest.mark.parametrize(("arguments", "message"), REFUSED)
def test_bad_arguments_are_refused_at_once(arguments, message):
    with pytest.raises(ValueError) as error:  # noqa: PT011, the message is compared below
        ComponentHealth(**arguments)
    assert message in str(error.value)


UNFIT = [
    (lambda: keras.Sequential([keras.Input((3,)), keras.layers.Dense(1)]), {"data": X}, "a model with an MDNLayer."),
    (model_of, {"data": X, "layer": "tail"}, "Received: layer='tail', and a model whose MDNLayers are: 'head'."),
    (model_of, {"data": X, "layer": tfmdn.MDNLayer(2, name="other")}, "Received: layer='other'"),
    (model_of, {"data": (X, np.zeros((200, 2)))}, "The targets do not fit the mixture."),
    (two_heads, {"data": (X, Y), "reseed": True}, "`reseed=True` needs the targets of the layer 'low'."),
    (lambda: model_of(("lognormal", "diag", ())), {"data": (X, -Y)}, "needs targets greater than 0"),
]


@pytest.mark.parametrize(("build", "arguments", "message"), UNFIT)
def test_what_does_not_fit_the_model_is_refused_before_training(build, arguments, message):
    with pytest.raises(ValueError) as error:  # noqa: PT011, the message is compared below
        begin(ComponentHealth(**arguments), build())
    assert message in str(error.value)


def test_a_head_that_is_not_called():
    class Idle(Subclassed):
        def call(self, inputs):
            return self.hidden(inputs)

    with pytest.raises(ValueError, match="The model does not call the layer 'head' eagerly"):
        begin(ComponentHealth(X), Idle())


# Re-seeding


@every_kind
def test_reseeded_components_live_and_disturb_little(case):
    x, y = data_of(case)
    dead = [0, 3]
    model = model_of(case, kernel_initializer="he_normal")
    for k in dead:
        set_bias(model.layers[-1], "logits", k, -1e9)
    health = begin(ComponentHealth((x, y), reseed=True), model)
    weights, before = model.get_weights(), np.asarray(model(x).log_prob(y))
    assert look(health)[0]["dead_components"] == len(dead)
    assert all(map(np.array_equal, weights, model.get_weights()))  # nothing has happened yet
    health.on_epoch_begin(1)
    after = model(x)
    assert health.history["head"]["reseeded"] == [len(dead)]
    # By construction no density falls below 1 / 1.1 of what it was.
    assert np.min(after.log_prob(y) - before) > -np.log(1.1) - 1e-3
    assert look(health, 1)[0]["dead_components"] == 0
    weights = np.asarray(after.mixture_distribution.probs_parameter())[:, dead].sum(1)
    assert weights.max() <= 0.1 / 1.1 + 1e-5
    # Each lies on a target that was among the least likely, at every row alike.
    values = tfmdn.distributions.tensors.parameters(after.components_distribution)
    loc = np.asarray(values["loc"])[:, dead]
    np.testing.assert_allclose(loc, np.broadcast_to(loc[:1], loc.shape), rtol=1e-4)
    lowest = np.argsort(before)[:20]
    places = np.log(y[lowest]) if case[0] == "lognormal" else y[lowest]
    for centre in loc[0]:
        assert np.abs(places - centre).reshape(20, -1).max(1).min() < 1e-3 * np.abs(centre).max()
    scale = next(np.asarray(value) for key, value in values.items() if key.startswith("scale"))
    scale = np.diagonal(scale, axis1=-2, axis2=-1) if "scale_tril" in values else scale
    assert np.all(scale[:, dead].min(0) > 0.04 * np.asarray(model.layers[-1].target_scale).min())


def bimodal():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(400, 1)).astype("float32")
    return x, (np.where(rng.uniform(size=400) < 0.7, 2.0, -2.0) + 0.2 * rng.normal(size=400)).astype("float32")


def test_a_reseeded_component_finds_the_mode_that_was_missed():
    x, y = bimodal()
    weights = np.array([0.7, 0.3])
    best = -np.sum(weights * np.log(weights)) + np.log(0.2 * np.sqrt(2.0 * np.pi * np.e))
    losses = {}
    for reseed in (False, True):
        keras.utils.set_random_seed(0)
        model = compiled(keras.Sequential([keras.Input((1,)), tfmdn.MDNLayer(2)]), keras.optimizers.Adam(0.1))
        model.layers[-1].dense.bias.assign([0.0, -30.0, 0.0, 0.0, 1.0, 1.0])
        health = ComponentHealth((x, y), reseed=reseed)
        with pytest.warns(ComponentHealthWarning, match="one of 2 components has"):
            model.fit(x, y, batch_size=16, epochs=6, verbose=0, callbacks=[health])
        losses[reseed] = model.evaluate(x, y, verbose=0)
    assert losses[False] > 1.5
    assert losses[True] < best + 0.1


OPTIMIZERS = {
    "sgd": lambda: keras.optimizers.SGD(0.01, momentum=0.9),
    "adam": lambda: keras.optimizers.Adam(0.01),
    "averaged": lambda: keras.optimizers.AdamW(0.01, use_ema=True),
    "scaled": lambda: keras.optimizers.LossScaleOptimizer(keras.optimizers.Adam(0.01)),
    "accumulated": lambda: keras.optimizers.Adam(0.01, gradient_accumulation_steps=3),
}


@pytest.mark.parametrize("optimizer", OPTIMIZERS.values(), ids=OPTIMIZERS)
def test_the_optimizer_forgets_the_component_and_no_other(optimizer):
    x, y = data_of()
    x = np.tile(x, 4)
    # The hidden layer's weights have the shapes of the head's.
    model = compiled(
        keras.Sequential([keras.Input((3 * K,)), keras.layers.Dense(3 * K), tfmdn.MDNLayer(K, name="head")]),
        optimizer(),
        run_eagerly=True,
    )
    model.layers[-1].adapt(y)
    model.fit(x, y, batch_size=50, verbose=0)
    set_bias(model.layers[-1], "logits", 2, -30.0)
    health = begin(ComponentHealth((x, y), reseed=True), model)
    look(health)
    before = [variable.numpy() for variable in model.optimizer.variables]
    health.on_epoch_begin(1)
    columns = np.array([2, K + 2, 2 * K + 2])
    slots = 0
    for variable, old in zip(model.optimizer.variables, before):
        new = variable.numpy()
        if "head_dense_" not in variable.name:
            np.testing.assert_array_equal(new, old)
            continue
        slots += 1
        others = np.setdiff1d(np.arange(3 * K), columns)
        np.testing.assert_array_equal(new[..., others], old[..., others])
        weight = model.layers[-1].dense.kernel if new.ndim == 2 else model.layers[-1].dense.bias
        expected = weight.numpy()[..., columns] if variable.name.endswith("_average") else 0.0
        np.testing.assert_array_equal(new[..., columns], np.broadcast_to(expected, new[..., columns].shape))
    assert slots >= 2


def test_nothing_is_reseeded_after_the_last_epoch():
    x, y = data_of()
    model = compiled(model_of(), keras.optimizers.SGD(1e-12), run_eagerly=True)
    set_bias(model.layers[-1], "logits", 2, -30.0)
    before = [weight.copy() for weight in model.get_weights()]
    health = ComponentHealth((x, y), reseed=True)
    with pytest.warns(ComponentHealthWarning):
        model.fit(x, y, batch_size=100, verbose=0, callbacks=[health])
    for old, new in zip(before, model.get_weights()):
        np.testing.assert_allclose(new, old, rtol=1e-5, atol=1e-6)
    assert health.history["head"]["reseeded"] == [0]
    model.fit(x, y, batch_size=100, verbose=0, callbacks=[health])  # the plan of the fit before is forgotten
    assert health.history["head"]["reseeded"] == [0, 0]


def test_a_component_that_keeps_dying_is_left_alone():
    x, y = data_of()
    model = model_of()
    health = begin(ComponentHealth((x, y), reseed=True), model)
    for epoch in range(6):
        health.on_epoch_begin(epoch)
        set_bias(model.layers[-1], "logits", 2, -30.0)
        look(health, epoch)
    assert health.history["head"]["reseeded"] == [1, 1, 1, 0, 0, 0]


def test_a_frozen_head_stays_as_it_is():
    x, y = data_of()
    model = model_of()
    set_bias(model.layers[-1], "logits", 2, -30.0)
    model.layers[-1].trainable = False
    before = model.layers[-1].dense.bias.numpy()
    health = begin(ComponentHealth((x, y), reseed=True), model)
    assert look(health)[0]["dead_components"] == 1
    health.on_epoch_begin(1)
    np.testing.assert_array_equal(model.layers[-1].dense.bias, before)


def test_reseeding_is_the_same_each_time():
    x, y = data_of()
    biases = []
    for _ in range(2):
        keras.utils.set_random_seed(1)
        model = model_of()
        set_bias(model.layers[-1], "logits", 2, -30.0)
        health = begin(ComponentHealth((x, y), reseed=True), model)
        look(health)
        health.on_epoch_begin(1)
        biases.append(model.layers[-1].dense.bias.numpy())
    np.testing.assert_array_equal(*biases)
