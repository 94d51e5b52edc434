"""Pictures of densities.

`model` is an `MDNRegressor`, or anything that returns a `Mixture` when it is called with rows of x: a Keras model, a
`tfmdn.Ensemble`, `lambda x: model(x).temper(0.5)`. It can also be a `Mixture` of one row for each of x. The rows are
computed some at a time, so that there can be very many.

`x` are rows of what the model takes: a frame of pandas, polars or pyarrow, an array such as `[n, F]` or of images, a
dictionary of arrays; `[n]` are n rows of one feature. A regressor gets them as they are, and any function gets frames
so; floats of arrays, and frames for Keras models, are cast to Keras' default.

Of several features `feature` says which one stands on the axis, by its name or its number. Dates get an axis of dates;
texts, categories and booleans one of categories, of which the 30 most frequent are shown.

Needs matplotlib, and narwhals for frames (extra `plots`): they are imported when something is drawn.

- `conditional`: what is predicted along a feature.
- `points`: draws for the rows as they are.
- `single_rows`: what is predicted for single rows.
- `diagnostics`: how good that is.
- `data`: what the model says of rows, computed some at a time.
- `quantities`: what is shown of a mixture.
- `reading`: x as rows: `frames` or `arrays`, which have in common what `rows` says.
- `columns`: one feature as it stands on an axis.
- `outputs`: which of the targets is shown, and its name.
- `style`: how all is drawn.
- `report`: a page of figures of a regressor.
- `effects`: what each feature does.
- `words`: what the page says.
- `panels`: what it shows.
- `page`: how it is written.
- `exploring`: a page in which one moves the features.
- `tables`: what it is told of distributions.
- `bundle`: how scripts, style and data become one file. They lie in the folder `browser`.
"""

from tfmdn.plots.conditional import components as components
from tfmdn.plots.conditional import density as density
from tfmdn.plots.conditional import fan as fan
from tfmdn.plots.diagnostics import error_vectors as error_vectors
from tfmdn.plots.diagnostics import pit_histogram as pit_histogram
from tfmdn.plots.diagnostics import reliability as reliability
from tfmdn.plots.diagnostics import training_curves as training_curves
from tfmdn.plots.exploring import explorer as explorer
from tfmdn.plots.points import draws as draws
from tfmdn.plots.points import hexbin as hexbin
from tfmdn.plots.single_rows import joint_density as joint_density
from tfmdn.plots.single_rows import slices as slices
