"""What of a head's dense layer is not as its constructor makes it: it can be quantized, and have adapters (LoRA).

`keras.Model.quantize` changes the dense layer alone, and the head computes its density as before.
"""

from __future__ import annotations

from typing import Any

import keras


def plain(policy: keras.dtype_policies.DTypePolicy) -> keras.dtype_policies.DTypePolicy:
    """The policy of what cannot be quantized beside a layer of the given policy, such as int8_from_mixed_bfloat16."""
    if policy.quantization_mode is None:
        return policy
    return keras.dtype_policies.get(policy.name.split("_from_", 1)[1])


def require_floats(dense: keras.layers.Dense, purpose: str) -> None:
    """Raises if the weights of a dense layer are whole numbers, which nothing can be assigned to.

    Args:
      dense: the layer, built.
      purpose: what they are to be assigned for.
    """
    if dense.quantization_mode not in (None, "float8"):
        raise ValueError(
            f"{purpose} sets weights of the head, which must not be quantized. Do it before you quantize the model. "
            f"Received: a head of dtype policy {dense.dtype_policy.name!r}."
        )


def changes(dense: keras.layers.Dense, policy: keras.dtype_policies.DTypePolicy) -> dict[str, Any]:
    """What a config must tell of a dense layer that was made with a policy: nothing if it is as it was made."""
    found = {}
    if dense.dtype_policy != policy:
        found["dtype"] = keras.dtype_policies.serialize(dense.dtype_policy)
    if getattr(dense, "quantization_config", None) is not None:
        found["quantization_config"] = keras.saving.serialize_keras_object(dense.quantization_config)
    if dense.lora_rank:
        found["lora_rank"], found["lora_alpha"] = dense.lora_rank, getattr(dense, "lora_alpha", dense.lora_rank)
    return found


def restore(dense: keras.layers.Dense, found: dict[str, Any]) -> None:
    """Makes a dense layer that is not built yet what `changes` told of another one."""
    for name, value in found.items():
        if name == "dtype":
            dense.dtype_policy = keras.dtype_policies.deserialize(value) if isinstance(value, dict) else value
        elif name == "quantization_config":
            dense.quantization_config = keras.saving.deserialize_keras_object(value)
        else:
            setattr(dense, name, value)
