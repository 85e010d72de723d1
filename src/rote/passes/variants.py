"""Passes over other forms of the records: in lower case, after a prefix of non-members, after other records' prefixes, with
a few words exchanged. Each form costs one more pass over every text.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from rote.config import GenerationConfig, ScoringConfig
from rote.console.progress import track
from rote.models import LoadedModel
from rote.models.tokens import TokenEncoder, model_encoder
from rote.passes.neighbours import Neighbours
from rote.passes.schemes import PLAIN
from rote.passes.scoring import PromptPass, TextPass, key_of, prompt_pass, run_passes
from rote.passes.store import TokenStore
from rote.records import Example, Json, Prompt, VariantPass, content_id

LOWERCASE, RECALL, NEIGHBOUR, UNRELATED = "lowercase", "recall", "neighbour", "unrelated"
"""The forms: names of variants, those of which there are several with a number at the end."""

SEPARATOR = "\n\n"
"""Between the non-members of a prefix, and after them."""


@dataclass(frozen=True, slots=True)
class Variant:
    """Another form of one prompt's text, to be scored."""

    prompt: Prompt
    name: str
    text: TextPass
    skipped: int
    prompt_tokens: int
    truncated: bool


def score_variants(
    prompts: Sequence[Prompt],
    examples: Mapping[str, Example],
    model: LoadedModel,
    store: TokenStore,
    *,
    generation: GenerationConfig,
    scoring: ScoringConfig,
    name: str,
) -> list[VariantPass]:
    """The passes over all forms that the settings ask for, in the order of the prompts.

    Those that membership scores compare with are made only where members and non-members are prompted.

    Args:
        prompts: of the plain passes.
        examples: by id; all of the run (a prefix of non-members is made of those that are not prompted, if there are).
        model: the audited model.
        store: where the numbers are kept.
        generation: batch size, budget of new tokens, seed of the draws.
        scoring: which scores and how many neighbours, non-members, unrelated prefixes.
        name: the passes' `model`.
    """
    plain = {prompt.id: prompt_pass(prompt, model, generation) for prompt in prompts}
    found = list(_variants(prompts, examples, plain, model, generation, scoring))
    batches = run_passes([item.text for item in found], model, store, batch_size=generation.batch_size)
    for _ in track(batches, f"scoring other forms ({name})", total=len(found)):
        pass
    return [
        VariantPass(
            prompt_id=item.prompt.id,
            example_id=item.prompt.example_id,
            model=name,
            variant=item.name,
            key=key_of(item.text, model, (PLAIN,)),
            skipped=item.skipped,
            prompt_tokens=item.prompt_tokens,
            tokens=len(item.text.scored),
            truncated=item.truncated,
        )
        for item in found
    ]


def variant_settings(scoring: ScoringConfig) -> dict[str, Json]:
    """The settings that the forms depend on: those of the forms that are asked for. Empty where none is."""
    found: dict[str, Json] = {}
    if "lowercase" in scoring.membership:
        found["lowercase"] = True
    if "recall_ratio" in scoring.membership:
        found["recall_shots"] = scoring.recall_shots
    if "neighbourhood" in scoring.membership:
        found |= {"neighbour_model": scoring.neighbour_model, "neighbours": scoring.neighbours}
    if scoring.unrelated_prefixes:
        found |= {"unrelated_prefixes": scoring.unrelated_prefixes, "suffix_tokens": scoring.suffix_tokens}
    return found


def _variants(
    prompts: Sequence[Prompt],
    examples: Mapping[str, Example],
    plain: Mapping[str, PromptPass],
    model: LoadedModel,
    generation: GenerationConfig,
    scoring: ScoringConfig,
) -> Iterator[Variant]:
    """One after the other, prompt by prompt."""
    encoder = model_encoder(model)
    recall = _Prefix.of_nonmembers(prompts, examples, encoder, model, seed=generation.seed, shots=scoring.recall_shots)
    others = _unrelated(prompts, examples, count=scoring.unrelated_prefixes, seed=generation.seed)
    # Without non-members, membership scores have nothing to be compared with: nothing is read for them.
    chosen = scoring.membership if len({examples[prompt.example_id].split for prompt in prompts}) == 2 else ()
    exchange = Neighbours(scoring.neighbour_model, model.device) if "neighbourhood" in chosen else None
    for prompt in prompts:
        own = plain[prompt.id]
        if "lowercase" in chosen:
            yield _reworded(prompt, LOWERCASE, _lowered(prompt), model, generation)
        if "recall_ratio" in chosen and recall is not None and prompt.example_id not in recall.example_ids:
            yield recall.before(prompt, own, model)
        for number, other in enumerate(others):
            if examples[other.example_id].group != examples[prompt.example_id].group:
                yield _after(f"{UNRELATED}-{number}", prompt, own, plain[other.id], model, scoring.suffix_tokens)
        if exchange is not None:
            for number in range(scoring.neighbours):
                changed = replace(
                    prompt,
                    text=exchange.of(prompt.text, content_id(str(generation.seed), prompt.id, str(number))),
                    reference=exchange.of(prompt.reference, content_id(str(generation.seed), prompt.id, f"{number} r")),
                )
                yield _reworded(prompt, f"{NEIGHBOUR}-{number}", changed, model, generation)


