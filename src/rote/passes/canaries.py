"""How likely a model finds a canary's secret, and each of the others that might have stood there.

Thousands of secrets follow one text. All that they share is read once: what stands before them through the model's cache,
and secrets that differ in their last token alone in one row, whose last distribution gives the probability of each. So
10,000 numbers of four digits, a token each, cost 1,000 rows of four tokens. That is why canaries do not go through
`rote.passes.scoring`, which scores text by text and keeps what it finds for good.
"""

import copy
import inspect
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

import numpy as np
from numpy.typing import NDArray

from rote.models import LoadedModel
from rote.models.tokens import Padded, decoder_start_ids, model_encoder, padded, sharing
from rote.passes.logits import repeated
from rote.records import Canary

if TYPE_CHECKING:
    import torch
    from transformers import DynamicCache
    from transformers.utils.generic import ModelOutput

LOGITS_AT_ONCE = 1 << 25
"""Bound of rows × tokens × vocabulary in one step (128 MB in float32)."""
CHECKED = 8
"""Secrets for which it is checked that the end of a text is tokenised by itself as it is within the whole."""
_LAST_WORD = re.compile(r"\s\S+\s*\Z")

Floats = NDArray[np.float64]
Ids = tuple[int, ...]


class Unmeasurable(Exception):
    """The canary cannot be scored under this model; the message is the reason."""


@dataclass(frozen=True, slots=True)
class SecretLikelihoods:
    """ln p(secret | what stands before it), in nats: of the canary's own and of others ("secret")."""

    own: float
    others: Floats


@dataclass(frozen=True, slots=True)
class SecretTokens:
    """Token ids of what stands before the secrets, and of each secret, in order; none is empty."""

    before: Ids
    secrets: tuple[Ids, ...]


