"""What the numerics check says, in sentences."""

from rote.records import Recheck


def recheck_sentence(found: Recheck) -> str:
    """How far stored numbers are from those in float32 at batch 1.

    >>> recheck_sentence(Recheck("tuned", "bfloat16", "cuda", 8, 900, 0.07, 0.08, 0.03, 0.08, 0.0008, 6, 99, 11))
    'Numbers of the tuned model (bfloat16, cuda), 8 texts (900 tokens) scored again one by one in float32: \
log-probabilities differ by at most 0.07 nats, their means by 0.08, their deviations by 0.03, the loss of a text by \
0.0008; the first choice is another one at 6 tokens.'
    """
    first = (
        f"{found.other_choices:,} token{'' if found.other_choices == 1 else 's'}" if found.other_choices else "no token"
    )
    return (
        f"Numbers of the {found.model} model ({found.dtype}, {found.device}), {found.texts:,} texts ({found.tokens:,} "
        f"tokens) scored again one by one in float32: log-probabilities differ by at most {found.log_probability:.1g} "
        f"nats, their means by {found.mean:.1g}, their deviations by {found.deviation:.1g}, the loss of a text by "
        f"{found.loss:.1g}; the first choice is another one at {first}."
    )
