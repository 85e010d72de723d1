"""Whether two sentences name the same things: persons, places, numbers, dates, addresses.

The offline default needs no download and is a rule, not a recogniser: words with a capital that do not begin a
sentence, numbers (and with them most dates), mail and web addresses. In German, where every noun has a capital, words
are left out. Any spaCy pipeline can stand in its place.
"""

import re
from collections.abc import Callable
from typing import TYPE_CHECKING

from rote.errors import MissingExtraError, ModelError

if TYPE_CHECKING:
    from spacy.language import Language

EntityFinder = Callable[[str], frozenset[str]]
"""The entities of a sentence, as they are written."""

_ENTITY = re.compile(
    r"(?P<address>\b[\w.+-]{1,64}@[\w-]{1,63}(?:\.[\w-]{1,63}){1,8}|(?:https?://|www\.)[^\s<>\"]{1,2000})"
    r"|(?P<number>\d++(?:[.,:/-]\d++)*+)"
    r"|(?P<word>(?<![\w'’])[^\W\d_][\w-]*(?:['’](?!s\b)\w+)*)"
)
_SENTENCE_START = re.compile(r"(?:^|[.!?:…\n])[\s\"'“”‘’«»(\[]*$")
_CAPITALISED_NOUNS = frozenset({"de"})
_NO_NAMES = frozenset({"I", "I'm", "I've", "I'd", "I'll", "OK"})


def agree(one: frozenset[str], two: frozenset[str]) -> bool:
    """Both empty, or neither empty and one a subset of the other.

    Source: Udsa et al. (arXiv 2510.08750).

    >>> agree(frozenset(), frozenset()), agree(frozenset({"Rome"}), frozenset()), agree(frozenset({"a"}), frozenset("ab"))
    (True, False, True)
    """
    if not one or not two:
        return not one and not two
    return one <= two or two <= one


def named_in(sentence: str, names: frozenset[str]) -> frozenset[str]:
    """Those of the other sentence's names that stand here, too, as they are written and as whole words; no numbers.

    At a sentence's start a name looks like any word: "Baghdad has suffered" and "often Baghdad has suffered".

    >>> sorted(named_in("Ann paid 3.50 to Annabel.", frozenset({"Ann", "Anna", "3"})))
    ['Ann']
    """
    words = (name for name in names if name[:1].isalpha() and name in sentence)
    return frozenset(name for name in words if re.search(rf"(?<!\w){re.escape(name)}(?!\w)", sentence))


def rule_entities(language: str) -> EntityFinder:
    """The offline rules.

    >>> sorted(rule_entities("en")("Yesterday Ann paid 3.50 to j.roe@example.org."))
    ['3.50', 'Ann', 'j.roe@example.org']
    """
    keeps_words = language not in _CAPITALISED_NOUNS

    def find(sentence: str) -> frozenset[str]:
        return frozenset(
            match.group().rstrip(".,;:!?'’)-")
            for match in _ENTITY.finditer(sentence)
            if match.lastgroup != "word" or (keeps_words and _is_name(sentence, match))
        )

    return find


def _is_name(sentence: str, match: re.Match[str]) -> bool:
    word = match.group()
    if not word[0].isupper() or word.replace("’", "'") in _NO_NAMES:
        return False
    return not _SENTENCE_START.search(sentence[max(0, match.start() - 8) : match.start()])


def spacy_entities(pipeline: str) -> EntityFinder:
    """The named entities of a spaCy pipeline.

    Raises:
        MissingExtraError: spaCy is not installed.
        ModelError: the pipeline is not installed, or finds no entities.
    """
    try:
        import spacy
    except ImportError as error:
        raise MissingExtraError("spacy", "spacy", f"alignment.spacy_model = {pipeline!r}") from error
    try:
        recogniser: Language = spacy.load(pipeline)
    except OSError as error:
        raise ModelError(f"alignment.spacy_model: no spaCy pipeline {pipeline!r} is installed") from error
    if "ner" not in recogniser.pipe_names:
        raise ModelError(f"alignment.spacy_model: {pipeline!r} has no entity recogniser, only {recogniser.pipe_names}")

    def find(sentence: str) -> frozenset[str]:
        return frozenset(entity.text for entity in recogniser(sentence).ents)

    return find
