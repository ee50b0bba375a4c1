"""Published sets of open prompts, which have no gold answer: read for ``generate`` and a judge.

Every prompt says how its text was made: ``native`` (written in the language), ``translated`` by a
machine, or ``edited`` (translated and mended by people), so that judgments can be told apart by it.
"""

import csv
import io
import zipfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

from polylect.base import LANGUAGES, InputError, Ledger, did_you_mean
from polylect.base import language as language_of
from polylect.evals.sources import Dataset, MissingTranslation, Row, Source
from polylect.rows import Prompt

UNKNOWN = "left out: a language that is not known here"
ABSENT = "left out: the set has no prompts in it"

Reader = Callable[[Source, Sequence[str]], Iterable[tuple[str, Callable[[str], Prompt]]]]
"""From a source and the wanted tags (empty for all) to pairs of a language's name as published and
what makes the prompt once its tag is known."""


@dataclass(frozen=True)
class PromptSet:
    """A published set of prompts.

    Attributes:
        name: on the command line.
        summary: one line.
        data: where it lies and whose it is.
        read: its rows.
    """

    name: str
    summary: str
    data: Dataset
    read: Reader


_SUITE = Dataset(
    name="aya_evaluation_suite",
    license="Apache-2.0",
    home="https://huggingface.co/datasets/CohereLabs/aya_evaluation_suite",
    hub="CohereLabs/aya_evaluation_suite",
)
_ARENAS = {
    "m_arena_hard": Dataset(
        name="m-ArenaHard",
        license="Apache-2.0",
        home="https://huggingface.co/datasets/CohereLabs/m-ArenaHard",
        hub="CohereLabs/m-ArenaHard",
    ),
    "m_arena_hard_v2": Dataset(
        name="m-ArenaHard-v2.0",
        license="Apache-2.0",
        home="https://huggingface.co/datasets/CohereLabs/m-ArenaHard-v2.0",
        hub="CohereLabs/m-ArenaHard-v2.0",
    ),
}
_CONFUSION = Dataset(
    name="language-confusion",
    license="Apache-2.0",
    home="https://github.com/for-ai/language-confusion",
    layouts=("test_sets.zip",),
)
_SCRIPTS = {"Hans", "Hant"}
# m-ArenaHard has one Chinese, the simplified.
_CODES = {"zh-Hans": "zh"}


def _suite(config: str, origin: str) -> Reader:
    """A configuration of the Aya evaluation suite: all its languages are in one table."""

    def read(source: Source, _: Sequence[str]) -> Iterator[tuple[str, Callable[[str], Prompt]]]:
        for row in source.rows(_SUITE, config, "test"):
            name = row.text("language")
            script = row.text("script") if row.has("script") else ""
            # zho may be either script; elsewhere the code says it.
            name = f"{name}-{script}" if name in {"zho", "cmn"} and script in _SCRIPTS else name
            yield name, _prompt(row, str(row.data.get("id")), "inputs", "", origin)

    return read


def _arena(data: Dataset) -> Reader:
    """m-ArenaHard: a configuration per language, ``question_id`` joins them."""

    def read(
        source: Source, wanted: Sequence[str]
    ) -> Iterator[tuple[str, Callable[[str], Prompt]]]:
        seen = False
        for tag in wanted or LANGUAGES:
            try:
                rows = source.rows(data, _CODES.get(tag, tag), "test")
            except MissingTranslation:
                continue
            seen = True
            for row in rows:
                names = [one for one in ("category", "subcategory", "cluster") if row.has(one)]
                kind = str(row.data[names[0]]) if names else ""
                origin = "native" if tag == "en" else "translated"
                yield tag, _prompt(row, row.text("question_id"), "prompt", kind, origin)
        if not seen:
            raise InputError(f"{data.name}: no language of it is there", f"get it from {data.home}")

    return read


