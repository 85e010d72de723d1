"""Similarity: the cosine of a generation with its own suffix, and with the training passage that is most like it.

A permissive measure: texts on one topic are alike. So it says nothing by itself, only beside the same of non-members and
of the base model. The default is lexical (words, weighted by how rare they are in the members) and is called so; any
sentence-transformers model takes its place where one is named.
"""

import math
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import lru_cache
from typing import TYPE_CHECKING, NamedTuple, Protocol

import numpy as np

from rote.errors import MissingExtraError, ModelError
from rote.models import quiet
from rote.records import Candidate, Example, Generation, Prompt, Score, Span
from rote.scoring.overlap import cut_alike
from rote.text import words

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer

THRESHOLDS = (70, 80, 90, 95)
"""In hundredths: shares of generations that are more similar than that."""
PASSAGES_ENCODED = 3
"""Passages that a named model is asked about for each generation: the lexically nearest ones."""
DIGITS = 6
"""Decimal digits kept: a model's last ones depend on the batch."""


class SentenceEncoder(Protocol):
    """What similarity needs of a model of texts."""

    @property
    def name(self) -> str:
        """For the report."""

    def cosines(self, pairs: Sequence[tuple[str, str]]) -> list[float]:
        """The cosine of each pair's texts, −1..1; it depends on that pair alone."""


class LexicalEncoder:
    """TF-IDF: the words of a text in lower case, their counts weighted by how few of the members hold them.

    Weight of a word: ln((1 + N) / (1 + n)) + 1, N members, n of them with the word (as scikit-learn's
    TfidfVectorizer). Words that no member holds have the greatest weight; there they are left out. Cosines are 0..1;
    0.0 where either text has no words.

    Args:
        documents: the members' texts.
    """

    name = "lexical: TF-IDF"

    def __init__(self, documents: Iterable[str]) -> None:
        frequencies: Counter[str] = Counter()
        size = 0
        for document in documents:
            frequencies.update(set(_terms(document)))
            size += 1
        self._unknown = math.log1p(size) + 1
        self._weights = {term: self._unknown - math.log1p(count) for term, count in frequencies.items()}
        self._vector_of_text = lru_cache(maxsize=1 << 14)(lambda text: self.vector(_terms(text)))

    def cosines(self, pairs: Sequence[tuple[str, str]]) -> list[float]:
        """The cosine of each pair's texts, 0..1."""
        return [self.cosine(self._vector_of_text(one), self._vector_of_text(other)) for one, other in pairs]

    @staticmethod
    def cosine(one: Mapping[str, float], other: Mapping[str, float]) -> float:
        """Cosine of two vectors of `vector`, which have length 1 (or 0)."""
        shorter, longer = (one, other) if len(one) <= len(other) else (other, one)
        return min(1.0, math.fsum(weight * longer[term] for term, weight in shorter.items() if term in longer))

    def vector(self, terms: Sequence[str]) -> dict[str, float]:
        """The weights of the words (in lower case) of a text, divided by their length; empty without words."""
        raw = {term: n * self._weights.get(term, self._unknown) for term, n in Counter(terms).items()}
        length = math.sqrt(math.fsum(weight * weight for weight in raw.values()))
        return {term: weight / length for term, weight in raw.items()}


class NeuralEncoder:
    """A sentence-transformers model."""

    def __init__(self, model: "SentenceTransformer", name: str) -> None:
        self.model, self.name = model, name

    def cosines(self, pairs: Sequence[tuple[str, str]]) -> list[float]:
        """The cosine of each pair's embeddings; 0.0 where either text is empty."""
        texts = sorted({text for pair in pairs for text in pair if text.strip()}, key=lambda text: (len(text), text))
        if not texts:
            return [0.0] * len(pairs)
        rows = np.asarray(
            self.model.encode(texts, normalize_embeddings=True, convert_to_numpy=True, show_progress_bar=False)
        )
        place = {text: row for row, text in enumerate(texts)}
        return [
            float(np.dot(rows[place[one]], rows[place[other]])) if one in place and other in place else 0.0
            for one, other in pairs
        ]


def load_encoder(source: str, *, device: str = "cpu", trust_remote_code: bool = False) -> NeuralEncoder:
    """The sentence-transformers model of a folder or hub id.

    Raises:
        MissingExtraError: sentence-transformers is not installed.
        ModelError: no model can be loaded there.
    """
    try:
        from sentence_transformers import SentenceTransformer
    except ImportError as error:
        raise MissingExtraError("sentence-transformers", "similarity", "scoring.similarity_model") from error
    try:
        with quiet():
            model = SentenceTransformer(source, device=device, trust_remote_code=trust_remote_code)
    except (OSError, ValueError, KeyError, RuntimeError) as error:
        reason = (str(error).strip() or type(error).__name__).splitlines()[0][:300]
        raise ModelError(f"scoring.similarity_model = {source!r}: cannot be loaded: {reason}") from error
    return NeuralEncoder(model, encoder_name(source))


