"""``polylect eval``: score a checkpoint on tasks, language by language."""

import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

from polylect.cli.fields import Switch
from polylect.cli.options import parse
from polylect.cli.results import finish
from polylect.cli.values import data_folder, threads_of, words_of

_DEFAULT_OUT = "runs/eval"


def options_type() -> type:
    """The options of ``eval``."""
    import tyro

    doc = tyro.conf.arg
    off = tyro.conf.FlagCreatePairsOff

    @dataclass(frozen=True, kw_only=True)
    class EvalOptions:
        checkpoint: tyro.conf.Positional[
            Annotated[Path, doc(help="a folder in Hugging Face layout, with its tokenizer")]
        ]
        tasks: Annotated[
            str,
            doc(
                help="names with commas between (polylect tasks lists them), or files of JSON "
                "lines: id, language, context, choices, answer (0-based)"
            ),
        ]
        languages: Annotated[str, doc(help="tags with commas between; all that a task has")] = ""
        limit: Annotated[int | None, doc(help="only the first items of each language")] = None
        shots: Annotated[int, doc(help="solved examples before every item")] = 0
        out: Annotated[Path, doc(help="folder for scores.parquet, eval.json and the page")] = Path(
            _DEFAULT_OUT
        )
        data: Annotated[
            Path | None, doc(help="holds a folder per dataset (default: POLYLECT_DATA)")
        ] = None
        hub: Annotated[bool, off, doc(help="download what --data does not have")] = False
        chat: Annotated[bool, off, doc(help="ask through the model's chat template")] = False
        num_samples: Annotated[
            int, doc(help="answers to every item of a task of generation, for pass@k")
        ] = 1
        temperature: Annotated[float, doc(help="of these; 0 takes the most likely token")] = 0.0
        top_p: Annotated[float, doc(help="of these: the fewest tokens this probable")] = 1.0
        max_new_tokens: Annotated[int | None, doc(help="longest of these; the task's own")] = None
        over_long: Annotated[
            Literal["refuse", "cut"],
            doc(help="a prompt longer than the model: refuse it, or cut its left end and count it"),
        ] = "refuse"
        max_tokens: Annotated[int | None, doc(help="longest input; the model's own limit")] = None
        add_bos: Annotated[
            Literal["tokenizer", "always", "never"],
            doc(help="begin every prompt with BOS; the tokenizer's own rule"),
        ] = "tokenizer"
        dtype: Literal["float32", "bfloat16", "float16"] = "float32"
        device: Literal["auto", "cpu", "cuda"] = "auto"
        threads: Annotated[
            int | None, doc(help="of the processor (default: OMP_NUM_THREADS, or all cores)")
        ] = None
        memory_mib: Annotated[int, doc(help="bound on what scoring holds besides weights")] = 256
        name: Annotated[str | None, doc(help="what the rows call the checkpoint")] = None
        cache: Annotated[
            Path | None, doc(help="folder of the response cache (default: OUT-cache beside --out)")
        ] = None
        force: Annotated[Switch, doc(help="replace what --out holds, once this is complete")] = (
            False
        )
        dry_run: Annotated[bool, off, doc(help="say what would be asked; write nothing")] = False

    return EvalOptions


