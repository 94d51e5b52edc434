"""Pictures of densities.

- `conditional`: what is predicted.
- `diagnostics`: how good that is.
- `data`: what the figures show, computed some rows at a time.
- `style`: how they are drawn.
"""

from tfmdn.plots.conditional import components as components
from tfmdn.plots.conditional import density as density
from tfmdn.plots.conditional import draws as draws
from tfmdn.plots.conditional import fan as fan
from tfmdn.plots.conditional import hexbin as hexbin
from tfmdn.plots.conditional import slices as slices
from tfmdn.plots.diagnostics import error_vectors as error_vectors
from tfmdn.plots.diagnostics import pit_histogram as pit_histogram
from tfmdn.plots.diagnostics import reliability as reliability
from tfmdn.plots.diagnostics import training_curves as training_curves
