"""The names by which SavedModels know tfmdn's distributions."""

from __future__ import annotations

import tensorflow_probability as tfp


def registered(distribution: type) -> type:
    """A class decorator: files name the distribution `tfmdn.<class>`, whatever module it is defined in.

    TFP's own choice, the module's name, would make every file unreadable once the module moves.
    """
    return tfp.experimental.auto_composite_tensor(
        distribution, omit_kwargs=("parameters",), non_identifying_kwargs=("name",), module_name="tfmdn"
    )
