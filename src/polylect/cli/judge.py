"""``polylect judge``: two models' answers side by side before one or more judges."""

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

import tyro

from polylect.cli.fields import Switch
from polylect.cli.judges import judge_models
from polylect.cli.options import parse
from polylect.cli.results import file_in, finish, print_lines
from polylect.cli.values import tags_of, threads_of, words_of


@dataclass(frozen=True, kw_only=True)
class Options:
    """Judge the answers of B against those of A, the baseline, always in both orders.

    Each side is a folder that 'polylect generate' wrote. A judge is a checkpoint's folder, or
    http://HOST:PORT/v1#MODEL of a server (key: POLYLECT_API_KEY); name --judge several times for
    several. Writes judgments.parquet, scores.parquet and index.html. Killed anywhere, the same
    command goes on where it was.
    """

    a: tyro.conf.Positional[Annotated[Path, tyro.conf.arg(metavar="DIR_A")]]
    """Answers of the baseline."""
    b: tyro.conf.Positional[Annotated[Path, tyro.conf.arg(metavar="DIR_B")]]
    """Answers of the model that is judged against it."""
    judge: tyro.conf.UseAppendAction[tuple[str, ...]]
    """Who judges; may be named several times."""
    preset: Literal["aya", "arena-hard", "m-arena-hard"]
    """How a judge is asked and read."""
    out: Path
    """Folder for judgments.parquet, scores.parquet and index.html."""
    verdict: Literal["text", "logprob"] = "text"
    """How a verdict is read: as the judge writes it, or by how likely A, B or C (a tie) is as the
    first letter of its answer: for judges too small to follow a protocol."""
    languages: str = ""
    """Tags with commas between; all that both have."""
    limit: int | None = None
    """Only the first pairs of each language."""
    human: Path | None = None
    """Judgments by people, in the same rows: their agreement with the judges goes on the page."""
    seen: str = ""
    """Tags of the languages that B was trained in, reported apart from the others."""
    length_tokenizer: Path | None = None
    """Count lengths in tokens of this tokenizer. Default: characters."""
    max_new_tokens: int | None = None
    """Longest answer of a judge. Default: the preset's."""
    temperature: float = 0.0
    """Of a judge."""
    seed: int = 0
    """Of a judge's draws."""
    template: str = "own"
    """How the question is written for a judge; as in 'polylect generate'."""
    dtype: Literal["float32", "bfloat16", "float16"] = "float32"
    """Of a local judge."""
    device: Literal["auto", "cpu", "cuda"] = "auto"
    """Where a local judge runs."""
    threads: int | None = None
    """Of the processor. Default: OMP_NUM_THREADS, or all cores."""
    memory_mib: int = 1024
    """Bound on what a local judge holds besides weights."""
    over_long: Literal["refuse", "cut"] = "refuse"
    """A question that leaves a local judge no room: refuse it, or cut its left end and count it."""
    concurrency: int = 8
    """Most requests to a server at a time."""
    retries: int = 8
    """How often a request that failed is sent again."""
    timeout_seconds: float = 600.0
    """Longest wait for an answer of a server."""
    max_requests: int | None = None
    """Bound on requests to each server, failed ones included."""
    max_total_tokens: int | None = None
    """Bound on tokens of questions and answers at each server."""
    force: Switch = False
    """Replace what --out holds, once the new judgments are complete."""
    dry_run: Switch = False
    """Read and join everything, show what would be asked; ask nothing and write nothing."""


def options_type() -> type:
    """The options of ``judge``."""
    return Options


def main(arguments: Sequence[str]) -> int:
    """Exit code of ``polylect judge``."""
    options: Any = parse(Options, arguments, "judge", Options.__doc__ or "")
    from polylect.base import Ledger
    from polylect.judging import (
        ANSWERS,
        JUDGMENTS,
        judge,
        model_names,
        read_judgments,
        select_pairs,
    )
    from polylect.report import judging_summary, read_judged, write_judging_page
    from polylect.runs import Call, Files

    judges = judge_models("judge", options)
    config = config_of(options, tuple(judges))
    counted, seen = Ledger(), tags_of(options.seen, "--seen")
    sides, pairs = select_pairs(config, options.a, options.b, counted)
    people = read_judgments(options.human, model_names(sides)) if options.human else []
    size = size_of(options.length_tokenizer)
    if options.dry_run:
        sys.stdout.write(_plan(pairs, judges, config, options, counted))
        return 0
    inputs: dict[str, Any] = {
        side: Files(file_in(path, ANSWERS)) for side, path in (("a", options.a), ("b", options.b))
    }
    inputs |= {f"judge-{number}": one for number, one in enumerate(judges.values())}
    call = Call(judge, options.out.name, config, inputs)
    artifact = finish(call, options.out, force=options.force)
    page = artifact.path / "index.html"
    judged = read_judged(artifact.path, pairs, people, size, seen, artifact.ledger)
    write_judging_page(page, judged)
    sys.stdout.write(judging_summary(judged))
    print_lines([*artifact.ledger.lines(), artifact.path / JUDGMENTS, page])
    return 0


def config_of(options: Any, judges: tuple[str, ...]) -> Any:
    """The configuration that options stand for."""
    from polylect.engine import EngineConfig
    from polylect.judging import JudgeConfig, find_preset

    return JudgeConfig(
        preset=find_preset(options.preset, options.verdict).label,
        judges=judges,
        languages=words_of(options.languages),
        limit=options.limit,
        max_new_tokens=options.max_new_tokens,
        temperature=options.temperature,
        seed=options.seed,
        template=options.template,
        engine=EngineConfig(
            memory_mib=options.memory_mib,
            threads=options.threads or threads_of(),
            dtype=options.dtype,
            device=options.device,
            over_long=options.over_long,
        ),
    )


def size_of(tokenizer: Path | None) -> Any:
    """What lengths are counted in, and how: tokens of one tokenizer, or characters."""
    if tokenizer is None:
        return "characters", len
    from polylect.text import Tokenizer

    loaded = Tokenizer.load(tokenizer)
    return f"tokens of {tokenizer.name}", lambda text: len(loaded.encode([text])[0])


def _plan(pairs: Any, judges: Any, config: Any, options: Any, counted: Any) -> str:
    """What would be asked, and the first question as a judge would see it."""
    from polylect.base import Ledger
    from polylect.engine import forecast
    from polylect.judging import find_preset, pairwise_generation, pairwise_questions
    from polylect.runs import Files

    preset = find_preset(options.preset, options.verdict)
    asked = pairwise_questions(pairs, preset)
    lines = [f"{len(pairs):,} pairs, {len(pairs) - len(asked) // 2:,} of them with equal answers"]
    lines += counted.summary()
    for name, model in judges.items():
        lines.append(f"judge {name}:")
        if asked:
            place = model.path if isinstance(model, Files) else model
            run = pairwise_generation(config, preset, name)
            lines += [f"  {one}" for one in forecast(asked, place, run, Ledger())]
    if asked:
        lines += ["the first question:", *f"{asked[0].system}\n\n{asked[0].prompt}".splitlines()]
    return "\n".join([*lines, f"would write into {options.out}"]) + "\n"
