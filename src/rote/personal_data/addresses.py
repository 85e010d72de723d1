"""Postal addresses: a house number and a street by their words, in English, German, French, Spanish, Italian, Portuguese and
Dutch. What has no such word is not found.
"""

import re
from collections.abc import Iterator

from rote.personal_data.recognized import Recognized
from rote.records import Span

_CAP = r"(?:[^\W\d_a-zà-öø-ÿ][^\W\d_]*(?:['-][^\W\d_]+)*)"
_STREET_WORD = rf"(?:{_CAP}|\d{{1,3}}(?:st|nd|rd|th))"
_ENGLISH = (
    "street|str|st|road|rd|avenue|ave|lane|ln|drive|dr|court|ct|boulevard|blvd|place|pl|square|sq|terrace|ter|way|close|"
    "crescent|cres|parkway|pkwy|highway|hwy|row|walk|gardens?|mews|hill|wharf|quay|alley|circle|cir|trail|yard|grove|rise|"
    "green|wynd|parade|path|bridge|steps|passage|esplanade|circus|vale|loop|turnpike|bank|brow|brae|stairs?|reach|bend|end|"
    "cottages?|fold|gate|common|view|crossing|landing|chase|croft|dene|garth|glade|nook|plaza|promenade|ridge|villas|cut|piece"
)
_SHORT = {
    "st": "street", "str": "street", "rd": "road", "ave": "avenue", "ln": "lane", "dr": "drive", "ct": "court",
    "blvd": "boulevard", "pl": "place", "sq": "square", "ter": "terrace", "cres": "crescent", "hwy": "highway",
}  # fmt: skip
_UNIT = r"(?:,? (?:Apt|Apartment|Flat|Suite|Unit|#)\.? ?\w{1,6})?"
_UNIT_BEFORE = r"(?:\b(?:Apt|Apartment|Flat|Suite|Unit|Room|Lodge)\.? \w{1,4},? )?"
_CITY = (
    rf"(?:,[ \n]{_CAP}(?!\w)(?: {_CAP}(?!\w)){{0,3}}"
    r"(?:,? [A-Z]{2},? \d{5}(?:-\d{4})?(?!\d)|,? [A-Z]{1,2}\d[A-Z\d]? ?\d[A-Z]{2}(?!\w))?)?"
)
_POSTCODE_CITY = rf"(?:,?[ \n](?:[A-Z]{{1,2}}-)?\d{{4,5}} (?:[A-Z]{{2}} )?{_CAP}(?: {_CAP})?)?"
_ENDINGS = "straße|strasse|str\\.|weg|platz|gasse|allee|damm|ufer|straat|laan|plein|gracht|kade|dijk"
_OF = r"(?:de la |de l'|de los |del |della |du |des |de |d'|di |do |da |dos |das |la |le |les |l')?"
_STREETS = (
    re.compile(
        rf"{_UNIT_BEFORE}(?<![\w.,/-])(?!(?:1[5-9]|20)\d\d,)(?P<street>\d{{1,5}}[A-Za-z]?(?:-\d{{1,5}})?,? (?:{_STREET_WORD}\.? ){{1,4}}(?i:{_ENGLISH})\b)\.?"
        rf"{_UNIT}{_CITY}"
    ),
    re.compile(
        rf"(?<![\w.,/-])(?P<street>\d{{1,4}}(?: bis| ter)?,? (?i:rue|avenue|boulevard|bd|place|chemin|impasse|allée|quai|route) "
        rf"{_OF}{_CAP}(?:[ -]{_CAP}){{0,3}}){_POSTCODE_CITY}"
    ),
    re.compile(
        rf"(?<![\w-])(?P<street>(?:Calle|C/|Avenida|Avda\.?|Plaza|Paseo|Via|Viale|Piazza|Corso|Rua|Largo|Travessa) ?"
        rf"{_OF}{_CAP}(?: {_CAP}){{0,3}},? (?:n\.?º? ?)?\d{{1,4}})(?![\w.]){_POSTCODE_CITY}"
    ),
    re.compile(r"\b(?P<street>P\.? ?O\.? Box \d{1,6}|Postfach \d{2,8})(?!\w)", re.IGNORECASE),
)
_WITH_ENDING = re.compile(
    rf"(?<![\w-])(?P<street>(?=[^\W\d_a-zà-öø-ÿ])[\w'-]{{1,40}}? ?(?i:{_ENDINGS}) \d{{1,4}} ?[a-z]?(?!\w))(?!\.\d){_POSTCODE_CITY}"
)
_HAS_ENDING = re.compile(rf"(?:{_ENDINGS}) \d", re.IGNORECASE)


def find_addresses(text: str) -> Iterator[tuple[Recognized, bool]]:
    """Addresses, the town that follows included; the form is house number and street alone."""
    patterns = (*_STREETS, _WITH_ENDING) if _HAS_ENDING.search(text) else _STREETS
    for pattern in patterns:
        for match in pattern.finditer(text):
            words = re.sub(r"[.,]", " ", match["street"].casefold()).split()
            words[-1] = _SHORT.get(words[-1], words[-1])
            yield Recognized("ADDRESS", Span(*match.span()), " ".join(words)), True
