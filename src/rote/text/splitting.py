"""Where sentences end, decided by kernels; `rote.text.sentences` states the rules, its word lists are there too."""

from functools import cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from rote.kernels import kernel
from rote.records import Span
from rote.text.characters import (
    ALPHANUMERIC,
    BLANK,
    BREAKS_TOKEN,
    BULLET,
    CASED,
    CLOSER,
    CLOSING,
    COLON,
    DIGIT,
    FIRST_LETTER,
    HYPHEN,
    LAST_LETTER,
    LOWER,
    NEWLINE,
    NUMERAL,
    OPENER,
    OPENING,
    POINT,
    PRONOUN,
    SPACE,
    STOP,
    TAB,
    THAI,
    UNDERSCORE,
    UNSPACED_STOP,
    UPPER,
    Classes,
    Codes,
    character_classes,
    codes_of,
    is_apostrophe,
    lower_codes,
    span_of,
    word_end,
)
from rote.text.lists import abbreviations, check_language, stop_words

NEVER_LAST, BEFORE_NUMBER, SELDOM_LAST, FUNCTION_WORD = 1, 2, 4, 8
MAX_SENTENCE_CHARS = 2000
"""A sentence longer than this is cut at white space (text without full stops)."""
MAX_TOKEN_CHARS = 24
"""What stands before a full stop is looked at no farther back."""
MAX_LOOK_AHEAD = 40
MAX_CLOSERS = 4
MAX_TURN_CHARS = 20
"""Most characters of a word of a speaker's name, after its first."""
MAX_TURN_WORDS = 3

_BASE = np.uint64(0x9E3779B97F4A7C15)

Ints = NDArray[np.int32]


class Rules(NamedTuple):
    """What the kernels know of a language."""

    classes: Classes
    lower: Codes
    hashes: NDArray[np.uint64]
    """Hashes of the words of all lists, in lower case; ascending."""
    lists: NDArray[np.uint8]
    """Which lists each stands in."""
    is_german: bool


@cache
def rules_of(language: str) -> Rules:
    """The rules for a language (ISO 639-1; others than those with word lists have the general rules alone)."""
    lists = {flag: abbreviations(name, language) for flag, name in _LISTS}
    lists[FUNCTION_WORD] = stop_words(language)
    found: dict[int, int] = {}
    for flag, words in lists.items():
        for word in words:
            code = int(lower_hash(codes_of(word), 0, len(word), lower_codes()))
            found[code] = found.get(code, 0) | flag
    hashes = sorted(found)
    flags = np.array([found[code] for code in hashes], dtype=np.uint8)
    return Rules(character_classes(), lower_codes(), np.array(hashes, dtype=np.uint64), flags, language == "de")


_LISTS = ((NEVER_LAST, "never"), (BEFORE_NUMBER, "number"), (SELDOM_LAST, "seldom"))


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
    starts, ends = split(codes_of(text), rules_of(check_language(language)))
    return [Span(*ends) for ends in zip(starts.tolist(), ends.tolist(), strict=True)]


@kernel
def split(codes: Codes, rules: Rules) -> tuple[Ints, Ints]:
    """Starts and ends of the sentences of a text."""
    room = len(codes) // 2 + 1
    starts, ends = np.empty(room, np.int32), np.empty(room, np.int32)
    count = split_into(codes, rules, starts, ends)
    return starts[:count], ends[:count]


