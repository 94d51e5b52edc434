"""Files for where a model runs.

- `signatures`: what an exported model is asked, in all formats.
- `tensor_view`: a Keras model whose outputs are plain tensors.
- `saved_model`: SavedModels that load without tfmdn, TFP and Keras.
"""

from tfmdn.export.saved_model import export_saved_model as export_saved_model
from tfmdn.export.tensor_view import as_tensors as as_tensors
