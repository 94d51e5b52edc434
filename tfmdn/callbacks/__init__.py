"""What watches a training: `component_health` (by `observation` and `reseeding`), `checkpoints`, `early_stopping`."""

from tfmdn.callbacks.checkpoints import BackupAndRestore as BackupAndRestore
from tfmdn.callbacks.checkpoints import ModelCheckpoint as ModelCheckpoint
from tfmdn.callbacks.component_health import ComponentHealth as ComponentHealth
from tfmdn.callbacks.component_health import ComponentHealthWarning as ComponentHealthWarning
from tfmdn.callbacks.early_stopping import EnsembleEarlyStopping as EnsembleEarlyStopping
