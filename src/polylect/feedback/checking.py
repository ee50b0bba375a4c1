"""A sample of pairs for people to check: a form that a spreadsheet opens, and what they said."""

import csv
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from polylect.base import InputError, digest_of, generator, read_text, write_text
from polylect.feedback.paired_answers import Pair
from polylect.stats import share_interval

FORM, KEY = "to_check.csv", "to_check_key.parquet"
COLUMNS = ("row", "language", "prompt", "answer 1", "answer 2", "better (1, 2, = or ?)", "comment")
_VERDICTS = {"1": 1, "2": 2, "=": 0, "?": None}
_FORMULA = ("=", "+", "-", "@", "\t", "\r")


def write_form(out: Path, pairs: Sequence[Pair], num: int, seed: int) -> None:
    """Write ``to_check.csv`` and its key; which answer stands first is drawn, and nobody is named.

    Every language gets an equal part, as far as it has pairs.

    Args:
        out: folder.
        pairs: of which some are drawn.
        num: rows; 0 writes nothing.
        seed: of the draws.
    """
    if not num:
        return
    rows, key = [], []
    for pair in _drawn(pairs, num, seed):
        named = digest_of([*pair.chosen.key, *pair.rejected.key])[:12]
        first = bool(generator(seed, "side", named).integers(2))
        answers = [pair.chosen.answer, pair.rejected.answer]
        texts = [pair.chosen.prompt, *(answers if first else answers[::-1])]
        rows.append([named, pair.chosen.language, *map(_as_cell, texts), "", ""])
        key.append({
            "row": named, "language": pair.chosen.language, "id": pair.chosen.id,
            "chosen": 1 if first else 2, "chosen_model": pair.chosen.teacher,
            "rejected_model": pair.rejected.teacher,
        })  # fmt: skip
    text = io.StringIO()
    csv.writer(text, lineterminator="\r\n").writerows([COLUMNS, *rows])
    # Spreadsheets take a file without the mark for one in the machine's own encoding.
    write_text(out / FORM, "\ufeff" + text.getvalue())
    pl.DataFrame(key).write_parquet(out / KEY)


def _drawn(pairs: Sequence[Pair], num: int, seed: int) -> list[Pair]:
    """Pairs in turn from every language, each in a drawn order."""
    by_language: dict[str, list[Pair]] = {}
    for i in generator(seed, "check").permutation(len(pairs)):
        by_language.setdefault(pairs[i].chosen.language, []).append(pairs[i])
    queues = [by_language[tag] for tag in sorted(by_language)]
    drawn: list[Pair] = []
    while len(drawn) < num and any(queues):
        drawn += [queue.pop() for queue in queues if queue][: num - len(drawn)]
    return sorted(drawn, key=lambda pair: pair.chosen.key)


def _as_cell(text: str) -> str:
    """Text that a spreadsheet does not take for a formula."""
    return f"'{text}" if text.startswith(_FORMULA) else text


@dataclass(frozen=True)
class Checked:
    """What a person said of a pair.

    Attributes:
        language: tag.
        id: of the prompt.
        agrees: 1 where the chosen answer is better, 0 where the other is, ½ for equal ones.
        teacher, other: who wrote the chosen and the rejected answer.
    """

    language: str
    id: str
    agrees: float
    teacher: str
    other: str


def read_form(file: Path, key_file: Path) -> tuple[list[Checked], Mapping[str, int]]:
    """What people said, and how many rows they left open or could not decide.

    Args:
        file: the filled form: CSV with commas, semicolons or tabs.
        key_file: beside the pairs that it was drawn from.

    Raises:
        InputError: a row is not of this form, or its verdict is none; names the line.
    """
    if not key_file.is_file():
        raise InputError(f"{key_file}: no such file", "polylect feedback pairs POOL --sample 50")
    key = {row["row"]: row for row in pl.read_parquet(key_file).to_dicts()}
    text = read_text(file).removeprefix("\ufeff")
    head = text.partition("\n")[0]
    separator = max(",;\t", key=head.count)
    lines = list(csv.reader(io.StringIO(text), delimiter=separator))
    names = [name.strip().lower() for name in lines[0]] if lines else []
    at = next((i for i, name in enumerate(names) if name.startswith("better")), -1)
    if at < 0 or "row" not in names:
        raise InputError(f"{file}: not the form: no column 'row' or 'better'", f"fill in {FORM}")
    checked: list[Checked] = []
    counts = {"open": 0, "undecided": 0}
    seen: set[str] = set()
    for number, cells in enumerate(lines[1:], start=2):
        if not any(cells):
            continue
        name = cells[names.index("row")].strip()
        word = cells[at].strip() if at < len(cells) else ""
        if name not in key or name in seen:
            why = "is there twice" if name in seen else "is none of the form"
            raise InputError(
                f"{file}: row {number}: {name!r} {why}", "leave the first column as it is"
            )
        seen.add(name)
        if not word:
            counts["open"] += 1
            continue
        if word not in _VERDICTS:
            raise InputError(f"{file}: row {number}: better is {word!r}", "write 1, 2, = or ?")
        verdict = _VERDICTS[word]
        if verdict is None:
            counts["undecided"] += 1
            continue
        row = key[name]
        agrees = 0.5 if verdict == 0 else float(verdict == row["chosen"])
        checked.append(Checked(row["language"], row["id"], agrees, row["chosen_model"],
                               row["rejected_model"]))  # fmt: skip
    counts["open"] += len(key) - len(seen)
    return checked, counts


def agreement_rows(checked: Sequence[Checked]) -> list[dict[str, object]]:
    """Share of pairs in which people prefer the chosen answer, in all and by language.

    Ties count half; intervals are clustered by prompt.
    """
    if not checked:
        return []
    frame = pl.DataFrame({
        "language": [row.language for row in checked], "cluster": [row.id for row in checked],
        "agrees": [row.agrees for row in checked],
    })  # fmt: skip
    both = pl.concat([frame.with_columns(language=pl.lit("")), frame])
    table = share_interval(both, ["language"], pl.col("agrees")).sort("language")
    nums = both.group_by("language").len("pairs")
    return table.join(nums, "language", maintain_order="left").select(
        "language", "pairs", agreement="mean", lower="lower", upper="upper"
    ).to_dicts()  # fmt: skip
