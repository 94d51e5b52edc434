"""How models learn: `fit` of rows in memory (the `loop`; `rows` reads them), and tf.distribute's `strategies`."""

from tfmdn.training.loop import fit as fit
from tfmdn.training.strategies import MultiWorkerMirroredStrategy as MultiWorkerMirroredStrategy
