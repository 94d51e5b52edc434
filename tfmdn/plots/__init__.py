"""Pictures of densities. `figures` draws them, of what `data` computes, in the `style` that they have in common."""

from tfmdn.plots.figures import components as components
from tfmdn.plots.figures import density as density
from tfmdn.plots.figures import draws as draws
from tfmdn.plots.figures import error_vectors as error_vectors
from tfmdn.plots.figures import fan as fan
from tfmdn.plots.figures import hexbin as hexbin
from tfmdn.plots.figures import pit_histogram as pit_histogram
from tfmdn.plots.figures import reliability as reliability
from tfmdn.plots.figures import slices as slices
from tfmdn.plots.figures import training_curves as training_curves
