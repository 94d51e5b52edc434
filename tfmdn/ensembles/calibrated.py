"""How an ensemble is calibrated: by what its members think of targets that they have not learnt from.

Shapes in comments: n rows, M members, E event, R rows to calibrate by.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import ArrayLike

from tfmdn import validation
from tfmdn.ensembles import calibration, vectorized
from tfmdn.ensembles.judgement import Judgement
from tfmdn.ensembles.networks import Networks, Weights
from tfmdn.layers.mdn import heads_of
from tfmdn.scores.targets import TargetFormat
from tfmdn.scores.weighting import target_weights


class Calibrated:
    """A base class, before `keras.Model`, of an `Ensemble`: how broad its prediction is.

    A subclass sets what is declared here.
    """

    networks: Networks
    num_members: int
    _weights: Weights
    # Of each of the M members.
    scale_temperature: keras.Variable
    member_log_weights: keras.Variable
    set_in_all_members: Callable

    def calibrate(
        self,
        x: Any,
        y: ArrayLike,
        held_out: ArrayLike | None = None,
        sample_weight: ArrayLike | None = None,
        *,
        intervals: bool = False,
        missing: str = "error",
    ) -> float:
        """Makes the prediction as broad as rows show it should be that members have not learnt from.

        A network that has learnt as much as it can is a little too sure of itself, while members that disagree make
        their mixture too broad. One factor of all scales, `scale_temperature`, mends both. It is the most likely one
        on those rows; where only a few of the members have not learnt from a row, as in cross-validation, what is
        found for them is carried over to all, see `tfmdn.ensembles.calibration.scale_factor`. Training goes on as if
        there were no such factor; call this again afterwards.

        If each network ends in its only `MDNLayer`, all with the same `background`, the layers' `background_weight`
        becomes the most likely one, too (`tfmdn.ensembles.calibration.background_weight`): larger where targets are far
        from all that is predicted, next to nothing where many rows show no such target.

        Args:
          x: features, an array or a structure of arrays of n rows.
          y: targets `[n, *E]`.
          held_out: which rows each member has not learnt from, booleans `[n, M]`. None means that none has learnt from
            any of them, such as rows for validation.
          sample_weight: weights of the rows, `[n]`, 0 or more.
          intervals: whether targets are pairs (low, high), as in `negative_log_likelihood`.
          missing: whether NaN stands for what was not observed, likewise.

        Returns:
          The factor, between 1/2 and 4.

        Raises:
          TypeError: if x or y is a list of numbers.
          ValueError: if `held_out` or `sample_weight` does not fit; if there is no row that two members (or the only
            one) have not learnt from; if the likelihood is not finite; if the components have no scale.

        Example:

        >>> networks = [keras.Sequential([keras.Input((1,)), tfmdn.MDNLayer(2)]) for _ in range(3)]
        >>> ensemble = tfmdn.Ensemble(networks)
        >>> x = np.linspace(-1.0, 1.0, 60)[:, np.newaxis]
        >>> factor = ensemble.calibrate(x, 0.01 * x[:, 0])  # targets closer together than the networks say
        >>> 0.5 <= factor < 1.0
        True
        """
        judgement = self.judged(x, y, held_out, sample_weight, intervals=intervals, missing=missing)
        factor, weight = judgement.calibrated()
        self.set_calibration(factor, weight)
        return factor

    def set_calibration(self, factor: float, background_weight: float | None) -> None:
        """Gives all members a factor of the scales and, unless it is None, their backgrounds a weight."""
        if background_weight is not None:
            self.set_in_all_members(lambda network: heads_of(network)[0].background_weight, background_weight)
        self.scale_temperature.assign(tf.fill([self.num_members], factor))

    def judged(
        self,
        x: Any,
        y: ArrayLike,
        held_out: ArrayLike | None = None,
        sample_weight: ArrayLike | None = None,
        *,
        intervals: bool = False,
        missing: str = "error",
    ) -> Judgement:
        """What the members think of targets that they have not learnt from. Arguments and errors are `calibrate`'s."""
        if any(np.ndim(part) == 0 for part in keras.tree.flatten((x, y))):
            raise TypeError("`x` and `y` must be arrays, or structures of arrays. Received: lists of numbers.")
        count = len(y)
        held_out = np.ones((count, self.num_members), bool) if held_out is None else np.asarray(held_out, bool)
        if held_out.shape != (count, self.num_members):
            raise ValueError(
                f"`held_out` must be booleans of shape (n, members) = ({count}, {self.num_members}). "
                f"Received: shape {held_out.shape}."
            )
        form = TargetFormat(intervals, missing)
        weights = validation.row_weights(sample_weight, count) * form.rows_that_say_anything(y)
        rows, members = calibration.judges(held_out & (weights > 0)[:, np.newaxis])
        x, y, weights = keras.tree.map_structure(lambda part: tf.constant(np.asarray(part)[rows]), (x, y, weights))
        mixtures, log_probs = self.networks.log_probs(self._weights, x, y, form)
        first = vectorized.unstacked(mixtures[0])[0]
        counts = target_weights(form, form.reconcile(y, first), first, weights).numpy().ravel()
        counted = counts > 0  # rows, or the steps of sequences, which count as rows

        def parts(factor):
            return [part.numpy().reshape(self.num_members, -1).T[counted] for part in log_probs(factor)]

        if not np.isfinite(np.max(parts(1.0), 0)).all():
            raise ValueError(
                "The likelihood of the targets must be finite. Received: NaN in x or y, or a density of 0."
            )
        rows, members = (np.repeat(each, len(counted) // len(rows), 0)[counted] for each in (rows, members))
        start, log_weights = self.networks.background(mixtures), self.member_log_weights.numpy()
        return Judgement(parts, rows, members, counts[counted], start, log_weights)
