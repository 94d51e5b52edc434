"""How models learn.

- `loop`: `fit`, epoch after epoch.
- `graphs`: an epoch's steps as one graph.
- `rows`: rows in memory, and the batches that are made of them.
- `strategies`: several machines together.
- `uncounted`: rows that do not count, before a model sees them.
"""

from tfmdn import keras_internals, numerics, tensorflow_internals
from tfmdn.training import uncounted
from tfmdn.training.loop import fit as fit
from tfmdn.training.strategies import MultiWorkerMirroredStrategy as MultiWorkerMirroredStrategy

tensorflow_internals.forget_gradients_with_graphs()
keras_internals.guard_steps(uncounted.guarded, marks=lambda error: numerics.FIRST_ROW in str(error))
