"""Small pieces of HTML for notebooks: every text is escaped, every style is its element's own, nothing loads or runs.

A notebook puts such a piece into its own page: a style sheet here would change that page, too, so there is none.
"""

from collections.abc import Iterable, Mapping, Sequence
from html import escape

from rote.console.escaping import more, visible

BOX = "max-width:76rem;font-size:13px;line-height:1.5"
CELL = "text-align:left;vertical-align:top;padding:2px 14px 2px 0;white-space:normal"
FIGURE = "text-align:right;vertical-align:top;padding:2px 14px 2px 0;font-variant-numeric:tabular-nums"
SOFT = "opacity:.7"
TEXT = "white-space:pre-wrap;overflow-wrap:anywhere"
MARK = "background:rgba(234,88,12,.22);color:inherit;border-radius:2px"
COLUMN = "flex:1 1 20rem;min-width:0"
BESIDE = "display:flex;flex-wrap:wrap;gap:1.5rem"


def text(content: str) -> str:
    """The text, to be read and never obeyed."""
    return escape(visible(content), quote=True)


def element(tag: str, *content: str, style: str = "") -> str:
    """An element around pieces of HTML."""
    attribute = f' style="{style}"' if style else ""
    return f"<{tag}{attribute}>{''.join(content)}</{tag}>"


def box(*content: str) -> str:
    """What a notebook shows: pieces of HTML, one below the other."""
    return element("div", *content, style=BOX)


def heading(title: str, detail: str = "") -> str:
    """A title, with a softer detail after it."""
    more = element("span", f" {text(detail)}", style=SOFT) if detail else ""
    return element("div", element("b", text(title)), more)


def facts(pairs: Mapping[str, str]) -> str:
    """A table of names and values; empty values are left out."""
    rows = [
        element("tr", element("th", text(name), style=CELL), element("td", text(value), style=CELL))
        for name, value in pairs.items()
        if value
    ]
    return element("table", *rows)


def table(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table whose first column holds names, the others figures, with line feeds where they have any."""
    head = element("tr", *(element("th", _lines(name), style=FIGURE if i else CELL) for i, name in enumerate(columns)))
    body = [
        element("tr", *(element("td", _lines(cell), style=FIGURE if i else CELL) for i, cell in enumerate(row)))
        for row in rows
    ]
    return element("table", element("thead", head), element("tbody", *body))


def beside(*columns: str) -> str:
    """Pieces of HTML side by side, below each other where the page is narrow."""
    return element("div", *(element("div", column, style=COLUMN) for column in columns), style=BESIDE)


def passage(content: str, start: int, end: int, *, context: int = 200, longest: int = 2_000) -> str:
    """A stretch of a text, marked, with its surroundings; what is left out is counted.

    Args:
        content: the whole text.
        start: where the stretch begins.
        end: where it ends.
        context: characters shown on either side.
        longest: characters of the stretch that are shown.
    """
    first, last, cut = max(0, start - context), min(len(content), end + context), min(end, start + longest)
    before, after = left_out(first), left_out(len(content) - last)
    stretch = marked(content[start:cut], "passage") + left_out(end - cut)
    return element("div", before, text(content[first:start]), stretch, text(content[end:last]), after, style=TEXT)


def marked(content: str, title: str) -> str:
    """The text with a mark around it, whose title a mouse shows; without a title as it is."""
    if not title:
        return text(content)
    return f'<mark style="{MARK}" title="{text(title)}">{text(content)}</mark>'


def left_out(count: int) -> str:
    """The words in place of so many characters; "" for none."""
    return element("span", more(count), style=SOFT) if count else ""


def _lines(content: str) -> str:
    return "<br>".join(map(text, content.split("\n")))
