"""
Title: Learning a mapping that is not a function
Author: tfmdn developers
Date created: 2026/11/30
Last modified: 2026/11/30
Description: Predict all answers of an inverse problem with a mixture density network.
Accelerator: None
"""

"""
## Introduction

A network that is trained with the squared error learns the mean of the target given its
inputs. Where one input has several possible targets, their mean may be a value that never
occurs: halfway between two roads there is no road.

Such inputs are common. Inverse problems have them: which joint angles bring the hand of a
robot to a place? Forecasts have them, as do prices of things that are sold in two
conditions. In all of these the answer is not a number, but a distribution.

A [mixture density network](https://publications.aston.ac.uk/id/eprint/373/) (Bishop,
1994) predicts one: for each input it gives the weights, the centers and the scales of
several normal distributions. In this example we change a Keras model that predicts
numbers into one that predicts distributions, by another last layer and another loss. Both
are from [tfmdn](https://pypi.org/project/tfmdn/), which works with Keras 3 on TensorFlow.
"""

"""
## Setup

```shell
pip install -q "tfmdn[plots]"
```
"""

import os

os.environ["KERAS_BACKEND"] = "tensorflow"

import keras
import matplotlib.pyplot as plt
import numpy as np

import tfmdn

keras.utils.set_random_seed(1)

"""
## An inverse problem

The effect is a function of its cause, with a little noise. Causes from 0.3 to 0.7 go
down where the others go up, so that an effect between 0.2 and 0.8 has up to three causes.
"""


def effect_of(cause):
    return cause + 0.3 * np.sin(2 * np.pi * cause)


def sample(num_rows, seed):
    rng = np.random.default_rng(seed)
    causes = rng.uniform(0, 1, (num_rows, 1))
    return effect_of(causes) + rng.normal(0, 0.03, causes.shape), causes


effects, causes = sample(10_000, seed=0)
test_effects, test_causes = sample(10_000, seed=1)

"""
## The usual network

Asked for the cause of an effect, a network with the squared error answers with the mean
of its causes.
"""


def hidden_layers():
    normalization = keras.layers.Normalization()
    normalization.adapt(effects)
    return [
        keras.Input((1,)),
        normalization,
        keras.layers.Dense(64, activation="tanh"),
        keras.layers.Dense(64, activation="tanh"),
    ]


def train(model, loss, epochs=30, batch_size=128):
    steps = epochs * len(effects) // batch_size
    learning_rate = keras.optimizers.schedules.CosineDecay(5e-3, steps)
    model.compile(optimizer=keras.optimizers.Adam(learning_rate), loss=loss)
    model.fit(effects, causes[:, 0], batch_size=batch_size, epochs=epochs, verbose=0)
    return model.evaluate(test_effects, test_causes[:, 0], verbose=0)


regression = keras.Sequential([*hidden_layers(), keras.layers.Dense(1)])
error = train(regression, "mse")
print(f"Root mean squared error: {error**0.5:.3f}")

"""
## The mixture density network

The last layer becomes an `MDNLayer`, here with 10 components, and the loss the negative
log-likelihood. `adapt()` does for the targets what it does for inputs in
`keras.layers.Normalization`: it learns their units, and where components should start.
"""

head = tfmdn.MDNLayer(num_components=10)
head.adapt(causes[:, 0])
model = keras.Sequential([*hidden_layers(), head])
negative_log_likelihood = train(model, tfmdn.NegativeLogLikelihood())
print(f"Negative log-likelihood: {negative_log_likelihood:.3f} nats")

"""
The loss may well be negative: it is minus the logarithm of a density, and a density is
larger than 1 where many targets share a short interval.

## Ask for what you need

Called with inputs, the model returns a distribution for each of them. It has a density, a
mean and samples, as all distributions of TensorFlow Probability; and it can tell its
peaks, and the smallest region that has a probability of, say, 90 %. For an effect of 0.4
there are two answers, and the region has a gap between them: the network above answered
with a cause in that gap.
"""

effect = np.array([[0.4]])
answer = model(effect)
region = answer.highest_density_region(0.9).numpy()[:, 0]
print("Mean squared error:", regression(effect).numpy()[0].round(2))
print("Peaks:", answer.modes(2).points.numpy()[:, 0].round(2))
print("90 % region:", region[~np.isnan(region[:, 0])].round(2))
print("Samples:", answer.sample(8, seed=0).numpy()[:, 0].round(2))

"""
## Compare with the truth

On the left is the density that the model predicts, the true curve without its noise, and
the answer of the usual network. On the right is the density of the cause where the effect
is 0.4, and the true one: since all causes are equally likely beforehand, that is
the probability of the effect given the cause, divided by its integral.
"""

grid = np.linspace(-0.1, 1.1, 300, dtype="float32")
cause_grid = np.linspace(0, 1, 400, dtype="float32")
density = model(grid[:, None]).prob(cause_grid[:, None])
true_density = np.exp(-0.5 * ((effect - effect_of(cause_grid)) / 0.03)[0] ** 2)
true_density /= true_density.mean()  # the causes are from 0 to 1

figure, (left, right) = plt.subplots(1, 2, figsize=(10, 4.2), layout="constrained")
mesh = left.pcolormesh(grid, cause_grid, density, cmap="Blues", vmin=0, vmax=8, rasterized=True)
left.plot(effect_of(cause_grid), cause_grid, ":", color="tab:orange", label="truth, without noise")
mean = regression.predict(grid[:, None], verbose=0)
left.plot(grid, mean, color="tab:red", label="mean squared error")
left.set(title="density of the cause", xlabel="effect", ylabel="cause", ylim=(0, 1.25))
left.legend(loc="upper left", ncols=2)
figure.colorbar(mesh, ax=left, label="p(cause | effect)", extend="max")
right.fill_between(cause_grid, true_density, color="tab:orange", alpha=0.4, label="truth")
right.plot(cause_grid, answer.prob(cause_grid), color="tab:blue", label="mixture")
right.axvline(regression(effect).numpy().item(), 0, 0.7, color="tab:red", label="mean squared error")
right.set(title="where the effect is 0.4", xlabel="cause", ylabel="p(cause | effect)", ylim=(0, 10))
right.legend(loc="upper right")
plt.show()

"""
## Save and load

The model is an ordinary Keras model. Its layer and its loss are registered, so that no
custom objects need to be named.
"""

model.save("non_function_mapping.keras")
loaded = keras.saving.load_model("non_function_mapping.keras")
difference = loaded(test_effects).log_prob(test_causes[:, 0]) - model(test_effects).log_prob(test_causes[:, 0])
print(f"Largest difference of the loaded model: {np.max(np.abs(difference)):.1g}")

"""
## Conclusion

Another last layer and another loss make a network say how many answers there are, how
likely each is, and how sure it is of them. Next steps: targets of several coordinates
(`MDNLayer(10, event_shape=2)`), other families than normal distributions
(`family="student_t"`), or `tfmdn.MDNRegressor` for tables of any columns.
"""
