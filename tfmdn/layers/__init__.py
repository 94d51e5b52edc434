"""From features to a distribution: the head of a network, and layers before and behind it.

- `mdn`: the head, `MDNLayer`.
- `adapted_head`: what it knows of its targets before it learns.
- `quantization`: a head whose dense layer is quantized.
- `keras_mdn_layer`: weights of a trained layer of that package.
- `time_distributed`: Keras' `TimeDistributed` keeps distributions.
- `families`: one record for each kind of component, of all that differs between kinds.
- `specs`: what a component of a head is, with everything settled.
- `links`: how raw outputs become scales.
- `outputs`: which raw outputs mean what.
- `units`: the target's units and limits, which `adapt` learns.
- `starts`: where components start.
- `support`: where targets end.
- `coarseness`: which values of the targets have a probability of their own.
- `ends`: how components end, and to what they are rounded.
- `background`: one more component, which does not depend on the inputs.
- `adaptation`: what all methods `adapt` have in common, and a base class of layers for features that learn from data.
- `features`: scaling and noise; the public namespace of all layers for features.
- `embeddings`: several inputs of the network for one feature.
- `missing`: values that are missing.
- `categories`: categories, which come as numbers.
- `calendar`: dates and times as positions in the year, the month, the week and the day.
- `products`: numbers and their products as features.
- `joint_starts`: where components start that know something of the features.
- `dates`: dates and times that are written as text.
- `civil`: years and months, and how many days they have.
- `trees`: predictions of trees as features.
- `tree_fits`: scikit-learn's trees, fitted fold by fold.
- `tree_tensors`: trees as arrays of their nodes, and what they add up to in TensorFlow.
- `fallback`: a layer behind the head, for inputs far from all data.
- `extrapolation`: one for tables, which tells gaps and ends of single features.
- `kernels`: how they tell these from the others.
"""

from tfmdn.layers import time_distributed as time_distributed
from tfmdn.layers.calendar import Calendar as Calendar
from tfmdn.layers.categories import CategoryEmbedding as CategoryEmbedding
from tfmdn.layers.categories import CategoryIndicators as CategoryIndicators
from tfmdn.layers.dates import DateParsing as DateParsing
from tfmdn.layers.embeddings import PeriodicEmbedding as PeriodicEmbedding
from tfmdn.layers.embeddings import PiecewiseLinearEmbedding as PiecewiseLinearEmbedding
from tfmdn.layers.extrapolation import Extrapolation as Extrapolation
from tfmdn.layers.fallback import MarginalFallback as MarginalFallback
from tfmdn.layers.features import NoiseRegularization as NoiseRegularization
from tfmdn.layers.features import Standardization as Standardization
from tfmdn.layers.mdn import MDNLayer as MDNLayer
from tfmdn.layers.missing import Imputation as Imputation
from tfmdn.layers.missing import MissingIndicator as MissingIndicator
from tfmdn.layers.products import Products as Products
from tfmdn.layers.trees import TreeEmbedding as TreeEmbedding
