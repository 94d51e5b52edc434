"""All kinds of members as one ensemble.

Shapes in comments: n rows, F features, M members.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np

from tfmdn.distributions.merging import merge
from tfmdn.ensembles import stacking
from tfmdn.ensembles.ensemble import Ensemble
from tfmdn.tabular.conformal import Conformal
from tfmdn.tabular.lessons import Kind, Lesson
from tfmdn.tabular.progress import Ending
from tfmdn.tabular.trainings import Trained
from tfmdn.tabular.workshop import Workshop


@dataclasses.dataclass(frozen=True)
class Fitted:
    """A trained ensemble, of the kinds of members that count.

    Attributes:
      model: from features `[n, F]` to the mixture.
      scores: the held-out negative log-likelihood of each member `[M]`, of targets in standard units.
      loss: the mean of these, in which each kind counts by its weight.
      ending: how the training ended: the longest one, and the reason of the kind that counts most.
      kinds: those that count.
      conformal: the scores of rows that members have not learnt from.
      findings: what was found, a sentence for each fact.
    """

    model: Ensemble
    scores: np.ndarray
    loss: float
    ending: Ending
    kinds: tuple[Kind, ...]
    conformal: Conformal
    findings: tuple[str, ...] = ()


def together(workshop: Workshop, lesson: Lesson, kinds: Sequence[Trained]) -> Fitted:
    """The members of all kinds as one ensemble, by the likelihood of the rows that they have not learnt from."""
    weights = np.ones(1)
    if len(kinds) > 1:
        log_probs = np.stack([kind.log_probs() for kind in kinds], axis=1)
        weights = stacking.kind_weights(log_probs, kinds[0].judged.weights)
    kept = [kind for kind, weight in zip(kinds, weights) if weight]
    ending = dataclasses.replace(
        kinds[int(np.argmax(weights))].ending,
        num_steps=max(kind.ending.num_steps for kind in kept),
        best_steps=np.concatenate([kind.ending.best_steps for kind in kept]),
    )
    models, shares = [kind.model for kind in kept], weights[weights > 0]
    if len(kept) > 1 and kept[0].calibration[0] is not None:
        judged = kept[0].judged
        own = [kind.calibrated_log_probs for kind in kept]
        factor = stacking.common_factor(own, shares, judged.members, judged.weights)
        for kind in kept:
            kind.broaden(factor)

    def mixed(models):  # as one ensemble, whose graph may not be needed
        return lambda x: merge([model(x) for model in models], shares)

    stopped = [models] if not all(kind.of_halves for kind in kept) else zip(*(kind.of_halves for kind in kept))
    conformal = Conformal.of_held_out(
        [mixed(models) for models in stopped],
        lesson.x,
        lesson.y,
        lesson.form,
        *(np.tile(rows, len(kept)) for rows in (lesson.held_out, lesson.first_half)),
        lesson.weights,
    )
    scores = [kind.scores for kind in kept]
    loss = float(np.dot(shares, np.mean(scores, 1)))
    findings = [
        f"The members that {trained.kind.name} have a weight of {weight:.2f}"
        for trained, weight in zip(kinds, weights)
        if len(kinds) > 1 and trained.kind.name
    ]
    counted = tuple(trained.kind for trained in kept)
    model = workshop.together(models, shares)
    return Fitted(model, np.concatenate(scores), loss, ending, counted, conformal, tuple(findings))
