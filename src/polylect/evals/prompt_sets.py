"""Published sets of open prompts without gold answers, to generate from and to judge.

The origin of every prompt is ``native`` (written in the language), ``translated`` by a machine, or
``edited`` (translated, then corrected by people), so that judgments can be split by it.
"""

import io
import zipfile
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from types import MappingProxyType

from polylect.base import LANGUAGES, InputError, Ledger, did_you_mean, refuse_pointer
from polylect.base import language as language_of
from polylect.evals.sources import Dataset, MissingTranslation, Row, Source, config_of, csv_rows
from polylect.rows import Prompt

UNKNOWN = "left out: a language that is not known here"
ABSENT = "left out: the set has no prompts in it"

Rows = Iterator[tuple[str, Row, Callable[..., Prompt]]]
"""Published name of a language, row with the prompt's text, and ``Prompt`` without the two."""


@dataclass(frozen=True)
class PromptSet:
    """A published set of prompts.

    Attributes:
        name: on the command line.
        summary: one line.
        data: the published dataset.
        read: its rows; the second argument is the wanted tags, empty for all.
        column: the column of the prompt's text.
    """

    name: str
    summary: str
    data: Dataset
    read: Callable[[Source, Sequence[str]], Rows]
    column: str = "prompt"


def _cohere_labs(name: str) -> Dataset:
    repository = f"CohereLabs/{name}"
    home = f"https://huggingface.co/datasets/{repository}"
    return Dataset(name=name, license="Apache-2.0", home=home, hub=repository)


_SUITE = _cohere_labs("aya_evaluation_suite")
_CONFUSION = Dataset(
    name="language-confusion",
    license="Apache-2.0",
    home="https://github.com/for-ai/language-confusion",
    layouts=("test_sets.zip",),
)
_SCRIPTS = {"Hans", "Hant"}


def _suite(name: str, summary: str, origin: str) -> PromptSet:
    """A configuration of the Aya evaluation suite, with all languages in one table."""

    def read(source: Source, _: Sequence[str]) -> Rows:
        for row in source.rows(_SUITE, name, "test"):
            code, script = row.text("language"), row.data.get("script")
            # zho may be either script; elsewhere the code implies it.
            if code in {"zho", "cmn"} and script in _SCRIPTS:
                code = f"{code}-{script}"
            yield code, row, partial(Prompt, id=str(row.data.get("id")), origin=origin)

    return PromptSet(name, summary, _SUITE, read, column="inputs")


def _arena(name: str, summary: str, data: Dataset) -> PromptSet:
    """m-ArenaHard: a configuration per language, joined by ``question_id``."""

    def read(source: Source, languages: Sequence[str]) -> Rows:
        empty = True
        for tag in languages or LANGUAGES:
            try:
                rows = source.rows(data, config_of(tag), "test")
            except MissingTranslation:
                continue
            empty = False
            for row in rows:
                columns = filter(row.has, ("category", "subcategory", "cluster"))
                make = partial(
                    Prompt,
                    id=row.text("question_id"),
                    category=str(row.data.get(next(columns, ""), "")),
                    origin="native" if tag == "en" else "translated",
                )
                yield tag, row, make
        if empty:
            raise InputError(f"{data.name}: no language of it is there", f"get it from {data.home}")

    return PromptSet(name, summary, data, read)


def _read_confusion(source: Source, _: Sequence[str]) -> Rows:
    """The Language Confusion Benchmark; ids name task and row, as its published answers do.

    Its cross-lingual prompts are English (or mixed) and ask for an answer in another language,
    which is the language of the row.
    """
    (path,) = source.files(_CONFUSION, "", "")
    refuse_pointer(path)
    try:
        with zipfile.ZipFile(path) as archive:
            for name in sorted(archive.namelist()):
                if not name.endswith(".csv") or "/." in name:
                    continue
                _, task, folder, file = name.split("/")
                text = io.TextIOWrapper(archive.open(name), "utf-8-sig", newline="")
                for number, row in enumerate(csv_rows(text, f"{path}: {name}"), start=1):
                    # The answers have the source of this column; the folder's name is shorter.
                    part = row.data.get("source") or folder
                    make = partial(Prompt, id=f"{task}-{part}-{number}", category=f"{task}/{part}")
                    yield file.removesuffix(".csv"), row, make
    except (zipfile.BadZipFile, ValueError) as error:
        raise InputError(f"{path}: not the benchmark's prompts ({error})", "get it again") from None


_ALL = (
    _suite("aya_human_annotated", "250 prompts by people in each of 7 languages (Aya)", "native"),
    _suite(
        "dolly_human_edited",
        "Dolly-200 in 6 languages, translated and mended by people (Aya)",
        "edited",
    ),
    _suite(
        "dolly_machine_translated",
        "Dolly-200 in 119 languages by machine translation (Aya)",
        "translated",
    ),
    _arena(
        "m_arena_hard",
        "arena-hard's 500 prompts and their translations into 22 languages",
        _cohere_labs("m-ArenaHard"),
    ),
    _arena(
        "m_arena_hard_v2",
        "498 prompts of arena-hard v2 and their translations",
        _cohere_labs("m-ArenaHard-v2.0"),
    ),
    PromptSet(
        "language_confusion",
        "the prompts of the Language Confusion Benchmark, 15 languages",
        _CONFUSION,
        _read_confusion,
    ),
)
PROMPT_SETS: Mapping[str, PromptSet] = MappingProxyType(
    {prompt_set.name: prompt_set for prompt_set in _ALL}
)
"""The sets, by name."""


def find_set(name: str) -> PromptSet:
    """The set of a name.

    Raises:
        InputError: there is none; names the nearest.
    """
    prompt_set = PROMPT_SETS.get(name.replace("-", "_").lower())
    if prompt_set is None:
        hint = did_you_mean(name, PROMPT_SETS) or f"known are {', '.join(PROMPT_SETS)}"
        raise InputError(f"no set of prompts {name!r}", hint)
    return prompt_set


def read_set(
    prompt_set: PromptSet,
    source: Source,
    languages: Sequence[str],
    limit: int | None,
    ledger: Ledger,
) -> list[Prompt]:
    """The prompts of a set, in the order of its files.

    Args:
        prompt_set: of ``PROMPT_SETS``.
        source: where its files are.
        languages: tags; empty for all that the set has.
        limit: only the first of each language and category; None for all.
        ledger: counts rows in unknown languages, and wanted languages without prompts.

    Raises:
        InputError: the data are not at hand or broken, or nothing is left.
    """
    counts: Counter[tuple[str, str]] = Counter()
    prompts: list[Prompt] = []
    for name, row, make in prompt_set.read(source, languages):
        try:
            tag = language_of(name).tag
        except InputError:
            ledger.count(UNKNOWN, 1, name)
            continue
        if languages and tag not in languages:
            continue
        prompt = make(language=tag, prompt=row.text(prompt_set.column))
        key = (tag, prompt.category)
        counts[key] += 1
        if limit is None or counts[key] <= limit:
            prompts.append(prompt)
    present = {tag for tag, _ in counts}
    for tag in languages:
        ledger.count(ABSENT, int(tag not in present), tag)
    if not prompts:
        raise InputError(f"{prompt_set.name}: no prompt in {' '.join(languages)}",
                         "check --languages")  # fmt: skip
    return prompts
