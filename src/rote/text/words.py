"""Words, sentences and terms of a text, with spans that the tokenizer itself hands out (nothing is searched for).

No model and no download. The sentence splitter is our own handful of rules, by language: the packages at hand either
look their sentences up again in the text to find the spans, or change their boundaries (and with them every published
rate) between releases; and none knows that a line that begins with "Doctor:" is a new turn.

Languages written without spaces (Han, Kana, Thai, Lao, Khmer, Myanmar): every character is a word, pairs of
neighbouring characters are the terms, and in Thai and Lao, which have no full stop, white space ends a sentence.
"""

import re
import sys
import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from functools import cache, lru_cache
from typing import Literal, Protocol

from rote.errors import ConfigError
from rote.records import Span

MAX_SENTENCE_CHARS = 2000
"""A sentence longer than this is cut at white space (text without full stops)."""
MAX_STEMMED_CHARS = 64
"""A longer word is its own stem."""

_UNSPACED = (
    "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"
)


def _mark_ranges() -> str:
    """Combining marks as the inside of a character class: they belong to the word they stand in, `\\w` leaves them out."""
    marks = [c for c in range(0x300, 0x20000) if unicodedata.category(chr(c))[0] == "M"] + list(range(0xE0100, 0xE01F0))
    starts = [c for before, c in zip([-2, *marks], marks, strict=False) if c != before + 1]
    ends = [c for c, after in zip(marks, [*marks[1:], sys.maxunicode + 2], strict=True) if after != c + 1]
    return "".join(f"{chr(start)}-{chr(end)}" for start, end in zip(starts, ends, strict=True))


_MARKS = _mark_ranges()
_LETTER = rf"[^\W{_UNSPACED}]"
_WORD = (
    rf"[{_UNSPACED}][{_MARKS}]*"  # one character, where words are not spaced
    rf"|\d++(?:[.,]\d++)+"  # 3.14, 1,000
    rf"|{_LETTER}+(?:(?:[{_MARKS}]+|['’](?={_LETTER})){_LETTER}*)*"  # word, don't
)
_WORDS = re.compile(_WORD)
_TOKENS = re.compile(rf"\s+|{_WORD}|.", re.DOTALL)
_UNSPACED_WORD = re.compile(f"[{_UNSPACED}]")

_NEVER_LAST = {
    "en": "mr mrs ms dr prof st rev gen col capt lt sgt sen rep gov hon messrs mmes viz cf ca approx dept est e.g i.e resp "
    "eds trans mt vs",
    "de": "dr prof hr fr frl st bzw ca z.b d.h u.a z.t v.a i.d.r s.o s.u vgl evtl ggf inkl exkl max min mind geb gest med "
    "phil jur dipl ing hrsg sog allg bes",
    "fr": "m mm mme mlle dr me st ste cf env p.ex",
    "es": "sr sra srta dr dra d dña prof ud uds p.ej",
    "it": "sig sigg sig.ra dott dott.ssa prof ing avv cfr",
    "nl": "dhr mevr dr drs ir prof mr st bijv ca vgl resp o.a d.w.z",
    "pt": "sr sra dr dra prof profa d p.ex",
}
"""Abbreviations that do not end a sentence (lower case, without the last full stop)."""

_BEFORE_NUMBER = (
    "no nos nr vol pp p pag pág pagg págs fig figs abb tab eq sec ch kap cap art abs tel ext op núm n bd bde jh av"
)
"""Abbreviations that do not end a sentence when a number follows, in any language."""

_SELDOM_LAST = {
    "en": "a.m p.m etc inc ltd co corp u.s u.k u.s.a u.n e.u d.c ph.d m.d b.c a.d jr sr jan feb mar apr jun jul aug sep "
    "sept oct nov dec ave blvd rd hr hrs lb lbs oz al",
    "de": "usw etc u.s.w jan feb apr aug sept okt nov dez std mio mrd",
}
"""Abbreviations that end a sentence only when a function word with a capital follows."""

