"""A static page: one HTML file without network, script or fonts of its own; light and dark.

Text of any script is left to the browser, which shapes it; every cell says its language and
direction. Values are escaped here and nowhere else: what is HTML already is of type ``Html``.
"""

import html
from collections.abc import Iterable, Sequence
from pathlib import Path

from polylect.base import Language, write_text

_STYLE = (Path(__file__).parent / "page.css").read_text(encoding="utf-8")


class Html(str):
    """Text that is HTML already."""

    __slots__ = ()


def escape(value: object) -> Html:
    """The value as HTML; numbers and text are escaped, HTML stays."""
    return value if isinstance(value, Html) else Html(html.escape(str(value)))


def join(parts: Iterable[object], between: str = "") -> Html:
    """Parts, each escaped, in one piece."""
    return Html(html.escape(between).join(escape(part) for part in parts))


def tag(name: str, *inside: object, **attributes: object) -> Html:
    """An element; a trailing underscore in an attribute's name is dropped (``class_``)."""
    words = [
        f' {key.rstrip("_").replace("_", "-")}="{html.escape(str(value), quote=True)}"'
        for key, value in attributes.items()
        if value is not None
    ]
    return Html(f"<{name}{''.join(words)}>{join(inside)}</{name}>")


def link(text: object, target: str, title: str | None = None) -> Html:
    """A link to a file beside the page."""
    return tag("a", text, href=target, title=title)


def language_cell(language: Language) -> Html:
    """A language's name, and beside it what it calls itself, in its own script and direction."""
    own = tag("bdi", language.endonym, lang=language.tag, dir=language.direction)
    return tag("span", language.name, " ", tag("small", own), class_="lang")


def table(
    head: Sequence[object], rows: Iterable[Sequence[object]], *, numbers: Iterable[int] = ()
) -> Html:
    """A table that scrolls sideways on a narrow screen; its first column names the row.

    Args:
        head: column titles.
        rows: cells.
        numbers: columns that are set as numbers.
    """
    right = set(numbers)
    top = join(tag("th", one, scope="col", class_="n" if i in right else None)
               for i, one in enumerate(head))  # fmt: skip
    body = join(
        tag("tr", *[_cell(i, one, i in right) for i, one in enumerate(row)]) for row in rows
    )
    inner = tag("table", tag("thead", tag("tr", top)), tag("tbody", body))
    return tag("div", inner, class_="scroll", tabindex="0")


def _cell(column: int, value: object, number: bool) -> Html:
    if isinstance(value, Html) and value.startswith("<td"):
        return value
    kind = "n" if number else None
    if column == 0:
        return tag("th", value, scope="row", class_=kind)
    return tag("td", value, class_=kind)


def section(title: str, *content: object, note: str = "") -> Html:
    """A titled part of the page, with a note below the title."""
    anchor = "".join(c if c.isalnum() else "-" for c in title.lower())
    lead = tag("p", note, class_="note") if note else Html("")
    return tag("section", tag("h2", title), lead, *content, id=anchor)


def write_page(path: Path, title: str, lead: object, sections: Sequence[Html]) -> None:
    """Write the page; it appears whole or not at all.

    Args:
        path: the HTML file.
        title: of the page and the window.
        lead: what stands below the title.
        sections: parts, in order.
    """
    body = tag("main", tag("header", tag("h1", title), lead), *sections)
    write_text(
        path,
        "<!doctype html>\n"
        '<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        '<meta name="color-scheme" content="light dark">'
        f"<title>{escape(title)}</title><style>{_STYLE}</style></head><body>{body}</body></html>\n",
    )
