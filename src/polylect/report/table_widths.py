"""How wide a table needs to be, and what becomes of it where there is less room."""

import html
import re
import unicodedata
from collections.abc import Mapping, Sequence

PAGE_WIDTH = 70.0
"""What a page has room for, in rem."""

PHONE_WIDTH = 20.0
"""What a phone has room for, in rem."""

_STEPS = (24, 30, 36, 42, 48, 54, 60, 66, 72)
_LETTER, _PADDING = 0.5, 1.2
_WORDS, _NAME = (
    14,
    20,
)  # letters that a column of text should have, and that a long name may break at
_TRACK = 7.0  # of a bar of ranks
_NOWRAP = re.compile(r'class="(?:lang|worse|better|level)')

# What a narrow window makes of the table: rows are paragraphs of titled cells.
_STACKED = """@container (max-width: {width}rem) {{
.w{width} table, .w{width} tbody {{ display: block; }} .w{width} thead {{ display: none; }}
.w{width} tr {{ display: flex; flex-wrap: wrap; gap: 0 1rem; padding: .35rem 0;
  border-bottom: 1px solid var(--line); }}
.w{width} :is(th, td) {{ border: 0; padding: .05rem 0; text-align: start; white-space: normal;
  overflow-wrap: anywhere; }}
.w{width} tbody th {{ flex: 0 1 auto; font-weight: 700; }}
.w{width} td:empty {{ display: none; }}
.w{width} :is(td, th) :is(span, small) {{ white-space: normal; display: inline; }}
.w{width} td[data-label]::before {{ content: attr(data-label) " "; color: var(--soft);
  unicode-bidi: isolate; font-size: .85em; font-weight: 400; }}
.w{width} td.ranks {{ width: 100%; }} .w{width} td.ranks .track {{ max-width: 20rem; }}
}}
"""


def table_style() -> str:
    """The style sheet of tables in narrow windows."""
    return "".join(_STACKED.format(width=width) for width in _STEPS)


def table_class(width: float) -> str:
    """The class of a table that needs a width; empty for one that fits a phone."""
    if width <= PHONE_WIDTH:
        return ""
    return f"w{next((step for step in _STEPS if step >= width), _STEPS[-1])}"


def plain_text(value: object) -> str:
    """A cell without its tags."""
    return html.unescape(re.sub(r"<[^>]*>", "", str(value))).strip()


def column_width(title: object, cells: Sequence[object], kind: str | None, first: bool) -> float:
    """What a column needs in rem: its longest figure or name, or a few words of its text."""
    widest = max(map(_letters, plain_text(title).split()), default=0.0)
    for cell in cells:
        text, markup = plain_text(cell), str(cell)
        # What is in small letters may stand on a line of its own.
        small = [plain_text(part) for part in re.findall(r"<small[^>]*>.*?</small>", markup)]
        beside = plain_text(re.sub(r"<small[^>]*>.*?</small>", "", markup))
        length = max(map(_letters, [beside, *small]))
        if not (first or kind or _NOWRAP.search(markup)):
            longest = max(map(_letters, text.split()), default=0.0)
            length = max(min(longest, _NAME), min(length, _WORDS))
        if "track" in markup:
            length = max(length, _TRACK / _LETTER)
        widest = max(widest, length)
    return widest * _LETTER + _PADDING


def table_width(
    head: Sequence[object], rows: Sequence[Sequence[object]], kinds: Mapping[int, str]
) -> float:
    """What a table needs in rem."""
    return sum(_widths(head, rows, kinds))


def column_blocks(
    head: Sequence[object], rows: Sequence[Sequence[object]], kinds: Mapping[int, str]
) -> list[list[int]]:
    """Columns of each part of a table, so that every part fits a page and has the first column."""
    widths = _widths(head, rows, kinds)
    if sum(widths) <= PAGE_WIDTH or len(widths) < 3:
        return [list(range(len(widths)))]
    num = -(-int(sum(widths[1:])) // max(1, int(PAGE_WIDTH - widths[0])))
    room = widths[0] + max(sum(widths[1:]) / num, max(widths[1:]))
    blocks, used = [[0]], widths[0]
    for i in range(1, len(widths)):
        if used + widths[i] > min(room + widths[i] / 2, PAGE_WIDTH) and len(blocks[-1]) > 1:
            blocks.append([0])
            used = widths[0]
        blocks[-1].append(i)
        used += widths[i]
    return blocks


def _widths(
    head: Sequence[object], rows: Sequence[Sequence[object]], kinds: Mapping[int, str]
) -> list[float]:
    return [
        column_width(title, [row[i] for row in rows if i < len(row)], kinds.get(i), i == 0)
        for i, title in enumerate(head)
    ]


def _letters(text: str) -> float:
    """Length of a text in Latin letters; a Chinese character is two."""
    return float(sum(2 if unicodedata.east_asian_width(char) in "WF" else 1 for char in text))
