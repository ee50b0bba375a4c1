"""A static page: one HTML file without network, scripts or web fonts; light and dark.

The browser shapes text of any script; every cell states its language and direction. Values are
escaped here and nowhere else: what is HTML already is of type ``Html``.
"""

import html
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from polylect.base import Language, write_text
from polylect.report.table_widths import (
    PHONE_WIDTH,
    column_blocks,
    plain_text,
    table_class,
    table_style,
    table_width,
)

_STYLE = (Path(__file__).parent / "page.css").read_text(encoding="utf-8") + table_style()


class Html(str):
    """Text that is HTML already."""

    __slots__ = ()


def escape(value: object) -> Html:
    """The value as HTML; numbers and text are escaped, HTML stays."""
    return value if isinstance(value, Html) else Html(html.escape(str(value)))


def join(parts: Iterable[object], between: str = "") -> Html:
    """All parts as one piece of HTML, each escaped."""
    return Html(html.escape(between).join(escape(part) for part in parts))


def tag(name: str, *inside: object, **attributes: object) -> Html:
    """An element; a trailing underscore in an attribute's name is dropped (``class_``).

    >>> tag("p", "a < b", class_="note")
    '<p class="note">a &lt; b</p>'
    """
    pairs = [
        f' {key.rstrip("_").replace("_", "-")}="{html.escape(str(value), quote=True)}"'
        for key, value in attributes.items()
        if value is not None
    ]
    return Html(f"<{name}{''.join(pairs)}>{join(inside)}</{name}>")


def link(text: object, target: str, title: str | None = None) -> Html:
    """A link to a file beside the page."""
    return tag("a", text, href=target, title=title)


def language_cell(language: Language) -> Html:
    """A language's English name, and its endonym in its own script and direction."""
    endonym = tag("bdi", language.endonym, lang=language.tag, dir=language.direction)
    return tag("span", language.name, " ", tag("small", endonym), class_="lang")


def table(
    head: Sequence[object],
    rows: Iterable[Sequence[object]],
    *,
    numbers: Iterable[int] = (),
    classes: Mapping[int, str] | None = None,
) -> Html:
    """A table of which no figure is cut; its first column names the row.

    One that is wider than a page is shown in parts, each with the first column. Where the window
    is narrower than a table, every row becomes a paragraph of its cells, with the columns' titles.

    Args:
        head: column titles.
        rows: cells; one that is a ``td`` already is left as it is.
        numbers: columns of numbers.
        classes: CSS classes of other columns.
    """
    kinds = dict.fromkeys(numbers, "n") | dict(classes or {})
    body = [list(row) for row in rows]
    return join(
        _part([head[i] for i in block], [[row[i] for i in block if i < len(row)] for row in body],
              {at: kinds[i] for at, i in enumerate(block) if i in kinds})
        for block in column_blocks(head, body, kinds)
    )  # fmt: skip


def _part(head: Sequence[object], rows: Sequence[list[object]], kinds: Mapping[int, str]) -> Html:
    """A table that fits a page."""
    width = table_width(head, rows, kinds)
    labels = [plain_text(title) for title in head] if width > PHONE_WIDTH else [""] * len(head)
    titles = [tag("th", title, scope="col", class_=kinds.get(i)) for i, title in enumerate(head)]
    body = [
        tag("tr", *[_cell(i, value, kinds.get(i), labels[i]) for i, value in enumerate(row)])
        for row in rows
    ]
    inner = tag("table", tag("thead", tag("tr", *titles)), tag("tbody", *body))
    return tag("div", inner, class_=f"scroll {table_class(width)}".strip(), tabindex="0")


def _cell(column: int, value: object, class_: str | None, label: str) -> Html:
    if isinstance(value, Html) and value.startswith("<td"):
        named = f' data-label="{html.escape(label, quote=True)}"' if label else ""
        return Html(f"<td{named}{value[3:]}")
    if column == 0:
        return tag("th", value, scope="row", class_=class_)
    return tag("td", value, class_=class_, data_label=label or None)


def section(title: str, *content: object, note: str = "") -> Html:
    """A titled part of the page, with a note below the title; its anchor is the title."""
    anchor = "".join(c if c.isalnum() else "-" for c in title.lower())
    below = tag("p", note, class_="note") if note else Html("")
    return tag("section", tag("h2", title), below, *content, id=anchor)


def table_section(
    title: str,
    head: Sequence[object],
    rows: Sequence[Sequence[object]],
    *,
    numbers: Iterable[int] = (),
    note: str = "",
) -> Html:
    """A section with a table; nothing where the table has no rows."""
    return section(title, table(head, rows, numbers=numbers), note=note) if rows else Html("")


def write_page(path: Path, title: str, lead: object, sections: Sequence[Html]) -> None:
    """Write the page; the file appears complete or not at all.

    Args:
        path: the HTML file.
        title: of the page and the window.
        lead: below the title; text becomes a paragraph.
        sections: parts, in order; empty ones are left out.
    """
    if not isinstance(lead, Html):
        lead = tag("p", lead, class_="lead")
    body = tag("main", tag("header", tag("h1", title), lead), *sections)
    write_text(
        path,
        "<!doctype html>\n"
        '<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        '<meta name="color-scheme" content="light dark">'
        f"<title>{escape(title)}</title><style>{_STYLE}</style></head><body>{body}</body></html>\n",
    )
