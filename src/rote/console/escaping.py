"""Text for a screen: nothing in it that a browser or a terminal would obey."""

import re

_OBEYED = re.compile(
    r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u00ad\u061c\u180e\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff0-\ufffb\ufffe\uffff"
    r"\ud800-\udfff\ue000-\uf8ff\U000e0000-\U000e0fff]"
)
"""Control characters but newline and tab, direction controls, invisible characters, lone surrogates, private use."""


def visible(text: str) -> str:
    """The text with every character that a browser or terminal would obey, or not show, as ⟨U+hex⟩.

    Newlines and tabs stay (carriage return + newline counts as newline), and so do the joiners that scripts and emoji
    need. The result can be encoded in UTF-8 and does nothing but be read.
    """
    return _OBEYED.sub(lambda found: f"⟨U+{ord(found[0]):04X}⟩", text.replace("\r\n", "\n"))


def more(count: int) -> str:
    """The words that stand in place of `count` characters."""
    return f" … {count:,} more character{'' if count == 1 else 's'} … "
