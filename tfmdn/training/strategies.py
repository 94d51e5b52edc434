"""`MultiWorkerMirroredStrategy`: any Keras model trained by several machines together."""

from __future__ import annotations

from typing import Any

import keras
import tensorflow as tf


class MultiWorkerMirroredStrategy(tf.distribute.MultiWorkerMirroredStrategy):
    """`tf.distribute.MultiWorkerMirroredStrategy`, with which Keras 3 models train.

    Under TensorFlow's own class `fit`, `evaluate` and `predict` of Keras 3 fail. Under this one they work for any
    Keras model, as it is: create the strategy before anything else of TensorFlow is used, build and compile the model
    in its scope, and start the same program on every machine, each with its own environment variable `TF_CONFIG`:

        TF_CONFIG='{"cluster": {"worker": ["10.0.0.1:2222", "10.0.0.2:2222"]}, "task": {"type": "worker", "index": 0}}'

    The workers hold the same weights all the time, and metrics count each row once. Without `TF_CONFIG` the strategy
    runs on one machine.

    - A dataset that reads files is sharded by file: each worker reads its own, and there must be at least as many as
      workers. Any other is read by all workers, each of which keeps its share of every batch; all must read it in the
      same order, with arrays by `shuffle=False`. Batch sizes are those of all workers together.
    - The loss is the mean of the workers' losses. They end with the weights of one process if their shares of each
      batch are of the same size.
    - What is computed before training must be the same everywhere: let `MDNLayer.adapt` see the same rows on every
      worker, not its shard of them.
    - `BatchNormalization` needs `synchronized=True`, and `steps_per_execution` must stay 1.
    - All workers call `fit`, `evaluate` and `predict`, with the same arguments. The one whose `is_chief` is true saves
      and prints; `tfmdn.BackupAndRestore` and `tfmdn.ModelCheckpoint` see to that themselves.
    - When a worker dies, the others raise `tf.errors.UnavailableError` within seconds. Start all of them again with the
      same command: with `tfmdn.BackupAndRestore` they go on where they were.

    Args:
      cluster_resolver: a `tf.distribute.cluster_resolver.ClusterResolver`, or None for `TF_CONFIG`.
      communication_options: `tf.distribute.experimental.CommunicationOptions`, or None.

    Example:

    >>> strategy = tfmdn.MultiWorkerMirroredStrategy()
    >>> with strategy.scope():
    ...     model = keras.Sequential([keras.Input((1,)), tfmdn.MDNLayer(3)])
    ...     model.compile("adam", loss=tfmdn.NegativeLogLikelihood())
    >>> x, y = tfmdn.datasets.inverse_sinusoid().sample(64, seed=0)
    >>> history = model.fit(x, y, verbose=2 if strategy.is_chief else 0)  # doctest: +ELLIPSIS
    2/2 - ...
    """

    @property
    def is_chief(self) -> bool:
        """Whether this worker is the one that writes files and logs: the first, or the only one."""
        return self.extended.should_checkpoint

    def reduce(self, reduce_op: Any, value: Any, axis: int | None) -> Any:
        """As TensorFlow's, also for what Keras passes on: whole batches, and the scalars that metrics are."""
        if keras.tree.is_nested(value):
            # Keras asks for a batch to see shapes and dtypes. The workers' batches may differ in size, which a true
            # reduction does not allow for.
            return keras.tree.map_structure(lambda part: self.experimental_local_results(part)[0], value)
        is_scalar = not self.experimental_local_results(value)[0].shape.rank
        return super().reduce(reduce_op, value, axis=None if is_scalar else axis)

    def gather(self, value: Any, axis: int) -> Any:
        """As TensorFlow's, also for mixtures, of which it gathers the tensors that they stand for."""
        if not all(isinstance(part, tf.Tensor) for part in self.experimental_local_results(value)):
            value = self.run(tf.convert_to_tensor, args=(value,))
        return super().gather(value, axis)
