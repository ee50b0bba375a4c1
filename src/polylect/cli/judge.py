"""``polylect judge``: judge the answers of two models pair by pair."""

import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import tyro

from polylect.cli.judges import JudgingOptions, plan_lines, step_inputs
from polylect.cli.options import parse
from polylect.cli.results import finish, is_already_there, print_lines
from polylect.cli.values import check_seen, language_tags


@dataclass(frozen=True, kw_only=True)
class Options(JudgingOptions):
    """Judge the answers of B against those of A, the baseline, always in both orders.

    Each side is a folder that 'polylect generate' wrote. A server's key is read from the
    environment variable POLYLECT_API_KEY. Writes judgments.parquet, scores.parquet and index.html.
    If the command is interrupted, the same command continues it.
    """

    a: tyro.conf.Positional[Annotated[Path, tyro.conf.arg(metavar="DIR_A")]]
    """Answers of the baseline."""
    b: tyro.conf.Positional[Annotated[Path, tyro.conf.arg(metavar="DIR_B")]]
    """Answers of the model that is judged against the baseline."""
    preset: Literal["aya", "arena-hard", "m-arena-hard"]
    """Protocol: how a judge is asked and its answer is read."""
    seen: str = ""
    """Languages that B was trained in, as comma-separated tags; they are reported apart."""
    length_tokenizer: Path | None = None
    """Folder of a tokenizer in whose tokens lengths are counted. Default: characters."""


def main(arguments: Sequence[str]) -> int:
    """Exit code of ``polylect judge``."""
    options = parse(Options, arguments, "judge")
    from polylect.base import Ledger
    from polylect.judging import (
        JUDGMENTS,
        JudgeConfig,
        find_preset,
        judge,
        model_names,
        pairwise_generation,
        pairwise_questions,
        read_judgments,
        select_pairs,
    )
    from polylect.report import judging_summary, read_judged, write_judging_page
    from polylect.runs import Call

    judges = options.judges()
    options.refuse_without_effect("judge", judges)
    preset = find_preset(options.preset, options.verdict)
    config = JudgeConfig(preset=preset.label, **options.settings(judges))
    ledger, seen = Ledger(), language_tags(options.seen, "--seen")
    sides, pairs = select_pairs(config, options.a, options.b, ledger)
    check_seen(seen, (pair.a.language for pair in pairs))
    human = read_judgments(options.human, model_names(sides)) if options.human else []
    length = _length_measure(options.length_tokenizer)
    inputs = step_inputs({"a": options.a, "b": options.b}, judges)
    call = Call(judge, options.out.name, config, inputs)
    if options.dry_run:
        if is_already_there(call, options.out, force=options.force):
            return 0
        questions = pairwise_questions(pairs, preset)
        equal = len(pairs) - len(questions) // 2
        print_lines([
            f"{len(pairs):,} pairs, {equal:,} of them with equal answers",
            *ledger.summary(),
            *plan_lines(
                questions, judges, lambda name: pairwise_generation(config, preset, name),
                options.out,
            ),
        ])  # fmt: skip
        return 0
    artifact = finish(call, options.out, force=options.force)
    page = artifact.path / "index.html"
    judged = read_judged(artifact.path, pairs, human, length, seen, artifact.ledger)
    write_judging_page(page, judged)
    sys.stdout.write(judging_summary(judged))
    print_lines([*artifact.ledger.lines(), artifact.path / JUDGMENTS, page])
    return 0


def _length_measure(tokenizer: Path | None) -> tuple[str, Callable[[str], int]]:
    """Unit of lengths, and the function that measures a text in it."""
    if tokenizer is None:
        return "characters", len
    from polylect.text import Tokenizer

    loaded = Tokenizer.load(tokenizer)
    return f"tokens of {tokenizer.name}", lambda text: len(loaded.encode([text])[0])
