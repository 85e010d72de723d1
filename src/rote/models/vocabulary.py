"""The vocabulary of an adapter: tokens that were added before it was trained enlarge the base in the same way."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, cast

from rote.models.folders import ADAPTER_WEIGHTS, stored

if TYPE_CHECKING:
    import torch
    from torch import nn
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

ROWS_OF_LORA = "lora_B.weight"
WHOLE_ROWS = (
    "weight",
    "base_layer.weight",
    "token_adapter.base_layer.weight",
    "modules_to_save.weight",
    ROWS_OF_LORA,
)
"""Tensors of an embedding in an adapter's file that have a row for each token; `lora_embedding_A` has a column."""


def needed_rows(model: "PreTrainedModel", adapter: str, tokenizer: "PreTrainedTokenizerBase") -> int:
    """Rows of the embedding that the adapter was trained with.

    Its own embedding's, where its file has one (a trainer may have padded them to a round number); else at least as many
    as the tokenizer has tokens.
    """
    rows = len(embedding_weight(model))
    saved = sorted({size for size, _, _ in _saved_rows(model, adapter)})
    if len(saved) > 1:
        raise ValueError(f"its embeddings have {' and '.join(map(str, saved))} rows: they are not of one model")
    return saved[0] if saved else max(rows, len(tokenizer))


def resize(model: "PreTrainedModel", rows: int) -> None:
    """Gives the embeddings so many rows; new ones are the mean of the others, with which transformers starts new tokens.

    (transformers draws them around the mean, with a spread of 3 × 10⁻⁵ of the rows' own; without it every load gives the
    same model.)
    """
    import torch

    old = len(embedding_weight(model))
    model.resize_token_embeddings(rows, mean_resizing=False)
    with torch.no_grad():
        for module in (model.get_input_embeddings(), model.get_output_embeddings()):  # type: ignore[no-untyped-call]
            for name in ("weight", "bias"):
                values = getattr(module, name, None)
                if rows > old and values is not None and len(values) == rows:
                    values[old:] = values[:old].mean(0)


def resizing_note(model: "PreTrainedModel", adapter: str, rows: int) -> str:
    """What `resize` does to the model for the adapter's sake."""
    old = len(embedding_weight(model))
    done = f"the base model's vocabulary is {'enlarged' if rows > old else 'cut'} from {old} to {rows} tokens"
    done += ", as the adapter was trained with"
    if rows < old:
        return done
    lacking = {"input", "output"} - {part for _, part, is_whole in _saved_rows(model, adapter) if is_whole}
    if len(lacking) == 1 and _is_tied(model):
        lacking = set()
    if not lacking:
        return f"{done}; the new rows come from its file"
    which = "" if len(lacking) == 2 else f" of the {lacking.pop()} embedding"
    return (
        f"{done}; its file lacks the new rows{which}: they are the mean of the other rows, with which transformers "
        "starts new tokens"
    )


def embedding_weight(model: "PreTrainedModel") -> "torch.Tensor":
    """The input embedding ("token width")."""
    return cast("nn.Embedding", model.get_input_embeddings()).weight


def _is_tied(model: "PreTrainedModel") -> bool:
    head = cast("nn.Linear | None", model.get_output_embeddings())  # type: ignore[no-untyped-call]
    return head is not None and head.weight is embedding_weight(model)


def _saved_rows(model: "PreTrainedModel", adapter: str) -> Sequence[tuple[int, str, bool]]:
    """For each tensor of an embedding in the adapter's file: its rows, "input" or "output", whether it is the weight."""
    from safetensors import safe_open

    path = stored(adapter, ADAPTER_WEIGHTS)
    places = {"input": model.get_input_embeddings(), "output": model.get_output_embeddings()}  # type: ignore[no-untyped-call]
    names = {
        f".{name}.": part
        for name, module in model.named_modules()
        for part, place in places.items()
        if module is place and name
    }
    found: list[tuple[int, str, bool]] = []
    if path is None:
        return found
    with safe_open(str(path), framework="pt") as file:
        for key in file.keys():  # noqa: SIM118  # no mapping
            for name, part in names.items():
                place, _, tail = key.partition(name)
                if not tail or not place:
                    continue
                shape = file.get_slice(key).get_shape()
                if tail in WHOLE_ROWS:
                    found.append((int(shape[0]), part, tail != ROWS_OF_LORA))
                elif tail == "lora_embedding_A":
                    found.append((int(shape[1]), part, False))
    return found
