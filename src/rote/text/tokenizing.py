"""Words and tokens of a text, with spans that the tokenizer itself hands out (nothing is searched for)."""

import re

from rote.records import Span
from rote.text.lists import MARK_RANGES, UNSPACED_RANGES

_LETTER = rf"[^\W{UNSPACED_RANGES}]"
_WORD = (
    rf"[{UNSPACED_RANGES}][{MARK_RANGES}]*"  # one character, where words are not spaced
    rf"|\d++(?:[.,]\d++)+"  # 3.14, 1,000
    rf"|{_LETTER}+(?:(?:[{MARK_RANGES}]+|['’](?={_LETTER})){_LETTER}*)*"  # word, don't
)
WORD = re.compile(_WORD)
_TOKENS = re.compile(rf"\s+|{_WORD}|.", re.DOTALL)
_UNSPACED_WORD = re.compile(f"[{UNSPACED_RANGES}]")


def words(text: str) -> list[Span]:
    """The words of a text, in order; punctuation and white space are left out.

    A word is a run of letters, digits and combining marks, apostrophes inside it included ("don't"), a number with its
    points and commas, or one character of a script that is written without spaces. Empty text: no words.

    >>> text = "I don't, at 3.5 mg."
    >>> [span.of(text) for span in words(text)]
    ['I', "don't", 'at', '3.5', 'mg']
    """
    return [Span(*match.span()) for match in WORD.finditer(text)]


def written_words(text: str) -> list[str]:
    """The words of a text as they are written there, in order.

    >>> written_words("I don't, at 3.5 mg.")
    ['I', "don't", 'at', '3.5', 'mg']
    """
    return WORD.findall(text)


def tokens(text: str) -> list[Span]:
    """The text cut into words, runs of white space and single other characters; together they are the whole text."""
    return [Span(*match.span()) for match in _TOKENS.finditer(text)]


def is_unspaced(word: str) -> bool:
    """Whether the word is a character of a script that is written without spaces."""
    return bool(_UNSPACED_WORD.match(word))


def is_repetitive(text: str) -> bool:
    """Whether a generation has collapsed into repeating itself.

    True where less than half of its word 4-grams are distinct; a text under 20 words is judged by its characters:
    at least 40 of them and less than a quarter of its 8-character runs distinct. Shorter or empty text: False.
    Novels (20,000 characters at a time) lie above 0.98 on the first measure, the most repetitive news articles at 0.66.

    >>> is_repetitive("I am here. " * 20), is_repetitive("ha" * 30), is_repetitive("yes yes yes")
    (True, True, False)
    """
    found = [word.lower() for word in written_words(text)]
    if len(found) >= 20:
        grams = list(zip(found, found[1:], found[2:], found[3:], strict=False))
        return len(set(grams)) < 0.5 * len(grams)
    runs = [text[i : i + 8] for i in range(len(text) - 7)]
    return len(text) >= 40 and len(set(runs)) < 0.25 * len(runs)
