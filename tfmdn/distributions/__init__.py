"""What y is like, given everything: mixtures and their components. TensorFlow and TFP alone, no Keras layer.

- `mixture`: the distribution that an `MDNLayer` outputs, and what TFP asks of distributions.
- `cumulative`: what it answers of each coordinate by itself.
- `counted`: its components as they count, of which those of weight 0 do not.
- `coarse`: log probabilities of intervals.
- `incomplete`: log likelihoods of targets of which not all coordinates are known, or not exactly.
- `queries`: what else a mixture can be asked. The answers have files of their own:
- `quantiles`: searched for, in both tails.
- `roots`: the search, which is one graph for each kind of components.
- `modes`: the highest of all points where climbs end.
- `ascents`: these climbs, for each kind of components.
- `mean_shifts`: the steps of which they are.
- `crossings`: where they begin beside the centres.
- `climbs`: how they are brought to an end where they become slow.
- `small_matrices`: equations of which those of one row do not fail for all.
- `covariances`: in units in which they have a place.
- `regions`: highest density regions.
- `coordinates`: marginals and conditionals, which have a closed form.
- `ranked_probability`: the CRPS, of values and of intervals.
- `deviations`: expected distances, of which it is made.
- `cells`: the integral that stands for those between all pairs of components.
- `batching`: the same, for some rows at a time.
- `compiled`: other searches, as one graph for all mixtures of a kind.
- `merging`: several mixtures as one.
- `gaussian_mixtures`: scikit-learn's.
- `tensor_like`: what makes a mixture a tensor for TensorFlow and Keras.
- `autocast`: what layers of half precision get of it.
- `numpy_like`: what makes it an array for NumPy, a number and a sequence for Python.
- `indexing`: which rows an index chooses.
- `named`: the tensors of models' outputs by name, as exported models give them.
- `copies`: copies and pickles of mixtures.
- `type_specs`: the names that SavedModels know our distributions by.

Of components:

- `tensors`: reads, maps and rebuilds what they and mixtures are made of. Masks go along.
- `densities`: log densities that stay finite however far away a target is.
- `unit_tails`: their cumulative probabilities far out.
- `kinds`: the questions that each kind of them answers in its own way.
- `univariate`: distributions as TFP has them, but for what it leaves out.
- `random_numbers`, `draws`: what is the same for a seed, eagerly and by XLA: of themselves, and of components.
- `rescaled`: normal ones that know their parameters in standard units, as an `MDNLayer` outputs them.
- `scalars`: what our own of scalars share.
- `location_scale`: what our own of two parameters share.
- `gumbel`, `gamma`, `weibull`: maxima, and what is positive.
- `von_mises`: angles, and their means.
- `reflected`: normal ones with limits.
- `reflected_joint`: the same with correlated coordinates.
- `folding`: the geometry of both.
- `folded_densities`: the density of a normal with limits, and its gradient.
- `folded_distances`: how far normal ones are from points on average, with limits and without.
- `coarsened`: normal ones that are moved to limits, or rounded.
- `coarse_kinds`: what mixtures ask of these.
- `coarse_moments`: their means and variances.
- `coarse_modes`: which of their values are the most probable.
- `coarse_regions`: their highest density regions.
- `jumps`: their atoms and the grid, as all components share them.
- `coarse_distances`: how far they are from points on average.
- `grids`: equidistant values.
"""

from tfmdn.distributions import coarse_kinds as coarse_kinds
from tfmdn.distributions import gamma as gamma
from tfmdn.distributions import univariate as univariate
from tfmdn.distributions import weibull as weibull
from tfmdn.distributions.coarsened import CoarsenedNormal as CoarsenedNormal
from tfmdn.distributions.merging import merge as merge
from tfmdn.distributions.mixture import Mixture as Mixture
from tfmdn.distributions.reflected import ReflectedNormal as ReflectedNormal
from tfmdn.distributions.reflected_joint import ReflectedMultivariateNormal as ReflectedMultivariateNormal
