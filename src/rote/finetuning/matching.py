"""Checkpoints of several trainings at which they have learned about equally much: the fair place to compare them."""

from collections.abc import Mapping, Sequence

from rote.errors import RoteError
from rote.finetuning.record import Epoch, Training


def matched_epochs(trainings: Mapping[str, Training]) -> dict[str, Epoch]:
    """For each training the pass whose validation loss is nearest to the least loss that *every* one of them reaches.

    That target is the largest of the trainings' least validation losses; of equally near passes the first is taken.

    Raises:
        RoteError: a training has no validation loss: there were no records to measure it on.
    """
    known = {
        name: [(epoch.validation_loss, epoch) for epoch in training.epochs if epoch.validation_loss is not None]
        for name, training in trainings.items()
    }
    if not all(known.values()):
        raise RoteError("matched validation loss: there are no non-members to measure it on (set corpus.holdout)")
    target = max(min(loss for loss, _ in found) for found in known.values())
    return {name: min(found, key=lambda item: abs(item[0] - target))[1] for name, found in known.items()}


def best_epoch(epochs: Sequence[Epoch]) -> Epoch:
    """The pass of the least validation loss, the first of equal ones; the last one where none has a validation loss."""
    known = [(epoch.validation_loss, epoch) for epoch in epochs if epoch.validation_loss is not None]
    return min(known, key=lambda item: item[0])[1] if known else epochs[-1]
