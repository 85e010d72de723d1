"""The words of names: lists of them, what they say of a word, and the form of a name."""

import re
import unicodedata
from dataclasses import dataclass
from functools import cache, lru_cache
from importlib.resources import files

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
_STRONG_TITLES = frozenset(
    [
        "mr",
        "mrs",
        "ms",
        "mx",
        "dr",
        "drs",
        "prof",
        "professor",
        "herr",
        "herrn",
        "frau",
        "fraulein",
        "monsieur",
        "madame",
        "mademoiselle",
        "mme",
        "mlle",
        "senor",
        "senora",
        "signor",
        "signora",
        "signore",
        "sig",
        "senhor",
        "senhora",
        "dona",
        "dhr",
        "mevr",
        "dott",
        "dottor",
        "sra",
        "srta",
        "miss",
        "messrs",
    ]
)
_WEAK_TITLES = frozenset(
    [
        "doctor",
        "nurse",
        "sister",
        "brother",
        "father",
        "mother",
        "uncle",
        "aunt",
        "auntie",
        "captain",
        "capt",
        "colonel",
        "col",
        "lieutenant",
        "lt",
        "sergeant",
        "sgt",
        "major",
        "officer",
        "pte",
        "private",
        "cpl",
        "fr",
        "br",
        "detective",
        "inspector",
        "judge",
        "justice",
        "senator",
        "sen",
        "rep",
        "governor",
        "gov",
        "president",
        "reverend",
        "rev",
        "rabbi",
        "imam",
        "pastor",
        "sir",
        "lady",
        "lord",
        "dame",
        "baron",
        "baroness",
        "countess",
        "coach",
        "matron",
        "midwife",
        "schwester",
        "pfleger",
        "doktor",
        "docteur",
        "doctora",
    ]
)
_CONTRACTION = re.compile(r"'(?:ve|m|ll|d|re|t|s)$", re.IGNORECASE)
_CLAN = re.compile(r"(?:Mc|Mac|O')[A-Z]")


@cache
def words_of(name: str) -> frozenset[str]:
    """The words of a list in `words/`, as `folded` writes them."""
    lines = (files("rote.personal_data") / "words" / f"{name}.txt").read_text(encoding="utf-8").splitlines()
    return frozenset(folded(word) for line in lines if not line.startswith("#") for word in line.split())


@lru_cache(maxsize=1 << 16)
def folded(word: str) -> str:
    """Lower case, without accents, apostrophes and points."""
    if not word.isascii():
        word = word.translate(
            {ord("ł"): "l", ord("Ł"): "L", ord("ø"): "o", ord("Ø"): "O", ord("ı"): "i", ord("đ"): "d"}
        )
        word = "".join(char for char in unicodedata.normalize("NFKD", word) if not unicodedata.combining(char))
    return word.casefold().replace("'", "").replace(".", "")


def name_form(written: str) -> str:
    """The same for all ways to write a name: lower case, without accents, points, hyphens and a genitive's s.

    >>> name_form("José  O'Neil-Smith's")
    'jose oneil smith'
    """
    words = re.sub(r"'s?$", "", written.strip()).replace("-", " ").replace(".", " ").split()
    return " ".join(filter(None, map(folded, words)))


def name_parts(form: str) -> list[str]:
    """The words of a form that may stand for the whole name: no initials, no particles."""
    particles = PARTICLES.split("|")
    return [part for part in form.split() if len(part) > 1 and part not in particles] if " " in form else []


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
        is_surname=pieces[-1] in words_of("surnames") or bool(_CLAN.match(written)),
        is_title=word in _STRONG_TITLES or word in _WEAK_TITLES,
        is_strong_title=word in _STRONG_TITLES,
    )
