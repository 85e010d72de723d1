"""A transformers model as a LanguageModel: greedy, beam search, and sampling with one random stream per draw."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from rote.config import GenerationConfig
from rote.generation.blocking import ForbiddenTokens, VerbatimBlocker
from rote.generation.language_model import Draw
from rote.models import LoadedModel
from rote.models.tokens import (
    decoder_start_ids,
    model_encoder,
    padded,
    prompt_room,
    sharing,
    suppressed_ids,
)
from rote.records import Prompt, content_id

if TYPE_CHECKING:
    import torch
    import transformers
    from transformers.generation.utils import GenerateOutput

CONTEXT_OF_DECODING = 4
"""Prompt tokens that are decoded with the new ones: some tokenizers drop the space before the first token."""


class TransformersModel:
    """Continues prompts with a causal or encoder-decoder model.

    Exactly `max_new_tokens` tokens are generated: start, end and padding tokens are never chosen. The decoding defaults that
    come with a model (repetition penalty, length penalty, forced tokens …) are not used; the settings alone decide.

    A draw does not depend on its batch, but for what floating-point arithmetic does when another batch size or
    padding adds up the same numbers in another order (about one part in a million in float32): where two tokens are
    as near as that, either may be chosen. Measured with a small Llama and a small T5 on 160 prompts, 60 new tokens,
    batch sizes 1, 7 and 32: no greedy and no sampled text differed, one of beam search did. A model that cannot read
    unequal texts together, or none (`LoadedModel.batching`), reads them apart.

    Args:
        loaded: the model.
        forbidden: runs of tokens that are never completed; None: all may be.
    """

    def __init__(self, loaded: LoadedModel, forbidden: ForbiddenTokens | None = None) -> None:
        self.loaded = loaded
        self.forbidden = forbidden
        self.encoder = model_encoder(loaded)

    @property
    def digest(self) -> str:
        """Depends on the weights, and on the runs that are never completed."""
        return content_id(self.loaded.digest, self.forbidden.digest) if self.forbidden else self.loaded.digest

    def count_tokens(self, prompts: Sequence[Prompt]) -> list[int]:
        """Number of tokens of each prompt, special tokens included."""
        return [len(self.encoder.prompt(prompt)) for prompt in prompts]

    def prompt_room(self, config: GenerationConfig) -> int:
        """Number of prompt tokens that leaves room for the new ones; ModelError where there is none."""
        return prompt_room(self.loaded, config.max_new_tokens)

    def continue_prompts(self, draws: Sequence[Draw], config: GenerationConfig) -> list[str]:
        """The text of exactly `max_new_tokens` new tokens for each draw, special tokens left out."""
        room = self.prompt_room(config)
        rows = [self.encoder.shortened(self.encoder.prompt(draw.prompt), room) for draw in draws]
        texts = [""] * len(rows)
        for places in sharing([len(row) for row in rows], self.loaded.batching):
            new = self._new_tokens([rows[at] for at in places], [draws[at] for at in places], config)
            for at, ids in zip(places, new, strict=True):
                texts[at] = self._text(rows[at], ids)
        return texts

    def traced(self, rows: list[list[int]], new_tokens: int) -> "list[Traced]":
        """What greedy decoding adds to each row, as `continue_prompts` would, with the logits that decided it."""
        import torch

        found: dict[int, Traced] = {}
        config = GenerationConfig(max_new_tokens=new_tokens)
        for places in sharing([len(row) for row in rows], self.loaded.batching):
            output, skipped = self._generated([rows[at] for at in places], [], config, with_logits=True)
            logits = torch.stack(output.logits or (), dim=1)
            new = output.sequences[:, skipped:].tolist()
            found |= {at: Traced(new[n], logits[n]) for n, at in enumerate(places)}
        return [found[at] for at in range(len(rows))]

    def _new_tokens(self, rows: list[list[int]], draws: Sequence[Draw], config: GenerationConfig) -> list[list[int]]:
        """The ids that the model adds to each row."""
        output, skipped = self._generated(rows, draws, config)
        new: list[list[int]] = output.sequences[:, skipped:].tolist()
        return new

    def _generated(
        self, rows: list[list[int]], draws: Sequence[Draw], config: GenerationConfig, *, with_logits: bool = False
    ) -> "tuple[GenerateOutput, int]":
        """The output of transformers, and how many of its tokens come before the new ones."""
        import torch
        from transformers import LogitsProcessorList

        loaded = self.loaded
        batch = padded(rows, loaded, left=not loaded.is_encoder_decoder)
        start = decoder_start_ids(loaded, self.encoder) if loaded.is_encoder_decoder else []
        decoder = {"decoder_input_ids": torch.tensor([start] * len(rows), device=loaded.device)} if start else {}
        skipped = len(start) if start else batch.ids.shape[1]
        before = [skipped if start else skipped - len(row) for row in rows]
        blocking = [VerbatimBlocker(self.forbidden, before)] if self.forbidden else []
        with torch.inference_mode(), _without_own_settings(loaded.model):
            output = loaded.model.generate(  # type: ignore[operator]
                batch.ids,
                attention_mask=batch.mask,
                generation_config=_settings(loaded, config, start),
                logits_processor=LogitsProcessorList([*blocking, *_sampling(draws, config)]),
                return_dict_in_generate=True,
                output_logits=with_logits,
                **decoder,
            )
        return output, skipped

    def _text(self, shown: list[int], new: list[int]) -> str:
        if self.loaded.is_encoder_decoder:
            return self._decoded(new)
        tail = shown[self.encoder.virtual :][-CONTEXT_OF_DECODING:]
        both, alone = self._decoded([*tail, *new]), self._decoded(tail)
        return both[len(alone) :] if both.startswith(alone) else self._decoded(new)

    def _decoded(self, ids: list[int]) -> str:
        return str(self.loaded.tokenizer.decode(ids, skip_special_tokens=True, clean_up_tokenization_spaces=False))


@dataclass(frozen=True, slots=True, eq=False)
class Traced:
    """A continuation in token ids, and the model's logits before each of them ("token vocabulary")."""

    new: list[int]
    logits: "torch.Tensor"