def main(arguments: Sequence[str]) -> int:
    """Exit code of ``polylect eval``."""
    options: Any = parse(
        options_type(), arguments, "eval", "Score a checkpoint on tasks, language by language."
    )
    if options.hub:
        # Only now that somebody asked for it; huggingface_hub reads this when it is imported.
        os.environ["HF_HUB_OFFLINE"] = "0"
    from polylect.base import Ledger
    from polylect.checkpoints import Checkpoint
    from polylect.evals import EvalFolder, build_cells, describe, evaluate, save
    from polylect.report import evaluation_summary, write_eval_page
    from polylect.runs import Call, Step, StepContext

    config = config_of(options)
    checkpoint = Checkpoint.open(options.checkpoint)
    ledger = Ledger()
    cells = build_cells(config, checkpoint, ledger)
    if options.dry_run:
        sys.stdout.write(_plan(cells, checkpoint, config, ledger))
        return 0
    description = describe(cells, checkpoint, config)
    cache = options.cache or options.out.with_name(f"{options.out.name}-cache")

    def write(_: Any, inputs: Any, context: StepContext) -> None:
        context.ledger.add(ledger)
        evaluation = evaluate(cells, checkpoint, config, context.report, context.ledger, cache)
        write_eval_page(save(context, description, evaluation))

    # The tasks by name: a message then says which of them differs, and in what.
    named = {f"{task['task']} {task['language']}": task for task in description["asked"]}
    settings = {**description, "asked": named}
    del settings["checkpoint"]
    step = Step("polylect eval", 1, write)
    call = Call(step, options.out.name, settings, {"checkpoint": checkpoint})
    artifact = finish(call, options.out, force=options.force)
    sys.stdout.write(evaluation_summary(EvalFolder.read(artifact.path)))
    return 0


def config_of(options: Any) -> Any:
    """The configuration that options stand for."""
    from polylect.engine import EngineConfig
    from polylect.evals import EvalConfig

    bos = {"tokenizer": None, "always": True, "never": False}[options.add_bos]
    return EvalConfig(
        name=options.name or options.checkpoint.resolve().name,
        tasks=words_of(options.tasks),
        languages=words_of(options.languages),
        limit=options.limit,
        shots=options.shots,
        chat=options.chat,
        data=data_folder(options.data),
        hub=options.hub,
        num_samples=options.num_samples,
        temperature=options.temperature,
        top_p=options.top_p,
        max_new_tokens=options.max_new_tokens,
        engine=EngineConfig(
            memory_mib=options.memory_mib,
            threads=options.threads or threads_of(),
            dtype=options.dtype,
            device=options.device,
            max_tokens=options.max_tokens,
            over_long=options.over_long,
            add_bos=bos,
        ),
    )


def _plan(cells: Any, checkpoint: Any, config: Any, ledger: Any) -> str:
    """What would be asked: items, requests and tokens, with and without sharing."""
    from polylect.base import Ledger
    from polylect.engine import encode_requests, plan_passes
    from polylect.text import Tokenizer

    tokenizer = Tokenizer.load(checkpoint.path)
    bos = tokenizer.adds_bos if config.engine.add_bos is None else config.engine.add_bos
    lines = [
        f"{'task':<24}{'language':<10}{'items':>8}{'requests':>10}{'tokens':>12}{'shared':>12}"
    ]
    asked_total = shared_total = 0
    for cell in cells:
        if cell.prompts:
            sizes = [len(one) for one in tokenizer.encode(list(cell.prompts))]
            num = cell.settings["num_samples"]
            most = len(sizes) * num * cell.settings["max_new_tokens"]
            lines.append(
                f"{cell.task.name:<24}{cell.language:<10}{len(cell.items):>8,}"
                f"{len(sizes) * num:>10,}{sum(sizes):>12,}  and at most {most:,} new"
            )
            continue
        encoded = encode_requests(
            tokenizer,
            cell.asked,
            add_bos=bos,
            max_tokens=1 << 30,
            over_long="refuse",
            ledger=Ledger(),
        )
        asked = sum(len(one.input_ids()) for one in encoded)
        shared = plan_passes(encoded, 1 << 30).num_tokens
        asked_total, shared_total = asked_total + asked, shared_total + shared
        lines.append(
            f"{cell.task.name:<24}{cell.language:<10}{len(cell.items):>8,}"
            f"{len(cell.asked):>10,}{asked:>12,}{shared:>12,}"
        )
    lines.append(
        f"{asked_total:,} tokens as separate passes, {shared_total:,} with shared prefixes"
    )
    lines += [f"{event}: {num}" for event, num in ledger.by_event().items()]
    return "\n".join(lines) + "\n"
