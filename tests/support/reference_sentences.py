"""Sentences as one would first write them, with regular expressions; the kernels are checked against it."""

import re

from rote.records import Span
from rote.text import abbreviations, stop_words
from rote.text.splitting import MAX_SENTENCE_CHARS
from rote.text.tokenizing import WORD

CLOSERS = "\"'”’»)\\]}›」』】"
BOUNDARY = re.compile(
    rf"(?P<cjk>[。！？｡]+[{CLOSERS}]*)"
    rf"|(?P<stop>(?:[.!?…؟۔।॥።។]{{1,8}}))[{CLOSERS}]{{0,4}}(?=\s|$)"
    r"|(?P<break>(?<!\s)\s*\n\s*)"
    r"|(?P<thai>(?<=[\u0e00-\u0eff])[ \t]+(?=[\u0e00-\u0eff]))"
)
TURN = re.compile(r"(?:[^\W\d_][\w.'’-]{0,20}[ \t]){0,2}[^\W_][\w.'’-]{0,20}[ \t]?:(?=\s)")
BULLET = re.compile(r"(?:[-*•–—]|\(?\d{1,3}[.)]|\(?[a-z][.)])[ \t]")
LAST_TOKEN = re.compile(r"[^\s(\[{\"'“‘«]{1,24}\Z")
OPENERS = " \t\r\n\"'“‘«([{„‚¿¡"


def sentences(text: str, language: str) -> list[Span]:
    found: list[Span] = []
    start = 0
    for match in BOUNDARY.finditer(text):
        if ends_sentence(text, match, language):
            found += cut(text, start, match.end())
            start = match.end()
    return found + cut(text, start, len(text))


def ends_sentence(text: str, match: re.Match[str], language: str) -> bool:
    if match.lastgroup in ("cjk", "thai"):
        return True
    if match.lastgroup == "break":
        is_empty_line = match.group().count("\n") > 1
        return is_empty_line or bool(TURN.match(text, match.end()) or BULLET.match(text, match.end()))
    following = text[match.end() : match.end() + 40].lstrip(OPENERS)
    if following[:1].islower() and has_capitals(text):
        return False
    if match.group("stop") != ".":
        return True
    return full_stop_ends(text[max(0, match.start() - 24) : match.start()], following, language)


def has_capitals(text: str) -> bool:
    """Where hardly a letter is a capital, a small one after a full stop says nothing."""
    upper, lower = (sum(getattr(character, name)() for character in text) for name in ("isupper", "islower"))
    return 200 * upper >= upper + lower


def full_stop_ends(before: str, following: str, language: str) -> bool:
    last = LAST_TOKEN.search(before)
    written = last.group() if last else ""
    token = written.lower()
    if token in abbreviations("never", language):
        return False
    if following[:1].isdigit() and token in abbreviations("number", language):
        return False
    if language == "de" and token.isdigit() and len(token) <= 2:
        return False
    is_initial = len(written) == 1 and written.isupper() and written != "I"
    if is_initial or token in abbreviations("seldom", language) or re.fullmatch(r"(?:\w\.)+\w", written):
        first = WORD.match(following)
        return first is None or (first.group().lower() in stop_words(language) and following[:1].isupper())
    return True


def cut(text: str, start: int, end: int) -> list[Span]:
    """The span without white space around it, in pieces of at most `MAX_SENTENCE_CHARS`; nothing where it is empty."""
    pieces = []
    while True:
        start += len(text[start:end]) - len(text[start:end].lstrip())
        if end - start <= MAX_SENTENCE_CHARS:
            break
        space = max(text.rfind(mark, start + 1, start + MAX_SENTENCE_CHARS) for mark in (" ", "\n"))
        stop = space if space > 0 else start + MAX_SENTENCE_CHARS
        pieces.append(Span(start, start + len(text[start:stop].rstrip())))
        start = stop
    stop = start + len(text[start:end].rstrip())
    return [*pieces, Span(start, stop)] if stop > start else pieces
