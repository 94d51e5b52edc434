"""What tfmdn needs of scikit-learn that has no public name there. All of it stands here, and nowhere else.

tests/test_sklearn_internals.py holds that scikit-learn has these names, and that they mean what is read of them.
Forests of scikit-learn's `tree` have public names for all of this.
"""

from __future__ import annotations

from typing import Any

import numpy as np

# Of what is known of each node of a boosted tree, what is read here.
NODE_FIELDS = ("is_leaf", "is_categorical", "feature_idx", "num_threshold", "missing_go_to_left")
NODE_FIELDS += ("left", "right", "value")


def boosted_nodes(model: Any) -> list[np.ndarray]:
    """The nodes of each tree of a fitted `HistGradientBoostingRegressor`, in the order in which they are added up.

    Raises:
      RuntimeError: if this scikit-learn keeps its trees elsewhere, or in another form.
    """
    try:
        nodes = [predictor.nodes for (predictor,) in model._predictors]
    except (AttributeError, TypeError, ValueError) as error:
        raise _unknown("the `_predictors` of HistGradientBoostingRegressor, with `nodes` in each") from error
    for tree in nodes:
        if not set(NODE_FIELDS) <= set(tree.dtype.names or ()):
            raise _unknown(f"the fields {NODE_FIELDS} of a boosted tree's nodes")
        if tree["is_categorical"].any():
            raise NotImplementedError("Trees that split by category are not known here: pass numbers alone.")
    return nodes


def baseline(model: Any) -> float:
    """What a fitted `HistGradientBoostingRegressor` adds its trees to.

    Raises:
      RuntimeError: if this scikit-learn does not say so.
    """
    try:
        return float(np.reshape(model._baseline_prediction, ()))
    except (AttributeError, TypeError, ValueError) as error:
        raise _unknown("the `_baseline_prediction` of HistGradientBoostingRegressor, one number") from error


def _unknown(name: str) -> RuntimeError:
    import sklearn

    return RuntimeError(
        f"tfmdn knows {name}, which scikit-learn {sklearn.__version__} does not have: trees could not be read. Use a "
        "scikit-learn that this version of tfmdn was tested with, or a newer tfmdn."
    )