def _reworded(prompt: Prompt, name: str, changed: Prompt, model: LoadedModel, generation: GenerationConfig) -> Variant:
    """The pass over a changed text, cut as the plain one is."""
    found = prompt_pass(changed, model, generation)
    return Variant(prompt, name, found.text, 0, found.prompt_tokens, found.truncated)


def _lowered(prompt: Prompt) -> Prompt:
    return replace(prompt, text=prompt.text.lower(), reference=prompt.reference.lower())


@dataclass(frozen=True, slots=True)
class _Prefix:
    """The texts of a few non-members, as token ids: all records are read after the same ones."""

    ids: tuple[int, ...]
    example_ids: frozenset[str]
    encoder: TokenEncoder

    @staticmethod
    def of_nonmembers(
        prompts: Sequence[Prompt],
        examples: Mapping[str, Example],
        encoder: TokenEncoder,
        model: LoadedModel,
        *,
        seed: int,
        shots: int,
    ) -> "_Prefix | None":
        """Non-members that are not prompted, if there are so many; cut on the left to half of the model's context.

        None without non-members, and for encoder-decoder models, which read no text before the one that they score.
        """
        prompted = {prompt.example_id for prompt in prompts}
        nonmembers = [example for example in examples.values() if example.split == "non-member"]
        ordered = sorted(nonmembers, key=lambda item: (item.id in prompted, content_id(str(seed), item.id)))
        if not ordered or model.is_encoder_decoder:
            return None
        chosen = ordered[:shots]
        text = "".join(example.text + SEPARATOR for example in chosen)
        ids = encoder.prompt(Prompt("", "", text, "", chosen[0].is_rendered))
        kept = encoder.shortened(ids, encoder.opening(ids) + model.context_tokens // 2)
        return _Prefix(tuple(kept), frozenset(example.id for example in chosen), encoder)

    def before(self, prompt: Prompt, own: PromptPass, model: LoadedModel) -> Variant:
        """The record's tokens after the prefix, as far as the context reaches.

        Where there is no start token, the first token is scored here (the prefix alone is shown, so that all records
        share it), but not in the plain pass.
        """
        first = own.text.shown[self.encoder.opening(own.text.shown) :]
        whole = (*first, *own.text.scored)
        kept = whole[: model.context_tokens - len(self.ids)]
        prompt_tokens = len(first) + own.prompt_tokens
        text = TextPass(self.ids, kept)
        return Variant(prompt, RECALL, text, len(first), prompt_tokens, len(kept) < len(whole) or own.truncated)


def _unrelated(prompts: Sequence[Prompt], examples: Mapping[str, Example], *, count: int, seed: int) -> list[Prompt]:
    """The prompts after which every suffix is read: drawn by seed, non-members' first, each of another group."""

    def place(prompt: Prompt) -> tuple[bool, str]:
        return examples[prompt.example_id].split == "member", content_id(str(seed), prompt.id)

    by_group: dict[str, Prompt] = {}
    for prompt in sorted(prompts, key=place):
        by_group.setdefault(examples[prompt.example_id].group, prompt)
    return list(by_group.values())[:count]


def _after(
    name: str, prompt: Prompt, own: PromptPass, other: PromptPass, model: LoadedModel, suffix_tokens: int
) -> Variant:
    """The first tokens of its own suffix after the other record's prompt."""
    shown = (*other.text.shown, *other.text.scored[: other.prompt_tokens])
    suffix = own.text.scored[own.prompt_tokens :][:suffix_tokens]
    room = model.context_tokens - (0 if model.is_encoder_decoder else len(shown))
    return Variant(prompt, name, TextPass(shown, suffix[:room]), 0, 0, len(suffix) > room or own.truncated)
