"""What the trial and the look at the generations found, in one line each."""

from rote.records import Agreement, Soundness

USED = {
    "any": "batches, padding and order change nothing",
    "equal lengths": "only texts of equal lengths are read together",
    "one": "texts are read one by one",
}


def soundness_sentence(found: Soundness) -> str:
    """What was tried of a model, how it is used, and what was done to load it.

    >>> soundness_sentence(Soundness("tuned", "float32", "cpu", "any", True, None, 262, 2e-06, 0.001, 48, 48, (), ()))
    'Tuned model tried on 262 tokens (float32, cpu): causal; batches, padding and order change nothing (largest difference \
2e-06 nats); a plain call finds 48 of 48 generated tokens to be the first choice.'
    """
    use = USED[found.batching] + ("" if found.uses_cache else ", without a cache")
    if found.context_tokens is not None:
        use += f", and at most {found.context_tokens:,} tokens of a text, up to which it reads every length in the same way"
    seen = f" ({'; '.join(found.seen)})" if found.seen else ""
    omitted = (
        f" Not tried with its weights in float32, where rounding hides no fault: {found.not_in_float32}."
        if found.not_in_float32
        else ""
    )
    notes = "".join(f" {_begun(note.rstrip('.'))}." for note in found.notes)
    also = (
        f", also with its weights in {found.structure_dtype}" if found.structure_dtype not in ("", found.dtype) else ""
    )
    return (
        f"{found.model.capitalize()} model tried on {found.tokens:,} tokens ({found.dtype}{also}, {found.device}): causal; "
        f"{use}{seen} (largest difference {found.difference:.1g} nats); a plain call finds {found.first_choices} of "
        f"{found.generated} generated tokens to be the first choice.{omitted}{notes}"
    )


def agreement_sentence(found: Agreement) -> str:
    """How many tokens of real generations the pass calls its first choice.

    >>> agreement_sentence(Agreement("tuned", 8, 800, 800, 0))
    'The pass calls 800 of 800 tokens in 8 generations of the tuned model the first choice.'
    """
    unread = f" ({found.unread} more could not be read back from their text)" if found.unread else ""
    return (
        f"The pass calls {found.first_choices:,} of {found.tokens:,} tokens in {found.generations} generations of the "
        f"{found.model} model the first choice{unread}."
    )


def _begun(note: str) -> str:
    """The note as a sentence begins; a path or a model's name stays as it is.

    >>> _begun("the base is resized"), _begun("models/a: not applied"), _begun("my-model has no tokenizer")
    ('The base is resized', 'models/a: not applied', 'my-model has no tokenizer')
    """
    first, _, _ = note.partition(" ")
    return note[:1].upper() + note[1:] if first.isalpha() else note
