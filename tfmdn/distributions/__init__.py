"""What y is like, given everything: mixtures and their components. TensorFlow and TFP alone, no Keras layer.

`mixture` is the object, `tensor_like` what makes it a tensor. `tensors` reads and rebuilds what distributions are made
of, `densities` holds log densities that stay finite, `kinds` asks what differs between kinds of components. What is
searched for or integrated has a module each: `quantiles`, `modes`, `regions`, `deviations`; what has a closed form is
in `coordinates`. Components of our own are in `reflected` (with limits; `folding` is its geometry) and `univariate`.
"""

from tfmdn.distributions import univariate as univariate
from tfmdn.distributions.merging import merge as merge
from tfmdn.distributions.mixture import Mixture as Mixture
from tfmdn.distributions.reflected import ReflectedMultivariateNormal as ReflectedMultivariateNormal
from tfmdn.distributions.reflected import ReflectedNormal as ReflectedNormal
