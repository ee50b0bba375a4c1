"""What ``judge`` and ``grade`` share: how their judges are named, and how these are asked."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import Field, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Protocol

from polylect.api.models import OF_NO_SERVER, EngineOptions, ServerOptions
from polylect.api.paths import file_in
from polylect.api.without_effect import for_each, refuse_without_effect
from polylect.base import Count, InputError, NonNegative, Seed

if TYPE_CHECKING:
    from polylect.engine import GenerateConfig, Server
    from polylect.rows import Prompt
    from polylect.runs import Files, Input

MEMORY_MIB = 1024
"""A judge reads long questions."""


@dataclass(frozen=True, kw_only=True)
class AskingOptions:
    """How a judge is asked."""

    verdict: Literal["text", "logprob"] = "text"
    """How to read a decision: from the judge's text, or from the probabilities of the possible
    first tokens of its answer (for judges too small to follow a protocol)."""
    max_new_tokens: Count | None = None
    """Longest answer of a judge, in tokens. Default: that of the preset or rubric."""
    temperature: NonNegative = 0.0
    """Sampling temperature of a judge; 0 is greedy."""
    seed: Seed = 0
    """Seed of a judge's sampling."""
    template: str = "own"
    """Chat template for a local judge; see 'polylect generate'."""


class JudgingOptions(Protocol):
    """What the options of both verbs have."""

    __dataclass_fields__: ClassVar[dict[str, "Field[Any]"]]

    @property
    def judges(self) -> tuple[str, ...]:
        """The judges."""

    @property
    def languages(self) -> tuple[str, ...]:
        """Tags; empty for all."""

    @property
    def limit(self) -> int | None:
        """Most questions of each language."""

    @property
    def asking(self) -> AskingOptions:
        """How a judge is asked."""

    @property
    def engine(self) -> EngineOptions:
        """How a local judge is run."""

    @property
    def server(self) -> ServerOptions:
        """How a server is asked."""


def judging_engine() -> EngineOptions:
    """How a local judge is run unless options say otherwise."""
    return EngineOptions(memory_mib=MEMORY_MIB)


def settings_for(options: JudgingOptions, judges: Mapping[str, "Files | Server"]) -> dict[str, Any]:
    """What the configurations of both verbs have in common."""
    return {
        "judges": tuple(judges),
        "languages": options.languages,
        "limit": options.limit,
        "max_new_tokens": options.asking.max_new_tokens,
        "temperature": options.asking.temperature,
        "seed": options.asking.seed,
        "template": options.asking.template,
        "engine": options.engine.config(),
    }


def open_judges(command: str, options: JudgingOptions) -> dict[str, "Files | Server"]:
    """Files or server of each judge by the name that its rows have, in order.

    Raises:
        InputError: no judge, two of one name, no such folder, not an address, or an option that no
            judge heeds.
    """
    judges = dict(_judge(judge, options.server) for judge in options.judges)
    if len(judges) != len(options.judges) or not judges:
        raise InputError("name each judge once", "--judges MODEL OTHER")
    _refuse_without_effect(command, options, judges)
    return judges


def _judge(judge: str, server: ServerOptions) -> tuple[str, "Files | Server"]:
    from polylect.checkpoints import Checkpoint
    from polylect.engine import read_address
    from polylect.runs import Files

    address = read_address(judge)
    if address is not None:
        url, model = address
        return model or judge, server.server(url, model, f"--judges {url}#NAME")
    return Path(judge).resolve().name, Files(Checkpoint.open(Path(judge)).path)


def _refuse_without_effect(
    command: str, options: JudgingOptions, judges: Mapping[str, "Files | Server"]
) -> None:
    """Refuse options of servers or of local judges where there is none of them.

    Raises:
        InputError: names the option.
    """
    from polylect.engine import Server

    served = {isinstance(judge, Server) for judge in judges.values()}
    if served == {True}:
        refuse_without_effect(command, options, OF_NO_SERVER, "engine")
        if options.asking.template not in {"own", "none"}:
            reason = ("a server writes its turns itself", "--template own, or none")
            refuse_without_effect(command, options, {"template": reason}, "asking")
    if served == {False}:
        hint = "leave it out, or give a judge as http://HOST:PORT/v1#MODEL"
        reasons = for_each(options.server.given(), "no judge is a server", hint)
        refuse_without_effect(command, options, reasons, "server")
        if options.asking.verdict == "logprob":
            reasons = for_each(
                ("max_new_tokens", "temperature"),
                "--verdict logprob scores the verdicts of a local judge, which writes nothing",
                "leave it out, or --verdict text",
            )
            refuse_without_effect(command, options, reasons, "asking")


def step_inputs(
    answers: Mapping[str, Path], judges: Mapping[str, "Files | Server"]
) -> dict[str, "Input"]:
    """What the step depends on: folders or files of answers by name, and the judges."""
    from polylect.engine import ANSWERS
    from polylect.runs import Files

    inputs: dict[str, Input] = {
        name: Files(file_in(path, ANSWERS)) for name, path in answers.items()
    }
    return inputs | {f"judge-{number}": judge for number, judge in enumerate(judges.values())}


def plan_lines(
    questions: Sequence["Prompt"],
    judges: Mapping[str, "Files | Server"],
    generation: Callable[[str], "GenerateConfig"],
    out: Path,
) -> list[str]:
    """For a dry run: what each judge would be asked, and the first question as it sees it."""
    from polylect.base import Ledger
    from polylect.engine import forecast
    from polylect.runs import Files

    lines = []
    for name, judge in judges.items():
        lines.append(f"judge {name}:")
        if questions:
            model = judge.path if isinstance(judge, Files) else judge
            estimate = forecast(questions, model, generation(name), Ledger())
            lines += [f"  {line}" for line in estimate]
    if questions:
        first = questions[0]
        lines += ["the first question:", *f"{first.system}\n\n{first.prompt}".splitlines()]
    return [*lines, f"would write into {out}"]
