"""Soft prompts (prompt tuning, Lester et al. 2021) as tokens of the model: trained vectors that stand before every text.

peft's own forward puts the vectors before the embedded input, which shifts the logits of a causal model and hides the
input from everything that calls a part of the model. Here each vector gets a token id behind the vocabulary, and the
input embedding knows these ids. Whoever puts them before a text generates and scores as with peft, through the model's own
forward, its cache, its encoder or its body alone. The output has no place for them: they are never written.

Imports torch; `rote.models` imports this module only for such an adapter.
"""

from typing import TYPE_CHECKING, cast

import torch
from peft import PeftConfig, PeftType, TaskType, load_peft_weights
from torch import nn

if TYPE_CHECKING:
    from transformers import PreTrainedModel

WEIGHTS = "prompt_embeddings"
"""The name under which peft keeps the vectors."""
TOLERANCE = 1e-4
"""Largest difference of logits, relative to the largest one, that is rounding."""


class PromptedEmbedding(nn.Module):
    """An input embedding whose ids from `first_id` on are the vectors of a soft prompt; other ids are as before."""

    def __init__(self, inner: nn.Embedding, vectors: torch.Tensor) -> None:
        super().__init__()
        self.inner = inner
        self.vectors = nn.Parameter(vectors.to(inner.weight), requires_grad=False)
        self.first_id = len(inner.weight)

    @property
    def weight(self) -> torch.Tensor:
        """That of the vocabulary ("token width")."""
        return self.inner.weight

    def forward(self, ids: torch.Tensor) -> torch.Tensor:
        """The vectors of the ids ("… " to "… width")."""
        is_prompt = ids >= self.first_id
        embedded = cast(torch.Tensor, self.inner(ids.masked_fill(is_prompt, 0)))
        vectors = self.vectors[(ids - self.first_id).clamp(min=0)]
        return torch.where(is_prompt[..., None], vectors.to(embedded.dtype), embedded)


def is_soft_prompt(adapter: str) -> bool:
    """Whether a PEFT adapter folder holds a soft prompt."""
    return bool(PeftConfig.from_pretrained(adapter).peft_type == PeftType.PROMPT_TUNING)


def add_soft_prompt(model: "PreTrainedModel", adapter: str) -> tuple[int, ...]:
    """Gives the model the adapter's soft prompt; returns the ids that must stand before everything that it reads.

    An encoder-decoder model reads them with its encoder.

    Raises:
        ValueError: the adapter does not fit the model, or the model cannot read a soft prompt as tokens.
    """
    vectors = _vectors(model, adapter)
    plain = cast(nn.Embedding, model.get_input_embeddings())
    embedding = PromptedEmbedding(plain, vectors)
    model.set_input_embeddings(embedding)
    ids = tuple(range(embedding.first_id, embedding.first_id + len(vectors)))
    _check_same(model, ids, torch.cat([embedding.vectors, plain(torch.zeros(1, dtype=torch.long))])[None])
    return ids


def _vectors(model: "PreTrainedModel", adapter: str) -> torch.Tensor:
    """The soft prompt of an adapter folder ("token width")."""
    config, weights = PeftConfig.from_pretrained(adapter), load_peft_weights(adapter, device="cpu")
    task = TaskType.SEQ_2_SEQ_LM if model.config.is_encoder_decoder else TaskType.CAUSAL_LM
    if config.task_type != task:
        raise ValueError(f"a soft prompt of the task {config.task_type}, the model is of {task.value}")
    if set(weights) != {WEIGHTS}:
        others = sorted(set(weights) - {WEIGHTS})
        raise ValueError(f"a soft prompt of {WEIGHTS} alone is expected, found {others or 'nothing'}")
    found, tokens = cast(torch.Tensor, weights[WEIGHTS]), int(config.num_virtual_tokens)
    width = cast(nn.Embedding, model.get_input_embeddings()).weight.shape[-1]
    # peft may keep as many vectors for a decoder besides, which it never reads
    if found.shape[-1] != width or len(found) not in (tokens, tokens * (config.num_transformer_submodules or 1)):
        raise ValueError(f"a soft prompt of {tuple(found.shape)} numbers, the model needs {(tokens, width)}")
    return found[:tokens]


def _check_same(model: "PreTrainedModel", ids: tuple[int, ...], embedded: torch.Tensor) -> None:
    """Compares the model's output for the soft prompt and one token as ids with that for their vectors."""
    read = {"decoder_input_ids": torch.zeros(1, 1, dtype=torch.long)} if model.config.is_encoder_decoder else {}
    training = model.training
    model.train(False)
    try:
        with torch.inference_mode():
            by_id = model(input_ids=torch.tensor([[*ids, 0]]), **read).logits
            by_vector = model(inputs_embeds=embedded, **read).logits
    except (IndexError, RuntimeError, TypeError, ValueError) as error:
        raise ValueError(f"{type(model).__name__} cannot read a soft prompt as tokens: {error}") from error
    finally:
        model.train(training)
    if not torch.allclose(by_id, by_vector, rtol=0, atol=TOLERANCE * float(by_vector.abs().max())):
        raise ValueError(f"{type(model).__name__} reads a soft prompt as tokens otherwise than as vectors")