def _confusion(source: Source, _: Sequence[str]) -> Iterator[tuple[str, Callable[[str], Prompt]]]:
    """The Language Confusion Benchmark; ids name task and row, as its published answers are joined.

    Its cross-lingual prompts are English (or mixed) and ask for an answer in another language,
    which is the language of the row.
    """
    (path,) = source.files(_CONFUSION, "", "")
    try:
        with zipfile.ZipFile(path) as archive:
            names = sorted(
                one for one in archive.namelist() if one.endswith(".csv") and "/." not in one
            )
            for name in names:
                _, task, part, file = name.split("/")
                text = archive.read(name).decode("utf-8-sig")
                for number, data in enumerate(csv.DictReader(io.StringIO(text)), start=1):
                    row = Row(f"{path}: {name}: row {number}", data)
                    # The answers call a source as this column does; the folder is shorter.
                    part = data.get("source") or part
                    yield (
                        file.removesuffix(".csv"),
                        _prompt(row, f"{task}-{part}-{number}", "prompt", f"{task}/{part}", ""),
                    )
    except (zipfile.BadZipFile, UnicodeDecodeError, ValueError) as error:
        raise InputError(f"{path}: not the benchmark's prompts ({error})", "get it again") from None


def _prompt(
    row: Row, name: str, column: str, category: str, origin: str
) -> Callable[[str], Prompt]:
    """What makes the prompt of a row; its text is read once its language is known to be wanted."""
    return lambda tag: Prompt(
        id=name, language=tag, prompt=row.text(column), category=category, origin=origin
    )


_ALL = (
    PromptSet(
        "aya_human_annotated", "250 prompts by people in each of 7 languages (Aya)", _SUITE,
        _suite("aya_human_annotated", "native"),
    ),
    PromptSet(
        "dolly_human_edited", "Dolly-200 in 6 languages, translated and mended by people (Aya)",
        _SUITE, _suite("dolly_human_edited", "edited"),
    ),
    PromptSet(
        "dolly_machine_translated", "Dolly-200 in 119 languages by machine translation (Aya)",
        _SUITE, _suite("dolly_machine_translated", "translated"),
    ),
    PromptSet(
        "m_arena_hard", "arena-hard's 500 prompts and their translations into 22 languages",
        _ARENAS["m_arena_hard"], _arena(_ARENAS["m_arena_hard"]),
    ),
    PromptSet(
        "m_arena_hard_v2", "498 prompts of arena-hard v2 and their translations",
        _ARENAS["m_arena_hard_v2"], _arena(_ARENAS["m_arena_hard_v2"]),
    ),
    PromptSet(
        "language_confusion", "the prompts of the Language Confusion Benchmark, 15 languages",
        _CONFUSION, _confusion,
    ),
)  # fmt: skip
PROMPT_SETS: Mapping[str, PromptSet] = MappingProxyType({one.name: one for one in _ALL})
"""The sets, by name."""


def find_set(name: str) -> PromptSet:
    """The set of a name.

    Raises:
        InputError: there is none; names the nearest.
    """
    found = PROMPT_SETS.get(name.replace("-", "_").lower())
    if found is None:
        hint = did_you_mean(name, PROMPT_SETS) or f"known are {', '.join(PROMPT_SETS)}"
        raise InputError(f"no set of prompts {name!r}", hint)
    return found


def read_set(
    one: PromptSet, source: Source, languages: Sequence[str], limit: int | None, ledger: Ledger
) -> list[Prompt]:
    """The prompts of a set, in the order of its files.

    Args:
        one: the set.
        source: where its data lie.
        languages: tags; empty for all that the set has.
        limit: only the first of each language and category; None for all.
        ledger: counts rows in languages that are not known here, and wanted languages without any.

    Raises:
        InputError: the data are not at hand or broken, or nothing is left.
    """
    counts: dict[tuple[str, str], int] = {}
    found: list[Prompt] = []
    for name, make in one.read(source, languages):
        try:
            tag = language_of(name).tag
        except InputError:
            ledger.count(UNKNOWN, 1, name)
            continue
        if languages and tag not in languages:
            continue
        made = make(tag)
        key = (tag, made.category)
        counts[key] = counts.get(key, 0) + 1
        if limit is None or counts[key] <= limit:
            found.append(made)
    there = {made.language for made in found}
    for tag in languages:
        ledger.count(ABSENT, int(tag not in there), tag)
    if not found:
        raise InputError(f"{one.name}: no prompt in {' '.join(languages)}", "check --languages")
    return found
