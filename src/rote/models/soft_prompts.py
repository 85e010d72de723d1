"""Soft prompts (prompt tuning, Lester et al. 2021, and its kin) as tokens of the model: trained vectors that stand
before every text.

peft's own forward puts the vectors before the embedded input, which shifts the logits of a causal model and hides the
input from everything that calls a part of the model. Here each vector gets a token id beyond the vocabulary, and the
input embedding knows these ids. Whoever puts them before a text generates and scores as with peft, through the model's own
forward, its cache, its encoder or its body alone. The output has no place for them: they are never written.

Imports torch; `rote.models` imports this module only for such an adapter.
"""

from dataclasses import replace
from typing import TYPE_CHECKING, cast

import torch
from peft import MultitaskPromptTuningConfig, TaskType
from torch import nn

from rote.models.probing import Probe, largest_difference, rounding

if TYPE_CHECKING:
    from peft import PeftConfig, PeftModel, PromptTuningConfig
    from transformers import PreTrainedModel


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


def add_soft_prompt(
    adapted: "PeftModel", config: "PeftConfig", probe: Probe
) -> "tuple[PreTrainedModel, tuple[int, ...]]":
    """The base model with the soft prompt in its input embedding, and the ids that must stand before all that it reads.

    The vectors are whatever peft's model puts before the embedded input: the trained ones (prompt tuning, CPT), those that
    a prompt encoder made of its parameters (p-tuning), or the product of a task's and the shared ones (multitask prompt
    tuning of one task). An encoder-decoder model reads them with its encoder.

    Args:
        adapted: peft's own model, in evaluation mode.
        config: the adapter's settings.
        probe: what the two are compared on.

    Raises:
        ValueError: the adapter is of another kind or task, or the model cannot read a soft prompt as tokens.
    """
    model = cast("PreTrainedModel", adapted.get_base_model())
    vectors = _vectors(adapted, config)
    said = replace(probe, has_task=isinstance(config, MultitaskPromptTuningConfig)).log_probabilities(adapted)
    plain = cast(nn.Embedding, model.get_input_embeddings())
    embedding = PromptedEmbedding(plain, vectors)
    model.set_input_embeddings(embedding)
    ids = tuple(range(embedding.first_id, embedding.first_id + len(vectors)))
    try:
        found = replace(probe, before=ids).log_probabilities(model)
    except (IndexError, RuntimeError, TypeError, ValueError) as error:
        raise ValueError(f"{type(model).__name__} cannot read a soft prompt as tokens: {error}") from error
    apart = largest_difference(said, found)
    if apart > rounding(said, model.dtype):
        raise ValueError(
            f"{type(model).__name__} reads a soft prompt as tokens otherwise than as vectors "
            f"(log-probabilities differ by up to {apart:.2g} nats)"
        )
    return model, ids


def check_task(model: "PreTrainedModel", config: "PeftConfig") -> None:
    """Raises a ValueError where the soft prompt was trained for a model of the other kind."""
    task = TaskType.SEQ_2_SEQ_LM if model.config.is_encoder_decoder else TaskType.CAUSAL_LM
    if config.task_type != task:
        raise ValueError(f"a soft prompt of the task {config.task_type}, the model is of {task.value}")


def _vectors(adapted: "PeftModel", config: "PeftConfig") -> torch.Tensor:
    """The vectors that stand before every text ("token width")."""
    settings = cast("PromptTuningConfig", config)
    task = None
    if isinstance(config, MultitaskPromptTuningConfig):
        if config.num_tasks != 1:
            raise ValueError(f"a soft prompt for {config.num_tasks} tasks: which of them is measured cannot be said")
        task = torch.zeros(1, dtype=torch.long, device=adapted.device)
    with torch.no_grad():
        found: object = adapted.get_prompt(batch_size=1, task_ids=task)
    if not isinstance(found, torch.Tensor):
        kind = getattr(config.peft_type, "value", config.peft_type)
        raise ValueError(
            f"{kind} keeps keys and values for every layer, not vectors that stand before the text; that is not measured "
            "(a soft prompt is: prompt tuning, p-tuning)"
        )
    model = cast("PreTrainedModel", adapted.get_base_model())
    width = cast(nn.Embedding, model.get_input_embeddings()).weight.shape[-1]
    tokens = int(settings.num_virtual_tokens or 0)
    if found.shape[-1] != width:
        raise ValueError(f"a soft prompt of {tuple(found.shape[1:])} numbers, the model needs {(tokens, width)}")
    # peft may keep as many vectors for a decoder besides, which it never reads
    return found[0, :tokens].detach().clone()
