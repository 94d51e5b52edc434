"""How members of one kind are trained.

Shapes in comments: n rows, F features, M members, E event, R held-out rows.
"""

from __future__ import annotations

import dataclasses
import itertools

import keras
import numpy as np

from tfmdn.callbacks.early_stopping import EnsembleEarlyStopping
from tfmdn.callbacks.forecast import ForecastStopping
from tfmdn.ensembles import judgement
from tfmdn.ensembles.ensemble import Ensemble
from tfmdn.ensembles.judgement import Judgement
from tfmdn.reading import weighted
from tfmdn.tabular import folds, plans, targets
from tfmdn.tabular.lessons import JUDGED_SCALES, Kind, Lesson, Schedule
from tfmdn.tabular.progress import Ending, Progress, TrainingProgress
from tfmdn.tabular.workshop import Workshop
from tfmdn.training.loop import fit

# What all members' held-out rows say of the best time to stop counts for as many of a member's own.
SHARED_ROWS = 10
# By how many nats a second kind may come out behind the first and still add to it.
MOST_BEHIND = 0.1


class Diverged(ValueError):
    """The held-out likelihood of a member was never finite."""


@dataclasses.dataclass(frozen=True)
class Trained:
    """Members of one kind, trained.

    Attributes:
      kind: which one.
      model: from features `[n, F]` to their mixture, in the targets' units.
      loss: their mean held-out loss at its best, by which they were stopped.
      scores: the held-out negative log-likelihood of each `[M]`, of targets in standard units.
      ending: how the training ended.
      judged: what they think of the rows that they have not learnt from, None if these are too few.
      calibration: the factor of their scales, None if it was not to be found, and the weight of their background.
      of_halves: as the model, but stopped by either half of the rows that each member is judged by; empty if there are
        no halves.
    """

    kind: Kind
    model: Ensemble
    loss: float
    scores: np.ndarray
    ending: Ending
    judged: Judgement | None
    calibration: tuple[float | None, float | None]
    of_halves: tuple[Ensemble, ...]

    def log_probs(self) -> np.ndarray:
        """The log-density of each held-out row by those who have not learnt from it, `[R]`."""
        factor, weight = self.calibration
        return self.judged.together(weight, 1.0 if factor is None else None)

    def calibrated_log_probs(self, factor: float) -> np.ndarray:
        """The members' log-densities `[R, M]`, of scales that are multiplied by the factor found and one more."""
        found, weight = self.calibration
        return self.judged.log_probs(factor * found, weight)

    def broaden(self, factor: float) -> None:
        """Multiplies all scales."""
        for model in (self.model, *self.of_halves):
            model.scale_temperature.assign(factor * model.scale_temperature)


def train(
    workshop: Workshop,
    lesson: Lesson,
    schedule: Schedule,
    progress: Progress,
    kind: Kind,
    target: float | None = None,
) -> Trained:
    """Trains members of one kind.

    Args:
      workshop: where they are built.
      lesson: what they learn from.
      schedule: how they learn it.
      progress: what is told of the fit. It knows when it began, and what `max_seconds` is left.
      kind: which one.
      target: the held-out loss that must be in sight; the training of those who cannot be expected to reach it ends.
    """
    # Members learn targets in standard units. The networks that predict have heads of their own, in the targets'
    # units, and are given what was learnt.
    rows = weighted.by_weight(lesson.weights) if kind.as_joint else None
    units = workshop.start(lesson.x, lesson.typical, lesson.seed, kind.hidden, rows, lesson.held_out)
    y = targets.in_standard_units(lesson.y, lesson.form, units)
    learner, options = workshop.learner, dataclasses.asdict(lesson.form)
    most_judged = int(lesson.held_out.sum(0).max())
    steps = plans.steps_per_epoch(schedule.max_steps, schedule.batch_size, most_judged)
    patience = -(-schedule.patience // steps)
    stopping = EnsembleEarlyStopping(
        lesson.x,
        y,
        lesson.held_out,
        lesson.weights,
        first_half=lesson.first_half,
        shared_rows=SHARED_ROWS,
        patience=patience,
        scale_temperature=kind.judged_scales,
        **options,
    )
    training = TrainingProgress(progress, stopping, steps)
    forecast = [] if target is None else [ForecastStopping(target)]
    fit(
        learner,
        lesson.x,
        y,
        batch_size=schedule.batch_size,
        epochs=schedule.max_steps // steps,
        verbose=0,
        callbacks=[keras.callbacks.SwapEMAWeights(swap_on_epoch=True), stopping, *forecast, training],
        sample_weight=lesson.weights[:, np.newaxis] / lesson.weights.mean() * ~lesson.held_out,
        steps_per_epoch=steps,
        seed=lesson.seed,
        augment=workshop.augment,
        drop_remainder=True,
        dtype="float64",
    )
    if not np.isfinite(stopping.best_scores).all():
        raise Diverged(
            "Training diverged: the held-out likelihood was never finite. Received: "
            f"learning_rate={workshop.design.learning_rate}, network={workshop.design.network}. "
            "Try a smaller learning rate."
        )
    of_halves, model = _of_halves(workshop, stopping), workshop.learnt()
    found = factor = weight = None
    if len(lesson.x) >= folds.MIN_CALIBRATED:
        progress.show("calibrating", share=1.0)
        found = _judged(model, of_halves, lesson, y)
        weight = found.background
        if schedule.calibrate:
            factor, weight = found.calibrated()
            model.set_calibration(factor, weight)
            learner.set_weights(model.get_weights())
    scores, ending = stopping.scores(factor or 1.0), training.ending()
    progress.say(f"{ending}, held-out loss {scores.mean():.4f}, {progress.seconds:.0f} s")
    for half in of_halves:
        half.set_calibration(factor or 1.0, weight or None)
    for one, (name, value) in itertools.product((model, *of_halves), units.statistics.items()):
        one.set_in_all_members(lambda network, name=name: getattr(network.layers[-1], name), value)
    losses = stopping.scores(JUDGED_SCALES) if kind.as_joint else stopping.best_scores
    loss = float(losses.mean())
    return Trained(kind, model, loss, scores, ending, found, (factor, weight), of_halves)


def _of_halves(workshop: Workshop, stopping: EnsembleEarlyStopping) -> tuple[Ensemble, ...]:
    """What was learnt, as either half of each member's rows alone would have stopped it."""
    models = []
    for half in (0, 1) if stopping.has_halves else ():
        stopping.restore(half)
        models.append(workshop.learnt())
    stopping.restore()
    return tuple(models)


def _judged(model: Ensemble, of_halves: tuple[Ensemble, ...], lesson: Lesson, y: np.ndarray) -> Judgement:
    """What members think of held-out targets `[n, *E]`: each of those by which it was not stopped, if it has halves.

    A row that has chosen what a member is like finds it better than others would. So each half of a member's rows
    judges the member that the other half alone would have stopped.
    """
    options = dataclasses.asdict(lesson.form)
    found = [one.judged(lesson.x, y, lesson.held_out, lesson.weights, **options) for one in of_halves or (model,)]
    return judgement.crossed(*found, lesson.first_half) if of_halves else found[0]
