"""The embedded demonstration: fictional clinic records (CC0) and two small base models pre-trained on old novels."""

from pathlib import Path

HERE = Path(__file__).parent
DECODER = HERE / "decoder"
"""A small Llama model, pre-trained on public-domain novels (see its README.md)."""
ENCODER_DECODER = HERE / "encoder_decoder"
"""A small T5 model, pre-trained on the same text."""


def records(task: str) -> Path:
    """The records of one task: "dialogue", "sentiment", "qa" or "translation"."""
    return HERE / "records" / f"{task}.jsonl"
