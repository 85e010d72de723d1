"""A verbatim blocker: while text is generated, no run of n tokens of the training texts is ever completed.

Before each token the n - 1 tokens so far (the prompt's among them) are looked up among all runs of n - 1 tokens of the
training texts; what follows one of them there is forbidden. The same text in other tokens, and text that differs in one
token of n, pass: what still comes out is measured, not assumed.

Source: Ippolito et al. (2022), "Preventing Verbatim Memorization in Language Models Gives a False Sense of Privacy"
(MemFree decoding). There runs are kept in a Bloom filter; here hashes lead to the tokens that may not follow, so that one
look-up serves the whole vocabulary.
"""

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from rote.errors import ModelError
from rote.models.tokens import TokenEncoder
from rote.records import Example, Prompt

if TYPE_CHECKING:
    import torch

Hashes = NDArray[np.uint64]
Tokens = NDArray[np.int32]

TOKENS_AT_ONCE = 1_000_000
"""Tokens that are hashed together: bounds what building needs beside the result."""
_BETWEEN = -1
"""Stands between two texts; no token."""
_FACTOR = np.uint64(0x9E3779B97F4A7C15)
_HALF = np.uint64(32)


@dataclass(frozen=True, slots=True, eq=False)
class ForbiddenTokens:
    """Which tokens would complete a run of `run_tokens` tokens of the training texts: 12 bytes for each different run.

    Runs are known by 64-bit hashes of all their tokens but the last: a collision (about one in 10^10 look-ups among 10^9
    runs) forbids a token too many, never one too few.
    """

    run_tokens: int
    hashes: Hashes
    """Hashes of the first `run_tokens - 1` tokens of each run, ascending."""
    last: Tokens
    """The last token of each run, ascending among equal hashes."""

    @property
    def digest(self) -> str:
        """Depends on the runs."""
        found = hashlib.sha256(f"{self.run_tokens}".encode())
        found.update(self.hashes.data)
        found.update(self.last.data)
        return found.hexdigest()[:16]

    def after(self, contexts: NDArray[np.int64]) -> tuple[NDArray[np.int64], Tokens]:
        """What may not follow each context ("batch run_tokens-1").

        Returns:
            Numbers of the rows, ascending, and a token that is forbidden after each; rows without any are not there.
        """
        wanted = _hashes(contexts.T)
        first = np.searchsorted(self.hashes, wanted, side="left")
        count = np.searchsorted(self.hashes, wanted, side="right") - first
        rows = np.repeat(np.arange(len(wanted)), count)
        offsets = np.arange(len(rows)) - np.repeat(np.cumsum(count) - count, count)
        return rows, self.last[np.repeat(first, count) + offsets]


def forbidden_tokens(texts: Iterable[Sequence[int]], run_tokens: int) -> ForbiddenTokens:
    """The index of all runs of `run_tokens` (at least 2) tokens of the texts; runs never reach over two texts."""
    hashes, last = [np.empty(0, np.uint64)], [np.empty(0, np.int32)]
    for tokens in _pieces(texts):
        if len(tokens) < run_tokens:
            continue
        runs = np.lib.stride_tricks.sliding_window_view(tokens, run_tokens)
        within = runs.min(-1) != _BETWEEN
        found = _distinct(_hashes(runs.T[:-1])[within], runs[within, -1])
        hashes.append(found[0])
        last.append(found[1])
    return ForbiddenTokens(run_tokens, *_distinct(np.concatenate(hashes), np.concatenate(last)))


def training_tokens(examples: Iterable[Example], encoder: TokenEncoder) -> Iterator[list[int]]:
    """The examples' texts as the model reads and writes them.

    Decoder-only: the whole text. Encoder-decoder: prompt and completion, each by itself.
    """
    for example in examples:
        if encoder.is_encoder_decoder:
            yield encoder.content(example.prompt)
            yield encoder.reference(Prompt(example.id, example.id, example.prompt, example.completion))
        else:
            yield encoder.content(example.text)


class VerbatimBlocker:
    """Sets the scores of forbidden tokens to -∞; a logits processor of transformers, made anew for each batch.

    Works on greedy, beam and sampled decoding alike: it comes before temperature, top-k and top-p, so that a sample is
    drawn from what is left.

    Args:
        forbidden: the index.
        starts: for each row of the batch where its first token of text stands (after padding and start tokens); with
            beams, several rows in a row share one.
    """

    def __init__(self, forbidden: ForbiddenTokens, starts: Sequence[int]) -> None:
        self.forbidden = forbidden
        self.starts = np.array(starts)

    def __call__(self, input_ids: "torch.Tensor", scores: "torch.Tensor") -> "torch.Tensor":
        """The scores of one step ("batch vocabulary") after these tokens ("batch length").

        Raises:
            ModelError: no token of the vocabulary is left.
        """
        import torch

        width = self.forbidden.run_tokens - 1
        starts = np.repeat(self.starts, len(input_ids) // len(self.starts))
        whole = np.flatnonzero(starts + width <= input_ids.shape[1])
        rows, tokens = self.forbidden.after(input_ids[:, -width:].cpu().numpy()[whole])
        if not len(rows):
            return scores
        places = torch.from_numpy(whole[rows]).to(scores.device)
        scores = scores.clone()
        scores[places, torch.from_numpy(tokens.astype(np.int64)).to(scores.device)] = -torch.inf
        if torch.isneginf(scores[torch.unique(places)]).all(-1).any():
            raise ModelError(
                f"generation.block_verbatim = {self.forbidden.run_tokens}: after some prompt every one of the "
                f"{scores.shape[-1]} tokens would complete a run of the training texts; give a larger number"
            )
        return scores


def _pieces(texts: Iterable[Sequence[int]]) -> Iterator[Tokens]:
    """The texts one after the other, each closed by `_BETWEEN`; several arrays, so that no copy of all is needed."""
    piece: list[Sequence[int]] = []
    size = 0
    for text in texts:
        piece += [text, (_BETWEEN,)]
        size += len(text) + 1
        if size >= TOKENS_AT_ONCE:
            yield np.fromiter(chain.from_iterable(piece), np.int32, size)
            piece, size = [], 0
    yield np.fromiter(chain.from_iterable(piece), np.int32, size)


def _hashes(columns: NDArray[np.signedinteger]) -> Hashes:
    """A hash of each column's tokens, from the top ("tokens columns")."""
    found = np.zeros(columns.shape[1], np.uint64)
    for row in columns:
        found = (found ^ row.astype(np.uint64)) * _FACTOR
        found ^= found >> _HALF
    return found


def _distinct(hashes: Hashes, last: Tokens) -> tuple[Hashes, Tokens]:
    """Sorted by hash, then token; each pair once."""
    order = np.lexsort((last, hashes))
    hashes, last = hashes[order], last[order]
    is_new = np.ones(len(order), np.bool_)
    is_new[1:] = (hashes[1:] != hashes[:-1]) | (last[1:] != last[:-1])
    return hashes[is_new], last[is_new]