def encoder_name(source: str) -> str:
    """What a report calls the encoder: of a folder or hub id the last two parts; lexical where none is named.

    >>> encoder_name("/models/minilm/final/"), encoder_name("")
    ('minilm/final', 'lexical: TF-IDF')
    """
    return "/".join(source.rstrip("/").split("/")[-2:]) if source else LexicalEncoder.name


def similarity_scores(
    generations: Sequence[Generation],
    prompts: Mapping[str, Prompt],
    passages: "TrainingPassages",
    encoder: SentenceEncoder,
    *,
    min_chars: int,
) -> Iterator[Score]:
    """`similarity_own`, `similarity_best` and the shares over each threshold of every generation, in their order.

    own: generation and reference, both cut to the shorter one's number of words. best: generation and the most similar
    stretch of a candidate (of a member: or its own suffix). None, with the reason, where the reference (for best: the
    generation) is shorter than `min_chars`.
    """
    pairs: list[tuple[str, str]] = []
    places: list[tuple[Generation, range, range]] = []
    for generation in generations:
        reference = prompts[generation.prompt_id].reference
        cut = cut_alike(generation.text, reference)
        own = [(cut.generated, cut.reference)] if len(reference.strip()) >= min_chars else []
        best = passages.nearest(generation) if len(generation.text.strip()) >= min_chars else []
        start = len(pairs)
        pairs += [*own, *((generation.text.strip(), passage) for passage in best)]
        places.append((generation, range(start, start + len(own)), range(start + len(own), len(pairs))))
    found = [round(min(1.0, value), DIGITS) for value in encoder.cosines(pairs)]
    for generation, of_own, of_best in places:
        own_value = found[of_own[0]] if of_own else None
        others = [found[at] for at in of_best]
        if own_value is not None and others and passages.is_member(generation):
            others.append(own_value)
        reference_reason = f"shorter than {min_chars} characters"
        best_reason = "no candidate" if len(generation.text.strip()) >= min_chars else reference_reason
        yield from _scores(generation.id, "own", own_value, reference_reason)
        yield from _scores(generation.id, "best", max(others, default=None), best_reason)


class TrainingPassages:
    """The stretches of members' texts that a generation may be like: of its candidates, as many words as it has itself.

    Args:
        candidates: of the members' index, by generation id.
        examples: by id.
        lexicon: finds the nearest ones.
    """

    def __init__(
        self, candidates: Iterable[Candidate], examples: Mapping[str, Example], lexicon: LexicalEncoder
    ) -> None:
        self._candidates: defaultdict[str, list[str]] = defaultdict(list)
        for candidate in candidates:
            if examples[candidate.example_id].split == "member":
                self._candidates[candidate.generation_id].append(candidate.example_id)
        self._examples, self._lexicon = examples, lexicon
        self._texts = lru_cache(maxsize=1 << 12)(self._text)

    def is_member(self, generation: Generation) -> bool:
        """Whether the generation's own record is a member."""
        return self._examples[generation.example_id].split == "member"

    def nearest(self, generation: Generation) -> list[str]:
        """The lexically nearest stretches, at most `PASSAGES_ENCODED`, nearest first."""
        written = _terms(generation.text)
        vector = self._lexicon.vector(written)
        found: dict[str, float] = {}
        for name in self._candidates[generation.id]:
            text = self._texts(name)
            for start in _starts(len(text.terms), len(written)):
                end = min(start + len(written), len(text.terms))
                stretch = text.text[text.places[start].start : text.places[end - 1].end]
                found[stretch] = self._lexicon.cosine(vector, self._lexicon.vector(text.terms[start:end]))
        return sorted(found, key=lambda stretch: (-found[stretch], stretch))[:PASSAGES_ENCODED]

    def _text(self, name: str) -> "_Text":
        text = self._examples[name].text
        places = words(text)
        return _Text(text, places, [place.of(text).lower() for place in places])


class _Text(NamedTuple):
    """A training text, where its words stand, and the words in lower case."""

    text: str
    places: list[Span]
    terms: list[str]


def _starts(size: int, count: int) -> list[int]:
    """Where stretches of `count` of `size` words start, each half of one further than the one before, and the last one."""
    if size == 0 or count == 0:
        return []
    return [*range(0, max(0, size - count), max(1, count // 2)), max(0, size - count)]


def _scores(subject: str, which: str, value: float | None, reason: str) -> Iterator[Score]:
    yield Score(subject, f"similarity_{which}", value, None if value is not None else reason)
    for threshold in THRESHOLDS:
        name = f"similar_{which}_{threshold}"
        yield (
            Score(subject, name, None, reason)
            if value is None
            else Score(subject, name, float(value > threshold / 100))
        )


def _terms(text: str) -> list[str]:
    return [span.of(text).lower() for span in words(text)]
