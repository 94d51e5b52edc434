"""How models learn.

- `loop`: `fit`, with each epoch as one graph.
- `rows`: rows in memory, and the batches that are made of them.
- `strategies`: several machines together.
"""

from tfmdn.training.loop import fit as fit
from tfmdn.training.strategies import MultiWorkerMirroredStrategy as MultiWorkerMirroredStrategy
