"""How models learn.

- `loop`: `fit`, epoch after epoch.
- `graphs`: an epoch's steps as one graph.
- `rows`: rows in memory, and the batches that are made of them.
- `strategies`: several machines together.
"""

from tfmdn.training.loop import fit as fit
from tfmdn.training.strategies import MultiWorkerMirroredStrategy as MultiWorkerMirroredStrategy
