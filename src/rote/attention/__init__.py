"""Stage 6b: look. Where a model attends while it writes, and how much of its input it needs.

`watch` measures for every layer and head how concentrated the attention over the input is (`rote.attention.watching`);
`needed_input` how far the loss on the completions rises while parts of the prompts are left out
(`rote.attention.ablation`).
"""

from rote.attention.ablation import NeededInput, ablated_prompts, needed_input
from rote.attention.watching import MEASURES, Attention, WatchedText, watch, watched_text

__all__ = [
    "MEASURES",
    "Attention",
    "NeededInput",
    "WatchedText",
    "ablated_prompts",
    "needed_input",
    "watch",
    "watched_text",
]
