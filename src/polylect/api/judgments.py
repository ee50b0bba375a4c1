"""``judge``: the answers of two models, judged pair by pair."""

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from polylect.api.fields import Group, Mark, Output, Positional
from polylect.api.judges import (
    AskingOptions,
    judging_engine,
    open_judges,
    plan_lines,
    settings_for,
    step_inputs,
)
from polylect.api.models import EngineOptions, ServerOptions
from polylect.api.results import Plan, Result, run_call
from polylect.api.tags import check_seen
from polylect.api.verbs import verb
from polylect.base import Count

if TYPE_CHECKING:
    import polars

    from polylect.report import Judged


@dataclass(frozen=True, kw_only=True)
class JudgeOptions:
    """Judge the answers of B against those of A, the baseline, always in both orders.

    A server's key is read from the environment variable POLYLECT_API_KEY. Writes
    judgments.parquet, scores.parquet and index.html. If the command is interrupted, the same
    command continues it.

    Examples:
        polylect judge answers/base answers/mine --judges judge-model
        polylect judge answers/base answers/mine --judges http://127.0.0.1:8000/v1#NAME DIR
        polylect judge answers/base answers/mine --judges DIR --preset m-arena-hard --json
    """

    a: Positional[Path]
    """Answers of the baseline: a folder of 'polylect generate', or such rows."""
    b: Positional[Path]
    """Answers of the model that is judged against the baseline."""
    judges: Annotated[tuple[str, ...], Mark(metavar="MODEL ...", keeps_commas=True)]
    """Judges: checkpoints' folders, or http://HOST:PORT/v1#MODEL."""
    preset: Literal["aya", "arena-hard", "m-arena-hard"] = "aya"
    """Protocol: how a judge is asked and its answer is read."""
    languages: tuple[str, ...] = ()
    """Language tags. Default: all of the answers."""
    limit: Count | None = None
    """Only the first pairs of each language. Default: all."""
    human: Path | None = None
    """Judgments by people, as rows of the same form; their agreement with the judges is
    reported."""
    seen: tuple[str, ...] = ()
    """Tags of languages that B was trained in; they are reported apart."""
    length_tokenizer: Path | None = None
    """Folder of a tokenizer in whose tokens lengths are counted. Default: characters."""
    asking: Group[AskingOptions] = field(default_factory=AskingOptions)
    engine: Group[EngineOptions] = field(default_factory=judging_engine)
    server: Group[ServerOptions] = field(default_factory=ServerOptions)
    output: Group[Output] = field(default_factory=Output)


class Judgments(Result):
    """Verdicts of all judges, and what can be believed of them."""

    @cached_property
    def judged(self) -> "Judged":
        """The outcomes of every pair, and what the judges are compared with."""
        from polylect.report import read_judged

        return read_judged(self.path)

    @property
    def models(self) -> tuple[str, str]:
        """The baseline, and the model that is judged against it."""
        return self.judged.models

    @property
    def overall(self) -> "polars.DataFrame":
        """Win rates of B over all languages, a row per judge."""
        from polylect.judging import win_rate_table

        return win_rate_table(self.judged.outcomes, "judge")

    @property
    def agreement(self) -> "polars.DataFrame":
        """How far every two judges agree beyond chance, people and the length rule among them."""
        return self.judged.agreement()

    @property
    def judgments(self) -> "polars.DataFrame":
        """A row per pair, order and judge."""
        import polars

        from polylect.judging import JUDGMENTS

        return polars.read_parquet(self.path / JUDGMENTS)

    def table(self) -> "polars.DataFrame":
        """Win rates of B with 95 % intervals over prompts, a row per judge and language."""
        from polylect.judging import win_rate_table

        return win_rate_table(self.judged.outcomes, "judge", "language")

    def lines(self) -> list[str]:
        """A few lines per judge, their agreement, and what was counted."""
        from polylect.judging import JUDGMENTS
        from polylect.report import judging_summary

        summary = judging_summary(self.judged).splitlines()
        return [*summary, *self.ledger.lines(), str(self.path / JUDGMENTS), str(self.page)]


@verb("judge", JudgeOptions)
def judge(options: JudgeOptions) -> Judgments | Plan:
    """Judge the answers of a model against those of a baseline, pair by pair, in both orders.

    Returns ``Judgments``: ``.table()`` has a row per judge and language.

        a = pl.generate("base", "prompts.jsonl")
        b = pl.generate("mine", "prompts.jsonl")
        pl.judge(a, b, judges=["judge-model"], verdict="logprob").table()
    """
    from polylect.base import Ledger
    from polylect.judging import (
        JudgeConfig,
        find_preset,
        model_names,
        pairwise_generation,
        pairwise_questions,
        read_judgments,
        select_pairs,
    )
    from polylect.judging import judge as judge_step
    from polylect.report import judged_with_answers, write_judging_page
    from polylect.runs import Call

    judges = open_judges("judge", options)
    preset = find_preset(options.preset, options.asking.verdict)
    config = JudgeConfig(preset=preset.label, **settings_for(options, judges))
    ledger = Ledger()
    sides, pairs = select_pairs(config, options.a, options.b, ledger)
    seen = check_seen(options.seen, (pair.a.language for pair in pairs))
    people = read_judgments(options.human, model_names(sides)) if options.human else []
    length = _length_measure(options.length_tokenizer)

    def finish(folder: Path) -> Judgments:
        judged = judged_with_answers(folder, pairs, people, length, seen)
        write_judging_page(folder / Judgments.page_name, judged)
        return Judgments(folder)

    def plan(out: Path) -> list[str]:
        questions = pairwise_questions(pairs, preset)
        equal = len(pairs) - len(questions) // 2
        return [
            f"{len(pairs):,} pairs, {equal:,} of them with equal answers",
            *ledger.summary(),
            *plan_lines(
                questions, judges, lambda name: pairwise_generation(config, preset, name), out
            ),
        ]

    call = Call(judge_step, "judge", config, step_inputs({"a": options.a, "b": options.b}, judges))
    return run_call(call, options.output, "judge", finish, plan)


def _length_measure(tokenizer: Path | None) -> tuple[str, Callable[[str], int]]:
    """Unit of lengths, and the function that measures a text in it."""
    if tokenizer is None:
        return "characters", len
    from polylect.text import Tokenizer

    loaded = Tokenizer.load(tokenizer)
    return f"tokens of {tokenizer.name}", lambda text: len(loaded.encode([text])[0])