_STOP_WORDS = {
    "en": "a about above after again against all am an and any are as at be because been before being below between both "
    "but by can could did do does doing don down during each few for from further had has have having he her here hers "
    "herself him himself his how i if in into is it its itself just me more most my myself no nor not now of off on once "
    "only or other our ours ourselves out over own same she should so some such than that the their theirs them "
    "themselves then there these they this those through to too under until up very was we were what when where which "
    "while who whom why will with would you your yours yourself yourselves it's i'm i've i'd i'll you're you've don't "
    "doesn't didn't isn't aren't wasn't weren't can't couldn't won't wouldn't shouldn't haven't hasn't hadn't that's "
    "he's she's we're they're there's what's let's",
    "de": "aber alle allem allen aller alles als also am an ander andere anderem anderen anderer anderes auch auf aus bei "
    "bin bis bist da damit dann das dass dasselbe dazu dein deine deinem deinen deiner dem den denn der derer des desselben "
    "dessen dich die dies diese dieselbe diesem diesen dieser dieses dir doch dort du durch ein eine einem einen einer "
    "eines einige einigem einigen einiger einiges er es etwas euch euer eure eurem euren eurer für gegen gewesen hab habe "
    "haben hat hatte hatten hier hin hinter ich ihm ihn ihnen ihr ihre ihrem ihren ihrer im in indem ins ist jede jedem "
    "jeden jeder jedes jene jenem jenen jener jenes jetzt kann kein keine keinem keinen keiner können könnte machen man "
    "manche manchem manchen mancher mein meine meinem meinen meiner mich mir mit muss musste nach nicht nichts noch nun nur "
    "ob oder ohne sehr sein seine seinem seinen seiner selbst sich sie sind so solche solchem solchen solcher soll sollte "
    "sondern sonst über um und uns unser unsere unserem unseren unter viel vom von vor während war waren warst was weg weil "
    "weiter welche welchem welchen welcher wenn werde werden wie wieder will wir wird wirst wo wollen wollte würde würden "
    "zu zum zur zwar zwischen",
}

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


def check_language(language: str) -> str:
    """The code itself.

    Raises:
        ConfigError: it is not two lower-case letters (ISO 639-1).
    """
    if not re.fullmatch("[a-z]{2}", language):
        raise ConfigError(f"language must be an ISO 639-1 code such as 'en' or 'de', found {language!r}")
    return language


def words(text: str) -> list[Span]:
    """The words of a text, in order; punctuation and white space are left out.

    A word is a run of letters, digits and combining marks, apostrophes inside it included ("don't"), a number with its
    points and commas, or one character of a script that is written without spaces. Empty text: no words.

    >>> text = "I don't, at 3.5 mg."
    >>> [span.of(text) for span in words(text)]
    ['I', "don't", 'at', '3.5', 'mg']
    """
    return [Span(*match.span()) for match in _WORDS.finditer(text)]


def written_words(text: str) -> list[str]:
    """The words of a text as they are written there, in order.

    >>> written_words("I don't, at 3.5 mg.")
    ['I', "don't", 'at', '3.5', 'mg']
    """
    return _WORDS.findall(text)


def tokens(text: str) -> list[Span]:
    """The text cut into words, runs of white space and single other characters; together they are the whole text."""
    return [Span(*match.span()) for match in _TOKENS.finditer(text)]


def is_unspaced(word: str) -> bool:
    """Whether the word is a character of a script that is written without spaces."""
    return bool(_UNSPACED_WORD.match(word))


@cache
def stop_words(language: str) -> frozenset[str]:
    """Function words in lower case; empty for languages that have no list here (all but English and German)."""
    return frozenset(_STOP_WORDS.get(check_language(language), "").split())


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
    for match in _WORDS.finditer(text):
        word = match.group()
        if is_unspaced(word):
            if before_end == match.start():
                yield before + word
            before, before_end = word, match.end()
        elif len(word) > 2 and word[0].isalnum():
            yield word


def sentences(text: str, *, language: str = "en") -> list[Span]:
    """The sentences of a text, in order, without the white space around them; a text of white space has none.

    A sentence ends after . ! ? … (and closing quotes and brackets) before white space, unless a lower-case word
    follows, the full stop belongs to an abbreviation or an initial, or (German) to an ordinal; after 。！？ anywhere;
    at an empty line; and at a line break before a speaker's name with a colon or before a list item. Longer than
    `MAX_SENTENCE_CHARS`: cut at white space.

    >>> text = "Dr. Roe asked: how are you? Fine.\\nPatient: My leg hurts, e.g. at night."
    >>> [span.of(text) for span in sentences(text)]
    ['Dr. Roe asked: how are you?', 'Fine.', 'Patient: My leg hurts, e.g. at night.']
    """
    from rote.text.characters import codes_of
    from rote.text.splitting import rules_of, split

    starts, ends = split(codes_of(text), rules_of(check_language(language)))
    return [Span(*ends) for ends in zip(starts.tolist(), ends.tolist(), strict=True)]


@cache
def abbreviations(which: Literal["never", "number", "seldom"], language: str) -> frozenset[str]:
    """Abbreviations in lower case, without the last full stop, that end no sentence: never, before a number, seldom."""
    lists = {"never": _NEVER_LAST.get(language, ""), "number": _BEFORE_NUMBER, "seldom": _SELDOM_LAST.get(language, "")}
    return frozenset(lists[which].split())


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
