"""What the comparison of the renderings says, in words."""

from rote.records import Difference
from rote.rendering.judging import Judgement

LEAST_RECORDS = "too few independent records"


def lead(found: Judgement) -> str:
    """What has to be said before all figures; "" where nothing speaks against the rendering.

    It names the likely rendering with what selects it, and that the tuned model does not know the records better than
    the base model.
    """
    parts = []
    audited = found.losses[0]
    if found.likely is not None:
        likely = found.likely
        beyond = (
            f", {_interval(likely.beyond_base)} more than the base model's ease with it explains"
            if likely.beyond_base
            else ""
        )
        less = likely.better.value if likely.better else 0.0
        parts.append(
            f"The records were probably not rendered as the model was trained on them: the loss on {likely.records} members' "
            f"completions is {audited.tuned:.2f} nats a token as audited and {likely.tuned:.2f} with the rendering "
            f"“{likely.rendering}” ({less:.2f} less{beyond}). Audit again with {likely.remedy}."
        )
    if found.is_unlearned and audited.base is not None:
        parts.append(
            f"Nothing shows that the model was trained on these records as they are rendered here: its loss on "
            f"{audited.records} members' completions ({audited.tuned:.2f} nats a token) is not below the base model's "
            f"({audited.base:.2f}; difference {_interval(audited.learned)})."
        )
    if found.is_worse_than_guessing:
        parts.append(
            f"The tuned model's loss of {audited.tuned:.2f} nats a token is above that of a model which finds all tokens "
            f"equally likely ({audited.uniform:.2f}): its training diverged, or it is not loaded as it was saved."
        )
    return " ".join(parts)


def brief(found: Judgement) -> str:
    """One line for tables and single records: whether the loss says that the data were rendered as in the training."""
    audited = found.losses[0]
    base = f", base model {audited.base:.2f}" if audited.base is not None else ""
    losses = f"loss on members' completions {audited.tuned:.2f} nats a token{base}"
    if found.likely is not None:
        likely = f"{found.likely.tuned:.2f} with “{found.likely.rendering}”: audit again with {found.likely.remedy}"
        return f"Rendering: probably not that of the training ({losses}; {likely})."
    if found.is_unlearned:
        return f"Rendering: in doubt, nothing shows that the model was trained on these records as rendered ({losses})."
    if found.is_worse_than_guessing:
        return f"Rendering: in doubt, the loss is above that of guessing ({losses})."
    return f"Rendering: nothing speaks against it ({losses})."


def summary(found: Judgement) -> str:
    """One sentence where nothing speaks against the rendering: the losses and how many renderings were tried."""
    audited, others = found.losses[0], found.losses[1:]
    compared = f", base model {audited.base:.2f}" if audited.base is not None else ""
    learned = f" (difference {_interval(audited.learned)})" if audited.learned else ""
    best = f"; of {len(others)} other renderings none is better known" if others and found.likely is None else ""
    return f"Loss on {audited.records} members' completions: {audited.tuned:.2f} nats a token{compared}{learned}{best}."


def others(found: Judgement) -> list[str]:
    """A sentence for each of the other renderings that were tried: its loss, and by how much it is lower."""
    return [
        f"Rendering “{item.rendering}”: {item.tuned:.2f} nats a token of {item.records} members' completions"
        + (f", base model {item.base:.2f}" if item.base is not None else "")
        + (f"; {_interval(item.better)} lower than as audited." if item.better else ".")
        for item in found.losses[1:]
    ]


def _interval(item: Difference | None) -> str:
    return f"{item.value:.2f} [{item.low:.2f}, {item.high:.2f}]" if item else LEAST_RECORDS
