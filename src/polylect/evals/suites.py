"""Suites: named lists of tasks, each with its shots, languages and version.

A suite is an evaluation as a paper reports it. What of it is not at hand is named, with what would
bring it; the rest runs. It does not run a judge, and nothing is downloaded unless asked for.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import chain
from types import MappingProxyType
from typing import Any

from polylect.base import InputError, Ledger, did_you_mean
from polylect.base import language as language_of
from polylect.checkpoints import Checkpoint
from polylect.evals.config import EvalConfig
from polylect.evals.prepared import PreparedTask, prepare_tasks
from polylect.evals.sources import Missing, MissingTranslation, NoData, NoExamples, Source
from polylect.evals.task_languages import task_language
from polylect.evals.tasks.registry import TASKS
from polylect.evals.tasks.task import Task
from polylect.evals.translation import pieces_path
from polylect.rows import first_metric


@dataclass(frozen=True)
class Part:
    """One task of a suite.

    Attributes:
        task: its name and version, as in the column ``task``.
        languages: tags; none are all that the task has.
        shots: solved examples before every item.
        metric: what the paper reports; empty is the task's first metric.
    """

    task: str
    languages: tuple[str, ...] = ()
    shots: int = 0
    metric: str = ""

    @property
    def definition(self) -> Task:
        """The built-in task."""
        return TASKS[self.task.partition("@")[0]]

    @property
    def tags(self) -> tuple[str, ...]:
        """The languages that are asked for."""
        return self.languages or self.definition.languages


@dataclass(frozen=True)
class Suite:
    """A list of tasks.

    Attributes:
        name: on the command line.
        version: raised when a part changes.
        summary: one line for ``polylect tasks --suites``.
        source: where it is described.
        parts: in the order in which they run.
        without: what the source reports besides, and what gives it here.
    """

    name: str
    version: int
    summary: str
    source: str
    parts: tuple[Part, ...]
    without: Mapping[str, str]

    @property
    def label(self) -> str:
        """The name, @ and the version."""
        return f"{self.name}@{self.version}"


@dataclass(frozen=True)
class Absent:
    """A part of a suite that is not at hand, in some languages.

    Attributes:
        task: its name.
        languages: tags.
        reason: what is missing.
        hint: what would bring it.
    """

    task: str
    languages: tuple[str, ...]
    reason: str
    hint: str

    def line(self) -> str:
        """The absence in words.

        >>> Absent("xcopa", ("et", "ht"), "no data", "--hub").line()
        'not at hand: xcopa in 2 languages (et ht): no data — --hub'
        """
        num = len(self.languages)
        many = f"{num} languages" if num > 1 else "1 language"
        where = f"{many} ({' '.join(self.languages)})"
        return f"not at hand: {self.task} in {where}: {self.reason} — {self.hint}"


_COVERED = (
    "ar", "cs", "de", "el", "en", "es", "fa", "fr", "he", "hi", "id", "it", "ja", "ko", "nl", "pl",
    "pt", "ro", "ru", "tr", "uk", "vi", "zh-Hans",
)  # fmt: skip
"""The 23 languages of Aya 23."""

_MMLU = (
    "ar", "de", "es", "fr", "hi", "id", "it", "nl", "pt", "ro", "ru", "uk", "vi", "zh-Hans",
)  # fmt: skip
_MGSM = ("de", "en", "es", "fr", "ja", "ru", "zh-Hans")


def _covered(task: str) -> tuple[str, ...]:
    return tuple(tag for tag in TASKS[task].languages if tag in _COVERED)


AYA23 = Suite(
    name="aya23",
    version=1,
    summary="the evaluation of Aya 23, in the languages that it covers",
    source="Aryabumi et al. 2024, arXiv 2405.15032, section 4",
    parts=(
        Part("xcopa@1", _covered("xcopa"), 0, "acc"),
        Part("xstorycloze@1", _covered("xstorycloze"), 0, "acc"),
        Part("xwinograd@1", _covered("xwinograd"), 0, "acc"),
        Part("okapi_mmlu@1", _MMLU, 5, "acc"),
        Part("mgsm_native_cot@2", _MGSM, 5, "exact_match"),
        Part("flores_from_english@1", _covered("flores_from_english"), 0, "spbleu"),
        Part("flores_into_english@1", _covered("flores_into_english"), 0, "spbleu"),
        Part("xlsum@2", _covered("xlsum"), 0, "rougeLsum"),
    ),
    without={
        "win rates by a judge": "polylect generate, then polylect judge",
        "preferences of people": "polylect rank, from their votes",
        "toxicity and safety": "no task here; a grader of your own: polylect grade",
    },
)
MIXTURE_LAB = Suite(
    name="mixture_lab",
    version=1,
    summary="knowledge, reasoning, code, held-out text: what a mixture does at a small scale",
    source="after Aryabumi et al. 2024, arXiv 2408.10914, section 2.3, in many languages",
    parts=(
        Part("xquad_closed@1"),
        Part("xquad_closed_choice@1"),
        Part("next_sentence@2"),
        Part("translation_choice@2"),
        Part("xcopa@1"),
        Part("humaneval@1"),
        Part("humaneval_choice@1"),
        Part("mbpp@1"),
        Part("mbpp_choice@1"),
        Part("ntrex_bits@2"),
    ),
    without={
        "programs that are run": "polylect eval --tasks humaneval_run,mbpp_run",
        "win rates by a judge": "polylect generate, then polylect judge",
    },
)
SUITES: Mapping[str, Suite] = MappingProxyType(
    {suite.name: suite for suite in (AYA23, MIXTURE_LAB)}
)
"""The suites, by name."""


_NO_SPBLEU = (
    "spBLEU needs the SentencePiece model of FLORES-200; chrF++ is scored",
    "sacrebleu downloads it once, for its tokenizer flores200",
)
"""What is missing, and what would bring it."""


def find_suite(name: str) -> Suite:
    """The suite of a name.

    Raises:
        InputError: there is none; names the nearest.
    """
    suite = SUITES.get(name.replace("-", "_").lower())
    if suite is None:
        known = f"there are {', '.join(SUITES)}"
        raise InputError(f"no suite {name!r}", did_you_mean(name, SUITES) or known)
    return suite


def prepare_suite(
    suite: Suite, config: EvalConfig, checkpoint: Checkpoint, ledger: Ledger
) -> tuple[list[PreparedTask], list[Absent]]:
    """Every part that is at hand, in every language, and what is not.

    Args:
        suite: its parts decide tasks and shots.
        config: everything else; its languages, where given, are those that are kept of each part.
        checkpoint: whose chat template is used where the configuration asks for it.
        ledger: counts what ``prepare_tasks`` counts.

    Raises:
        InputError: broken data, no such language, or nothing is at hand: names every part.
    """
    wanted = [(name, language_of(name, "--languages").tag) for name in config.languages]
    prepared: list[PreparedTask] = []
    absent: list[Absent] = []
    for part in suite.parts:
        task = part.definition
        asked = {task_language(part.tags, given, tag) for given, tag in wanted}
        tags = [tag for tag in part.tags if not wanted or tag in asked]
        reasons: dict[tuple[str, str], list[str]] = {}
        for tag in tags:
            own = replace(config, tasks=(task.name,), languages=(tag,), shots=part.shots)
            try:
                _look(task, tag, own)
                prepared += prepare_tasks(own, checkpoint, ledger)
            except Missing as error:
                reasons.setdefault(_without_path(error, part), []).append(tag)
        if part.metric == "spbleu" and not pieces_path().is_file():
            at_hand = [tag for tag in tags if tag not in chain(*reasons.values())]
            reasons |= {_NO_SPBLEU: at_hand} if at_hand else {}
        absent += [
            Absent(task.name, tuple(found), reason, hint)
            for (reason, hint), found in reasons.items()
        ]
    if not prepared:
        if not absent:
            tags = " ".join(dict.fromkeys(tag for part in suite.parts for tag in part.tags))
            raise InputError(
                f"suite {suite.name}: nothing in {' '.join(config.languages)}", f"it has {tags}"
            )
        names = {part.definition.data.name: None for part in suite.parts if part.definition.data}
        raise InputError(
            f"suite {suite.name}: nothing of it is at hand",
            f"--datasets DIR with a folder per dataset ({', '.join(names)}), or --hub",
        )
    return prepared, absent


def _look(task: Task, tag: str, config: EvalConfig) -> None:
    """Whether data and packages are at hand in one language.

    Raises:
        Missing: says what is not.
    """
    source = Source.at(config.data, config.hub)
    task.items(source, tag)
    if config.shots:
        task.shots(source, tag)
    if task.generation is not None:
        task.generation.require()


def _without_path(error: Missing, part: Part) -> tuple[str, str]:
    """What is missing and what would bring it; equal on every machine, as both are in the key."""
    data = part.definition.data
    get = f"get it from {data.home}" if data else error.hint
    if isinstance(error, MissingTranslation):
        return "no file in these languages", get
    if isinstance(error, NoExamples):
        return f"fewer than {part.shots} examples", get
    if isinstance(error, NoData):
        return "no data", error.hint
    return error.message, error.hint


def suite_rows(suite: Suite) -> list[dict[str, Any]]:
    """A row per part: task, its version, shots, languages, metric, license, and where data are."""
    rows = []
    for part in suite.parts:
        task = part.definition
        metric = part.metric or first_metric(task.name, {task.metric})
        rows.append(
            {
                "suite": suite.label, "task": task.name, "label": part.task, "shots": part.shots,
                "languages": list(part.tags), "metric": metric,
                "license": task.data.license if task.data else None,
                "data": task.data.home if task.data else None,
                "hub": (task.data.hub or None) if task.data else None,
            }
        )  # fmt: skip
    return rows


def described_suite(suite: Suite, absent: Sequence[Absent]) -> dict[str, Any]:
    """The suite in ``eval.json``: name, version, parts, and what of it was not at hand."""
    return {
        "name": suite.name,
        "version": suite.version,
        "source": suite.source,
        "parts": {part.task: {"shots": part.shots, "metric": part.metric} for part in suite.parts},
        "absent": [
            {"task": part.task, "languages": list(part.languages), "reason": part.reason,
             "hint": part.hint}
            for part in absent
        ],
        "without": dict(suite.without),
    }  # fmt: skip
