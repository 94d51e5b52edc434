"""What watches a training.

- `component_health`: the callback `ComponentHealth`, and its warnings.
- `observation`: what it looks at, mixtures of sampled rows and figures of their components.
- `reseeding`: new starts for components that it finds dead.
- `checkpoints`: files for the case that a training is killed, a disk full or a worker gone.
- `backups`: what is in the files that a training goes on from.
- `early_stopping`: of each member of an ensemble.
- `forecast`: what a training can still reach, and the end of one that cannot reach enough.
"""

from tfmdn.callbacks.checkpoints import BackupAndRestore as BackupAndRestore
from tfmdn.callbacks.checkpoints import ModelCheckpoint as ModelCheckpoint
from tfmdn.callbacks.component_health import ComponentHealth as ComponentHealth
from tfmdn.callbacks.component_health import ComponentHealthWarning as ComponentHealthWarning
from tfmdn.callbacks.early_stopping import EnsembleEarlyStopping as EnsembleEarlyStopping
