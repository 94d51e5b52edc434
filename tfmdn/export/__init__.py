"""Files for where a model runs.

- `signatures`: what an exported model is asked, in all formats.
- `tensor_view`: a Keras model whose outputs are plain tensors.
- `saved_model`: SavedModels that load without tfmdn, TFP and Keras.
- `litert`, `onnx`: files for where there is no TensorFlow.

What these two are made of, in float32 and operations that both have:

- `endpoints`: the signatures as graphs.
- `single_precision`: the model up to its mixture, made anew: its `operations` one after the other, on `numbers` and
  `single_dates`. `replacements` and `raw_columns` say what stands in the place of tfmdn's layers: `single_layers`,
  `single_trees`, the `members` of ensembles.
- `raw_inputs`: the columns of tables that a model takes, and the codes of them; `onnx_columns` of what comes in ONNX.
- `onnx_operations`: those that tf2onnx converts to something else.
- `portable`: what is asked of the mixture.
- `portable_families`, `portable_positive`, `portable_limits`, `portable_coarse`, `portable_joint`: of its components,
  which are of all numbers, of positive ones, with limits, with atoms and on grids, and correlated.
- `elementary`: special functions.
"""

from tfmdn.export.litert import export_litert as export_litert
from tfmdn.export.onnx import export_onnx as export_onnx
from tfmdn.export.raw_inputs import categories as categories
from tfmdn.export.saved_model import export_saved_model as export_saved_model
from tfmdn.export.tensor_view import as_tensors as as_tensors