class SecretScorer:
    """Scores secrets of canaries under one model, causal or encoder-decoder.

    Args:
        model: the model.
        secrets: what the canaries' own secrets are compared with; distinct.
    """

    def __init__(self, model: LoadedModel, secrets: Sequence[str]) -> None:
        self.model = model
        self.secrets = secrets
        self.encoder = model_encoder(model)
        self._endings: dict[str, list[Ids]] = {}

    def score(self, canary: Canary) -> SecretLikelihoods:
        """The likelihoods of the canary's own secret and of the others, after the canary's text.

        Only secrets count: their tokens from the first one in which two of them differ. An encoder-decoder model reads
        the canary's prompt with the encoder. Results depend on neither batch nor order, but for the last digits of
        floating-point sums.

        Raises:
            Unmeasurable: no prompt for the encoder, a tokenizer that joins the secret with what follows it, or a text
                longer than the model's context.
        """
        if self.model.is_encoder_decoder and not canary.prompt.strip():
            raise Unmeasurable("no prompt: the encoder of an encoder-decoder model has nothing to read")
        tokens = self._tokens(canary)
        if len(tokens.before) + max(map(len, tokens.secrets)) > self.model.context_tokens:
            raise Unmeasurable(f"longer than the model's context of {self.model.context_tokens} tokens")
        found = log_probabilities(tokens, self._read(canary), self.model)
        return SecretLikelihoods(float(found[0]), found[1:])

    def _read(self, canary: Canary) -> Ids:
        """What an encoder reads; nothing for a causal model."""
        if not self.model.is_encoder_decoder:
            return ()
        before, after = self.encoder.around(is_rendered=canary.is_rendered)
        return (*before, *self.encoder.content(canary.prompt), *after)

    def _tokens(self, canary: Canary) -> SecretTokens:
        """The tokens of its own secret, then of the others."""
        content, is_seq2seq = self.encoder.content, self.model.is_encoder_decoder
        lead = canary.before if is_seq2seq else canary.prompt + canary.before
        whole = content(lead + canary.secret)
        if content(lead + canary.secret + canary.after)[: len(whole)] != whole:
            raise Unmeasurable("the tokenizer joins the secret with what follows it")
        others = [secret for secret in self.secrets if secret != canary.secret]
        head, secrets = self._by_last_word(lead, canary.secret, others) or _split(
            [tuple(content(lead + secret)) for secret in (canary.secret, *others)]
        )
        before, _ = self.encoder.around(is_rendered=canary.is_rendered)
        start = decoder_start_ids(self.model, self.encoder) if is_seq2seq else before
        if not (*start, *head):
            raise Unmeasurable("no token stands before the secret")
        return SecretTokens((*start, *head), tuple(secrets))

    def _by_last_word(self, lead: str, own: str, others: Sequence[str]) -> tuple[Ids, list[Ids]] | None:
        """The same as `_split` of the whole texts, with only the last word before the secret tokenised again.

        None where the end of the text is tokenised otherwise by itself than within the whole.
        """
        last_word = _LAST_WORD.search(lead)
        if last_word is None:
            return None
        if last_word[0] not in self._endings:
            self._endings[last_word[0]] = [tuple(self.encoder.content(last_word[0] + item)) for item in self.secrets]
        known = dict(zip(self.secrets, self._endings[last_word[0]], strict=True))
        known.setdefault(own, tuple(self.encoder.content(last_word[0] + own)))
        _, secrets = _split([known[secret] for secret in (own, *others)])
        whole = self.encoder.content(lead + own)
        head = tuple(whole[: len(whole) - len(secrets[0])])
        checked = range(0, len(secrets), max(1, len(secrets) // CHECKED))
        texts = [own, *others]
        is_same = all(tuple(self.encoder.content(lead + texts[at])) == head + secrets[at] for at in checked)
        return (head, secrets) if is_same else None


def _split(texts: Sequence[Ids]) -> tuple[Ids, list[Ids]]:
    """What all texts begin with, short of the end of any, and the rest of each."""
    shortest, first = min(map(len, texts)), texts[0]
    shared = next((at for at in range(shortest - 1) if any(text[at] != first[at] for text in texts)), shortest - 1)
    return first[:shared], [text[shared:] for text in texts]


def log_probabilities(tokens: SecretTokens, read: Ids, model: LoadedModel) -> Floats:
    """ln p of each secret after what stands before, in nats ("secret"); terms are float32, their sums float64.

    Args:
        tokens: what is scored.
        read: what an encoder reads; empty for a causal model.
        model: the model.
    """
    import torch

    families: dict[Ids, list[int]] = {}
    for number, ids in enumerate(tokens.secrets):
        families.setdefault(ids[:-1], []).append(number)
    rows = sorted(families, key=lambda row: (len(row), row))
    found = np.empty(len(tokens.secrets))
    reader = _Reader(tokens.before, read, model)
    with torch.inference_mode():
        for batch in reader.batches(rows):
            row_of = [row for row, ids in enumerate(batch) for _ in families[ids]]
            numbers = [number for ids in batch for number in families[ids]]
            found[numbers] = reader.totals(batch, row_of, [tokens.secrets[number][-1] for number in numbers])
    return found


class _Reader:
    """Runs the model over rows of tokens that follow the same text."""

    def __init__(self, before: Ids, read: Ids, model: LoadedModel) -> None:
        self.before = before
        self.model = model
        self.read = read
        self.encoded = self._encoded(read) if model.is_encoder_decoder else None
        shares = not model.is_encoder_decoder and model.batching == "any"
        self.cache = self._cached() if shares and len(before) > 1 else None

    def batches(self, rows: Sequence[Ids]) -> list[Sequence[Ids]]:
        """The rows in batches that keep the logits within their bound."""
        width = 1 + max(map(len, rows)) + (0 if self.cache is not None else len(self.before))
        vocabulary = int(self.model.model.config.get_text_config().vocab_size)
        size = max(1, LOGITS_AT_ONCE // (width * vocabulary))
        return [
            [rows[at + place] for place in places]
            for at in range(0, len(rows), size)
            for places in sharing([len(row) for row in rows[at : at + size]], self.model.batching)
        ]

    def totals(self, rows: Sequence[Ids], row_of: Sequence[int], last: Sequence[int]) -> Floats:
        """ln p of row and last token together, for each pair of a row's number and a last token ("pair")."""
        import torch

        width, device = max(map(len, rows)), self.model.device
        texts = [[*self.before, *row] for row in rows]
        tokens = padded([text[self._skipped :] for text in texts], self.model, left=False)
        logits = self._logits(tokens)[:, -(width + 1) :].float()
        norms = logits.logsumexp(-1)
        places = torch.tensor([len(row) for row in rows], device=device)
        taken = tokens.ids[:, tokens.ids.shape[1] - width :]
        terms = logits[:, :-1].gather(-1, taken[..., None])[..., 0] - norms[:, :-1]
        inside = torch.arange(width, device=device) < places[:, None]
        sums = terms.double().masked_fill(~inside, 0.0).sum(-1)
        at, ends = torch.tensor(row_of, device=device), torch.tensor(last, device=device)
        found = sums[at] + (logits[at, places[at], ends] - norms[at, places[at]]).double()
        return cast(Floats, found.cpu().numpy())

    @property
    def _skipped(self) -> int:
        """Tokens at the beginning that the cache holds."""
        return 0 if self.cache is None else len(self.before) - 1

    def _logits(self, tokens: Padded) -> "torch.Tensor":
        """The logits of the rows, from the first token that is not in the cache ("row place vocabulary")."""
        import torch

        network, rows = self.model.model, len(tokens.ids)
        if self.encoded is not None:
            read = torch.tensor([self.read], device=self.model.device).expand(rows, -1)
            output = network(
                input_ids=read,
                attention_mask=torch.ones_like(read),
                encoder_outputs=repeated(self.encoded, torch.zeros(rows, dtype=torch.long, device=self.model.device)),
                decoder_input_ids=tokens.ids,
                decoder_attention_mask=tokens.mask,
                use_cache=False,
            )
        elif self.cache is None:
            output = network(tokens.ids, attention_mask=tokens.mask, use_cache=False)
        else:
            cache = copy.deepcopy(self.cache)
            cache.batch_repeat_interleave(rows)
            mask = torch.cat([tokens.mask.new_ones(rows, self._skipped), tokens.mask], dim=1)
            output = network(tokens.ids, attention_mask=mask, past_key_values=cache)
        return cast("torch.Tensor", output.logits)

    def _encoded(self, read: Ids) -> "ModelOutput":
        """What the encoder makes of the prompt, in its own class; one row."""
        import torch

        with torch.inference_mode():
            ids = torch.tensor([read], device=self.model.device)
            return cast("ModelOutput", self.model.model.get_encoder()(input_ids=ids))

    def _cached(self) -> "DynamicCache | None":
        """The text before the secrets but for its last token, read; None where the model's memory cannot be copied."""
        import torch
        from transformers.cache_utils import DynamicLayer, DynamicSlidingWindowLayer

        network = self.model.model
        if "past_key_values" not in inspect.signature(network.forward).parameters:
            return None
        with torch.inference_mode():
            ids = torch.tensor([self.before[:-1]], device=self.model.device)
            cache = network(ids, use_cache=True).past_key_values
        layers = {type(layer) for layer in getattr(cache, "layers", [None])}
        return cache if layers <= {DynamicLayer, DynamicSlidingWindowLayer} else None
