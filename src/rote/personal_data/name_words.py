"""The words of names: lists of them, what they say of a word, and the form of a name."""

import re
import unicodedata
from dataclasses import dataclass
from functools import cache, lru_cache
from importlib.resources import files
from itertools import islice

from rote.text import stop_words

UPPER = "".join(
    chr(code)
    for codes in (range(0x41, 0x5B), range(0xC0, 0x250), range(0x370, 0x530), range(0x1E00, 0x2000))
    for code in codes
    if chr(code).isupper()
)
LETTERS = r"[^\W\d_]"
WORD = rf"{LETTERS}+(?:['-]{LETTERS}+)*"
PARTICLES = (
    "de la|de los|de las|van der|van den|van de|von der|von und zu|de|da|di|del|della|den|der|dos|das|do|du|la|le|van|von|"
    "zu|zur|vom|ter|ten|bin|bint|ibn|al|el|ul|ben|abu|af|av"
)
_CONTRACTION = re.compile(r"'(?:ve|m|ll|d|re|t|s)$", re.IGNORECASE)
_CLAN = re.compile(r"(?:Mc|Mac|O')[A-Z]")


_LATIN = str.maketrans(
    {"ł": "l", "ø": "o", "ı": "i", "đ": "d"}
    | dict(zip("абвгґдезийклмнопрстуфыіэь", "abvggdeziyklmnoprstufyie'", strict=True))
    | {"ж": "zh", "х": "kh", "ц": "ts", "ч": "ch", "ш": "sh", "щ": "shch", "ю": "yu", "я": "ya", "ё": "e", "є": "ye", "ї": "yi", "ъ": ""}
    | dict(zip("αβγδεζηθικλμνξοπρσςτυφχω", "avgdezitiklmnxoprsstyfxo", strict=True))
)  # fmt: skip
"""Letters without a Latin form of their own, and lower-case Cyrillic and Greek ones: as the lists write such names."""


@cache
def words_of(name: str) -> frozenset[str]:
    """The words of a list in `words/`, as `folded` writes them."""
    lines = (files("rote.personal_data") / "words" / f"{name}.txt").read_text(encoding="utf-8").splitlines()
    return frozenset(folded(word) for line in lines if not line.startswith("#") for word in line.split())


@cache
def frequent_surnames() -> frozenset[str]:
    """The 1,500 most frequent surnames."""
    lines = (files("rote.personal_data") / "words" / "surnames.txt").read_text(encoding="utf-8").splitlines()
    words = (word for line in lines if not line.startswith("#") for word in line.split())
    return frozenset(islice(words, 1500))


@lru_cache(maxsize=1 << 16)
def folded(word: str) -> str:
    """Lower case, without accents, apostrophes and points."""
    word = word.casefold()
    if not word.isascii():
        decomposed = unicodedata.normalize("NFKD", word.translate(_LATIN))
        word = "".join(char for char in decomposed if not unicodedata.combining(char)).translate(_LATIN)
    return word.replace("'", "").replace(".", "")


@lru_cache(maxsize=1 << 16)
def name_form(written: str) -> str:
    """The same for all ways to write a name: lower case, without accents, points, hyphens and a genitive's s.

    >>> name_form("José  O'Neil-Smith's")
    'jose oneil smith'
    """
    words = re.sub(r"'[sS]?$", "", written.strip()).replace("-", " ").replace(".", " ").split()
    return " ".join(filter(None, map(folded, words)))


PARTICLE_WORDS = frozenset(re.findall("[a-z]+", PARTICLES))


def name_parts(form: str) -> list[str]:
    """The words of a form that may stand for the whole name: no initials, no particles."""
    return [part for part in form.split() if len(part) > 1 and part not in PARTICLE_WORDS] if " " in form else []


@dataclass(frozen=True, slots=True)
class Kind:
    """What the lists say of a word."""

    word: str
    """Folded."""
    pieces: tuple[str, ...]
    """The word cut at hyphens."""
    is_initial: bool
    is_given: bool
    is_ordinary: bool
    """An ordinary word (of two with a hyphen: both), or a place, an institution …"""
    is_no_name: bool
    is_surname: bool
    is_frequent_surname: bool
    is_title: bool
    is_strong_title: bool


@lru_cache(maxsize=1 << 16)
def kind_of(written: str) -> Kind:
    """What the lists say of a word as it is written."""
    word = folded(written)
    pieces = tuple(word.split("-"))
    given, ordinary, no_names = words_of("given_names"), words_of("ordinary_words"), words_of("no_names")
    return Kind(
        word=word,
        pieces=pieces,
        is_initial=len(word) == 1,
        is_given=word in given or pieces[0] in given,
        is_ordinary=bool(_CONTRACTION.search(written))
        or all(piece in ordinary or piece in no_names for piece in pieces),
        is_no_name=word in no_names,
        is_surname=(pieces[-1] in words_of("surnames") and word not in stop_words("en")) or bool(_CLAN.match(written)),
        is_frequent_surname=pieces[-1] in frequent_surnames(),
        is_title=word in words_of("titles") or word in words_of("weak_titles"),
        is_strong_title=word in words_of("titles"),
    )
