"""Files for where a model runs.

- `saved_model`: SavedModels that load without tfmdn, TFP and Keras.
"""

from tfmdn.export.saved_model import export_saved_model as export_saved_model
