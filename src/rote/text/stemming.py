"""Stems and terms: what a text is about, whatever the endings of its words."""

import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from functools import cache, lru_cache
from typing import Protocol

from rote.text.lists import check_language, stop_words
from rote.text.tokenizing import WORD, is_unspaced

MAX_STEMMED_CHARS = 64
"""A longer word is its own stem."""

_STEMMERS = {
    "ar": "arabic", "ca": "catalan", "da": "danish", "de": "german", "el": "greek", "en": "english", "eo": "esperanto",
    "es": "spanish", "et": "estonian", "eu": "basque", "fi": "finnish", "fr": "french", "ga": "irish", "hi": "hindi",
    "hu": "hungarian", "hy": "armenian", "id": "indonesian", "it": "italian", "lt": "lithuanian", "ne": "nepali",
    "nl": "dutch", "no": "norwegian", "pt": "portuguese", "ro": "romanian", "ru": "russian", "sr": "serbian",
    "sv": "swedish", "ta": "tamil", "tr": "turkish", "yi": "yiddish",
}  # fmt: skip


class _Stemmer(Protocol):
    maxCacheSize: int

    def stemWords(self, words: list[str]) -> list[str]: ...


@cache
def _stemmer(language: str) -> _Stemmer | None:
    import snowballstemmer

    name = _STEMMERS.get(check_language(language))
    if name is None or name not in snowballstemmer.algorithms():
        return None
    stemmer: _Stemmer = snowballstemmer.stemmer(name)
    stemmer.maxCacheSize = 0  # it is asked once for each word
    return stemmer


@lru_cache(maxsize=1 << 17)
def stem(word: str, language: str) -> str:
    """The word in lower case and composed form (NFKC), stemmed by Snowball; as it is where there is no stemmer.

    >>> stem("Swimming", "en"), stem("Häuser", "de"), stem("WORD", "xx")
    ('swim', 'haus', 'word')
    """
    return stems([word], language)[0]


def stems(words: Iterable[str], language: str) -> list[str]:
    """`stem` of each word: many together take a fraction of the time."""
    lowered = [word.lower() for word in words]
    composed = [word if word.isascii() else unicodedata.normalize("NFKC", word).replace("’", "'") for word in lowered]
    stemmer = _stemmer(language)
    if stemmer is None:
        return composed
    stemmed = stemmer.stemWords([word if len(word) <= MAX_STEMMED_CHARS else "" for word in composed])
    return [stem or word for word, stem in zip(composed, stemmed, strict=True)]


def terms(text: str, *, language: str, without_stop_words: bool = False) -> list[str]:
    """What a text is about: the stems of its words of three characters or more, in order, with repetitions.

    A character of a script without spaces gives one term with its right-hand neighbour. Empty text: no terms.

    Source: Sanchez-Perez, Gelbukh, Sidorov (2015), section 3 (first character alphanumeric, longer than 2, stemmed).

    >>> terms("The dog has eaten 120 apples.", language="en", without_stop_words=True)
    ['dog', 'eaten', '120', 'appl']
    """
    functions = stop_words(language) if without_stop_words else frozenset()
    return terms_of([form for form in _forms(text) if form.lower().replace("’", "'") not in functions], language)


def terms_of(forms: Sequence[str], language: str) -> list[str]:
    """The term of each word as it stands in a text, or of two neighbouring characters of a script without spaces."""
    stemmed = zip(forms, stems(forms, language), strict=True)
    return [form if not form.isascii() and is_unspaced(form) else stem for form, stem in stemmed]


def _forms(text: str) -> Iterator[str]:
    """What `term_of` is asked for; `rote.text.forms` has the same as a kernel."""
    before, before_end = "", -1
    for match in WORD.finditer(text):
        word = match.group()
        if is_unspaced(word):
            if before_end == match.start():
                yield before + word
            before, before_end = word, match.end()
        elif len(word) > 2 and word[0].isalnum():
            yield word
