"""What ``polylect judge`` and ``polylect grade`` share: their judges, and how these are asked."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import tyro

from polylect.api.without_effect import for_each, refuse_without_effect
from polylect.base import Count, InputError, NonNegative, Seed
from polylect.cli.fields import Switch
from polylect.cli.model_options import OF_NO_SERVER, EngineOptions, ServerOptions, Unnamed
from polylect.cli.values import comma_separated

if TYPE_CHECKING:
    from polylect.engine import GenerateConfig, Server
    from polylect.rows import Prompt
    from polylect.runs import Files, Input


@dataclass(frozen=True, kw_only=True)
class JudgingOptions:
    """Options of both commands."""

    judge: tyro.conf.UseAppendAction[tuple[str, ...]]
    """A judge: a checkpoint's folder, or http://HOST:PORT/v1#MODEL. Repeat for several judges."""
    out: Path
    """Folder for the rows, scores.parquet and index.html."""
    verdict: Literal["text", "logprob"] = "text"
    """How to read a decision: from the judge's text, or from the probabilities of the possible
    first tokens of its answer (for judges too small to follow a protocol)."""
    languages: str = ""
    """Language tags separated by commas. Default: all."""
    limit: Count | None = None
    """Only the first N items per language. Default: all."""
    human: Path | None = None
    """Human judgments, as rows of the same form; their agreement with the judges is reported."""
    max_new_tokens: Count | None = None
    """Maximum tokens of a judge's answer. Default: that of the preset or rubric."""
    temperature: NonNegative = 0.0
    """Sampling temperature of a judge; 0 is greedy."""
    seed: Seed = 0
    """Seed of a judge's sampling."""
    template: str = "own"
    """Chat template of a local judge; see 'polylect generate'."""
    engine: Unnamed[EngineOptions] = field(default_factory=lambda: EngineOptions(memory_mib=1024))
    server: Unnamed[ServerOptions] = field(default_factory=ServerOptions)
    force: Switch = False
    """Replace what --out holds, once the new result is complete."""
    dry_run: Switch = False
    """Read the answers and print what would be asked; ask and write nothing."""

    def settings(self, judges: Mapping[str, Any]) -> dict[str, Any]:
        """What both configurations have in common."""
        return {
            "judges": tuple(judges),
            "languages": comma_separated(self.languages),
            "limit": self.limit,
            "max_new_tokens": self.max_new_tokens,
            "temperature": self.temperature,
            "seed": self.seed,
            "template": self.template,
            "engine": self.engine.config(),
        }

    def judges(self) -> dict[str, "Files | Server"]:
        """Files or server of each judge by the name that its rows have, in order.

        Raises:
            InputError: no judge, two of one name, no such folder, or not an address.
        """
        judges = dict(map(self._judge, self.judge))
        if len(judges) != len(self.judge) or not judges:
            raise InputError("name each judge once", "--judge MODEL --judge OTHER")
        return judges

    def refuse_without_effect(self, command: str, judges: Mapping[str, "Files | Server"]) -> None:
        """Refuse options of servers or of local judges where there is none of them.

        Args:
            command: as it is typed.
            judges: of ``judges``.

        Raises:
            InputError: names the option.
        """
        from polylect.engine import Server

        served = {isinstance(judge, Server) for judge in judges.values()}
        if served == {True}:
            refuse_without_effect(command, self, OF_NO_SERVER, "engine")
            if self.template not in {"own", "none"}:
                reason = ("a server writes its turns itself", "--template own, or none")
                refuse_without_effect(command, self, {"template": reason})
        if served == {False}:
            hint = "leave it out, or give a judge as http://HOST:PORT/v1#MODEL"
            reasons = for_each(self.server.given(), "no judge is a server", hint)
            refuse_without_effect(command, self, reasons, "server")
            if self.verdict == "logprob":
                reasons = for_each(
                    ("max_new_tokens", "temperature"),
                    "--verdict logprob scores the verdicts of a local judge, which writes nothing",
                    "leave it out, or --verdict text",
                )
                refuse_without_effect(command, self, reasons)

    def _judge(self, judge: str) -> tuple[str, "Files | Server"]:
        from polylect.checkpoints import Checkpoint
        from polylect.engine import read_address
        from polylect.runs import Files

        address = read_address(judge)
        if address is not None:
            url, model = address
            return model or judge, self.server.server(url, model, f"--judge {url}#NAME")
        return Path(judge).resolve().name, Files(Checkpoint.open(Path(judge)).path)


def step_inputs(
    answers: Mapping[str, Path], judges: Mapping[str, "Files | Server"]
) -> dict[str, "Input"]:
    """What the step depends on: folders or files of answers by name, and the judges."""
    from polylect.cli.results import file_in
    from polylect.engine import ANSWERS
    from polylect.runs import Files

    inputs: dict[str, Any] = {name: Files(file_in(path, ANSWERS)) for name, path in answers.items()}
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
