"""What is known of scripts and languages: characters without spaces, combining marks, abbreviations, function words."""

import re
import sys
import unicodedata
from functools import cache
from typing import Literal

from rote.errors import ConfigError

UNSPACED_RANGES = (
    "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"
)


def _mark_ranges() -> str:
    """Combining marks as the inside of a character class: they belong to the word they stand in, `\\w` leaves them out."""
    marks = [c for c in range(0x300, 0x20000) if unicodedata.category(chr(c))[0] == "M"] + list(range(0xE0100, 0xE01F0))
    starts = [c for before, c in zip([-2, *marks], marks, strict=False) if c != before + 1]
    ends = [c for c, after in zip(marks, [*marks[1:], sys.maxunicode + 2], strict=True) if after != c + 1]
    return "".join(f"{chr(start)}-{chr(end)}" for start, end in zip(starts, ends, strict=True))


MARK_RANGES = _mark_ranges()

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


def check_language(language: str) -> str:
    """The code itself.

    Raises:
        ConfigError: it is not two lower-case letters (ISO 639-1).
    """
    if not re.fullmatch("[a-z]{2}", language):
        raise ConfigError(f"language must be an ISO 639-1 code such as 'en' or 'de', found {language!r}")
    return language


@cache
def stop_words(language: str) -> frozenset[str]:
    """Function words in lower case; empty for languages that have no list here (all but English and German)."""
    return frozenset(_STOP_WORDS.get(check_language(language), "").split())


@cache
def abbreviations(which: Literal["never", "number", "seldom"], language: str) -> frozenset[str]:
    """Abbreviations in lower case, without the last full stop, that end no sentence: never, before a number, seldom."""
    lists = {"never": _NEVER_LAST.get(language, ""), "number": _BEFORE_NUMBER, "seldom": _SELDOM_LAST.get(language, "")}
    return frozenset(lists[which].split())
