"""What the extra `plots` promises: every function of tfmdn.plots draws, and without a window."""

import matplotlib
import numpy as np
import tensorflow_probability as tfp

import tfmdn

matplotlib.use("Agg")
tfd = tfp.distributions
plots = tfmdn.plots


def model(x):
    centres = np.stack([x, -x], -1).reshape(-1, 2)
    return tfmdn.Mixture(tfd.Categorical(probs=[0.3, 0.7]), tfd.Normal(centres, 0.5))


x = np.linspace(-1, 1, 20)
y = np.array(model(x).sample(seed=0))
ax = plots.density(model, x, np.linspace(-3, 3, 30))
for draw in (plots.draws, plots.pit_histogram, plots.reliability):
    draw(model, x, y)
plots.hexbin(model, x), plots.fan(model, x), plots.components(model, x, "loc")
plots.slices(model, x[:3], np.linspace(-3, 3, 30), truth=y[:3])
plots.training_curves({"loss": [2.0, 1.0]})
ax.figure.savefig("density.png")
