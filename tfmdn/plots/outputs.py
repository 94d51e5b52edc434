"""Which of the targets a figure is of, and what it is called.

Shapes in comments: n rows, d outputs.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from tfmdn import validation


def chosen(output: int | str | None, model: Any, y: Any = None) -> tuple[int | None, str]:
    """The number of an output, None if none was asked for, and what stands beside its axis.

    Args:
      output: its number or name.
      model: a model, of which an `MDNRegressor` may know the names of its targets.
      y: targets, of which frames and series know their names.

    Raises:
      ValueError: if there is no output of this name.
    """
    names = names_of(y) or [str(name) for name in getattr(model, "target_names_", None) or [] if name is not None]
    if isinstance(output, str):
        output = names.index(validation.one_of("output", output, names))
    if output is None:
        return None, names[0] if len(names) == 1 else "y"
    return output, names[output] if -len(names) <= output < len(names) else f"y[{output}]"


def of_targets(name: str, y: Any, num_rows: int, output: int | None) -> np.ndarray:
    """The targets of one output, `[n]` as floats.

    Args:
      name: what the caller calls them.
      y: `[n]` or `[n, 1]`, or `[n, d]` if an output was chosen.
      num_rows: the n that there must be.
      output: the number of the output, or None.

    Raises:
      ValueError: if they have another shape.
    """
    values = np.asarray(y)
    if values.ndim == 2 and values.shape[1] > 1 and output is not None:
        values = values[:, validation.index("output", output, values.shape[1])]
    if values.shape not in ((num_rows,), (num_rows, 1)):
        raise ValueError(
            f"`{name}` must be of shape [n] or [n, 1], or [n, d] with an `output` of d, with n = {num_rows} as in `x`. "
            f"Received: {name} of shape {values.shape}, output={output!r}."
        )
    return values.ravel().astype(np.result_type(values.dtype, np.float32))


def names_of(y: Any) -> list[str]:
    """The names of targets, as texts; none if they are not known."""
    if hasattr(y, "column_names"):  # pyarrow's table, whose columns are no names
        return list(y.column_names)
    if hasattr(y, "columns"):
        return [str(name) for name in y.columns]
    if hasattr(y, "to_frame"):  # a series
        return [] if y.name in (None, "") else [str(y.name)]
    return []