@kernel
def split_into(codes: Codes, rules: Rules, starts: Ints, ends: Ints) -> int:
    """Writes where the sentences of a text start and end; returns their number, at most half of the characters + 1."""
    classes, size = rules.classes, len(codes)
    at = start = count = 0
    has_capitals = _has_capitals(codes, classes)
    while at < size:
        kind = classes[codes[at]]
        is_plain_blank = codes[at] == BLANK and at + 1 < size and not classes[codes[at + 1]] & (SPACE | THAI)
        if is_plain_blank or not kind & (STOP | UNSPACED_STOP | SPACE):
            at += 1
        elif kind & SPACE:
            end = span_of(codes, at, classes, SPACE)
            if _is_break(codes, at, end, rules):
                count = _cut(codes, start, end, classes, starts, ends, count)
                start = end
            at = end
        elif kind & UNSPACED_STOP:
            at = span_of(codes, span_of(codes, at, classes, UNSPACED_STOP), classes, CLOSER)
            count = _cut(codes, start, at, classes, starts, ends, count)
            start = at
        else:
            stops_end = span_of(codes, at, classes, STOP)
            end = span_of(codes, stops_end, classes, CLOSER)
            if end - stops_end > MAX_CLOSERS or (end < size and not classes[codes[end]] & SPACE):
                at = stops_end
                continue
            if _ends_sentence(codes, at, stops_end, end, rules, has_capitals):
                count = _cut(codes, start, end, classes, starts, ends, count)
                start = end
            at = end
    return _cut(codes, start, size, classes, starts, ends, count)


@kernel
def _cut(codes: Codes, start: int, end: int, classes: Classes, starts: Ints, ends: Ints, count: int) -> int:
    """Adds the stretch without white space around it, in pieces of bounded length; nothing where it is empty."""
    while True:
        start = min(end, span_of(codes, start, classes, SPACE))
        if end - start <= MAX_SENTENCE_CHARS:
            break
        stop = start + MAX_SENTENCE_CHARS - 1
        while stop > start and codes[stop] != BLANK and codes[stop] != NEWLINE:
            stop -= 1
        stop = stop if stop > start else start + MAX_SENTENCE_CHARS
        starts[count], ends[count] = start, _without_space(codes, start, stop, classes)
        count += 1
        start = stop
    stop = _without_space(codes, start, end, classes)
    if stop > start:
        starts[count], ends[count] = start, stop
        count += 1
    return count


@kernel
def _without_space(codes: Codes, start: int, end: int, classes: Classes) -> int:
    while end > start and classes[codes[end - 1]] & SPACE:
        end -= 1
    return end


@kernel
def _is_break(codes: Codes, start: int, end: int, rules: Rules) -> bool:
    """Whether white space ends a sentence: an empty line, a new turn or list item, a blank between Thai characters."""
    lines, is_blank = 0, True
    for code in codes[start:end]:
        lines += code == NEWLINE
        is_blank &= code in (BLANK, TAB)
    if lines:
        return lines > 1 or _is_turn(codes, end, rules.classes) or _is_item(codes, end, rules.classes)
    classes = rules.classes
    return bool(is_blank and start > 0 and end < len(codes) and classes[codes[start - 1]] & classes[codes[end]] & THAI)


@kernel
def _is_turn(codes: Codes, at: int, classes: Classes) -> bool:
    """Whether up to three words and a colon stand there, then white space."""
    for _ in range(MAX_TURN_WORDS):
        if at >= len(codes) or not classes[codes[at]] & ALPHANUMERIC:
            return False
        may_go_on = not classes[codes[at]] & DIGIT
        end = at + 1
        while end < len(codes) and _is_of_name(codes[end], classes):
            end += 1
        if end - at > MAX_TURN_CHARS + 1:
            return False
        at = end
        is_apart = at < len(codes) and (codes[at] == BLANK or codes[at] == TAB)
        at += is_apart
        if at + 1 < len(codes) and codes[at] == COLON:
            return bool(classes[codes[at + 1]] & SPACE)
        if not (is_apart and may_go_on):
            return False
    return False


@kernel
def _is_of_name(code: int, classes: Classes) -> bool:
    return bool(classes[code] & ALPHANUMERIC) or code in (UNDERSCORE, POINT, HYPHEN) or is_apostrophe(code)