class StreamNoise:
    """Adds Gumbel noise to the scores, each row's from a random stream of its own.

    The arg-max of log p + Gumbel noise is a draw from p (the Gumbel-max trick), so arg-max decoding samples, and a
    row's draws depend on its seed and its scores alone. The streams are made on the CPU: the same on every device.
    """

    def __init__(self, seeds: Sequence[int]) -> None:
        import torch

        self.streams = [torch.Generator().manual_seed(seed) for seed in seeds]

    def __call__(self, input_ids: "torch.Tensor", scores: "torch.Tensor") -> "torch.Tensor":  # noqa: ARG002
        """The scores of one step ("batch vocabulary") with the noise added; called in the order of the steps."""
        import torch

        width = scores.shape[-1]
        uniform = torch.stack([torch.rand(width, generator=row, dtype=torch.float64) for row in self.streams])
        return scores + -(-uniform.log()).log().to(scores)


def _settings(loaded: LoadedModel, config: GenerationConfig, start: list[int]) -> "transformers.GenerationConfig":
    """No end token is named, so nothing ends before the budget is used up.

    The cache of a recurrent model cannot be handed from beam to beam: beam search reads its texts anew.
    """
    from transformers import GenerationConfig as Settings

    is_fixed = config.decoding == "beam" and bool(getattr(loaded.model, "_is_stateful", False))
    return Settings(  # type: ignore[no-untyped-call]
        max_new_tokens=config.max_new_tokens,
        num_beams=config.beams if config.decoding == "beam" else 1,
        do_sample=False,
        use_cache=loaded.uses_cache and not is_fixed,
        suppress_tokens=suppressed_ids(loaded),
        pad_token_id=loaded.tokenizer.pad_token_id,
        decoder_start_token_id=start[0] if start else None,
    )


def _sampling(draws: Sequence[Draw], config: GenerationConfig) -> list[object]:
    """Temperature, top-k, top-p, then noise; empty for greedy and beam."""
    from transformers import TemperatureLogitsWarper, TopKLogitsWarper, TopPLogitsWarper

    if config.decoding != "sample":
        return []
    seeds = [int(content_id(str(config.seed), draw.prompt.id, str(draw.sample)), 16) for draw in draws]
    steps: list[object] = [TemperatureLogitsWarper(float(config.temperature))]
    steps += [TopKLogitsWarper(config.top_k)] if config.top_k else []
    steps += [TopPLogitsWarper(config.top_p)] if config.top_p < 1 else []
    return [*steps, StreamNoise(seeds)]


@contextmanager
def _without_own_settings(model: "transformers.PreTrainedModel") -> Iterator[None]:
    """transformers fills every setting that is not given from the model's own; meanwhile it has none."""
    from transformers import GenerationConfig as Settings

    own = model.generation_config
    model.generation_config = Settings()  # type: ignore[no-untyped-call]
    try:
        yield
    finally:
        model.generation_config = own
