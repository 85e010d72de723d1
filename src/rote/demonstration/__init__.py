"""The embedded demonstration: fictional clinic records (CC0) and small base models pre-trained on old novels."""

from collections.abc import Mapping
from pathlib import Path

HERE = Path(__file__).parent
DECODER = HERE / "decoder"
"""A small Llama model, pre-trained on public-domain novels (see its README.md)."""
ENCODER_DECODER = HERE / "encoder_decoder"
"""A small T5 model, pre-trained on the same text."""
MODELS: Mapping[str, Path] = {
    "decoder": DECODER,
    "encoder_decoder": ENCODER_DECODER,
    "decoder-180k": HERE / "decoder_180k",
    "decoder-450k": HERE / "decoder_450k",
    "decoder-840k": HERE / "decoder_840k",
}
"""Name → folder. The three named by their parameters are the decoder's narrower siblings: same text, tokens, layers."""


def records(task: str) -> Path:
    """The records of one task: "dialogue", "sentiment", "qa" or "translation"."""
    return HERE / "records" / f"{task}.jsonl"