@kernel
def _is_item(codes: Codes, at: int, classes: Classes) -> bool:
    """Whether a list item begins there: a dash or dot, a number or a letter before a full stop or a bracket; a blank."""
    size = len(codes)
    if at < size and classes[codes[at]] & BULLET:
        end = at + 1
    else:
        at += at < size and codes[at] == OPENING
        end = at
        while end < size and end < at + 3 and classes[codes[end]] & DIGIT:
            end += 1
        if end == at:
            end += at < size and FIRST_LETTER <= codes[at] <= LAST_LETTER
        if end == at or end >= size or (codes[end] != POINT and codes[end] != CLOSING):
            return False
        end += 1
    return bool(end < size and (codes[end] == BLANK or codes[end] == TAB))


@kernel
def _ends_sentence(codes: Codes, at: int, stops_end: int, end: int, rules: Rules, has_capitals: bool) -> bool:
    """Whether these stops, with closing quotes and brackets up to `end`, end a sentence."""
    classes = rules.classes
    limit = min(len(codes), end + MAX_LOOK_AHEAD)
    following = end
    while following < limit and classes[codes[following]] & OPENER:
        following += 1
    next_kind = classes[codes[following]] if following < limit else 0
    if next_kind & LOWER and has_capitals:
        return False
    if stops_end - at > 1 or codes[at] != POINT:
        return True
    start = at
    while start > max(0, at - MAX_TOKEN_CHARS) and not classes[codes[start - 1]] & (SPACE | BREAKS_TOKEN):
        start -= 1
    lists = _lists_of(codes, start, at, rules)
    if lists & NEVER_LAST or (lists & BEFORE_NUMBER and next_kind & NUMERAL):
        return False
    if rules.is_german and _is_ordinal(codes, start, at, classes):
        return False
    is_initial = at - start == 1 and classes[codes[start]] & UPPER and codes[start] != PRONOUN
    if is_initial or lists & SELDOM_LAST or _is_dotted(codes, start, at, classes):
        if following == limit:
            return True
        word = word_end(codes[:limit], following, classes)
        is_function = _lists_of(codes, following, word, rules) & FUNCTION_WORD
        return bool(word == following or (is_function and next_kind & UPPER))
    return True


@kernel
def _has_capitals(codes: Codes, classes: Classes) -> bool:
    """Whether capitals are at least one in 200 letters that have case: in English prose about six are."""
    upper = cased = 0
    for code in codes:
        upper += (classes[code] & UPPER) != 0
        cased += (classes[code] & (UPPER | LOWER)) != 0
    return upper * 200 >= cased


@kernel
def _is_ordinal(codes: Codes, start: int, end: int, classes: Classes) -> bool:
    """One or two digits."""
    if not 1 <= end - start <= 2:
        return False
    return bool(classes[codes[start]] & classes[codes[end - 1]] & NUMERAL)


@kernel
def _is_dotted(codes: Codes, start: int, end: int, classes: Classes) -> bool:
    """Single characters with full stops between them: "a.m"."""
    if end - start < 3 or (end - start) % 2 == 0:
        return False
    for at in range(start, end):
        is_stop = codes[at] == POINT
        if (at - start) % 2 == 1 and not is_stop:
            return False
        if (at - start) % 2 == 0 and not (classes[codes[at]] & ALPHANUMERIC or codes[at] == UNDERSCORE):
            return False
    return True


@kernel
def _lists_of(codes: Codes, start: int, end: int, rules: Rules) -> int:
    """The word lists that these characters, in lower case, stand in."""
    if start == end or end - start > MAX_TOKEN_CHARS:
        return 0
    value = lower_hash(codes, start, end, rules.lower)
    low, high = 0, len(rules.hashes)
    while low < high:
        middle = (low + high) // 2
        if rules.hashes[middle] < value:
            low = middle + 1
        else:
            high = middle
    return int(rules.lists[low]) if low < len(rules.hashes) and rules.hashes[low] == value else 0


@kernel
def lower_hash(codes: Codes, start: int, end: int, lower: Codes) -> np.uint64:
    """A number that stands for these characters in lower case."""
    value = np.uint64(end - start)
    for code in codes[start:end]:
        value = value * _BASE + np.uint64(lower[code] if code < CASED else code)
    return value
