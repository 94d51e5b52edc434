"""From features to a distribution: the head of a network, and layers before and behind it.

`mdn` is the head. `families` says what differs between kinds of components, `links` how raw outputs become scales,
`units` what `adapt` learns of the target's units, `starts` and `support` where components start and where targets end.
`features` are layers before the head, `fallback` is one behind it.
"""

from tfmdn.layers.fallback import MarginalFallback as MarginalFallback
from tfmdn.layers.features import NoiseRegularization as NoiseRegularization
from tfmdn.layers.features import PeriodicEmbedding as PeriodicEmbedding
from tfmdn.layers.features import PiecewiseLinearEmbedding as PiecewiseLinearEmbedding
from tfmdn.layers.features import Standardization as Standardization
from tfmdn.layers.mdn import MDNLayer as MDNLayer
