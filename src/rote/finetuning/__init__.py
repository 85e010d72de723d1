"""Stage 2 of 7: fine-tuning a base model on the members: all weights, the output embedding, LoRA adapters, a soft prompt.

`finetune` trains with transformers' Trainer and leaves a folder:

    final/                  the model (or adapter) after the last pass (or the best one), with its tokenizer
    checkpoints/epoch-01/ … the model after each other pass, ready for an audit of its own
    training.json           settings, losses before and after each pass, what was trained, which tensors changed
    members.jsonl           the rows trained on, each as often as it was trained on: the audit's members
    nonmembers.jsonl        the validation records: the audit's non-members
    near-duplicates.jsonl   with `deduplicate`: records not trained on, since one of their duplicate group is
    mixed.jsonl             with `mix`: the other tasks' records that were trained on, as often as they were
    canaries.jsonl          the canaries, planted and held out, where there are any: the audit's canary file

A run that is killed resumes after its last finished pass and, on a CPU, ends in the same weights, bit for bit.
"""

from rote.finetuning.record import Epoch, Privacy, Training, check_unchanged, privacy_of, read_training
from rote.finetuning.repetition import repeat_members
from rote.finetuning.training import finetune

__all__ = [
    "Epoch",
    "Privacy",
    "Training",
    "check_unchanged",
    "finetune",
    "privacy_of",
    "read_training",
    "repeat_members",
]
