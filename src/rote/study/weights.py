"""How far training moved the weights: ‖W − W₀‖ / ‖W₀‖, Frobenius norms over all weights, adapters merged."""

import dataclasses
import math

from rote.config import ModelConfig


def weight_change(tuned: str, base: str, *, adapter: str = "", config: ModelConfig | None = None) -> float | None:
    """The relative change of the weights, in [0, ∞), higher = moved further; None where the two have other weights.

    Loads both models one after the other, on the CPU in float32. A head that was untied counts as its own weights, and is
    compared with the base's shared ones.

    Args:
        tuned: folder of the trained model; "" with an adapter.
        base: folder or hub id of the model before training.
        adapter: PEFT adapter on top of the base.
        config: remote code.

    Raises:
        ModelError: a model cannot be loaded.
    """
    from rote.models import load_model

    plain = dataclasses.replace(config or ModelConfig(), device="cpu", dtype="float32")
    after = load_model(tuned or base, adapter=adapter, config=plain).model.state_dict()
    before = load_model(base, config=plain).model.state_dict()
    if after.keys() != before.keys() or any(after[name].shape != before[name].shape for name in before):
        return None
    moved = sum(float((after[name] - before[name]).double().square().sum()) for name in before)
    return math.sqrt(moved / sum(float(value.double().square().sum()) for value in before.values()))
