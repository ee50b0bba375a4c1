"""``polylect generate``: answers of a checkpoint, or of a server, to the prompts of a file."""

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

import tyro

from polylect.cli.fields import Switch
from polylect.cli.options import parse
from polylect.cli.results import finish, print_lines
from polylect.cli.values import threads_of, words_of

_TEMPLATES = ("own", "plain", "aya", "none")
_ONLY_SERVER = (
    "served_model", "concurrency", "retries", "timeout_seconds", "max_requests",
    "max_total_tokens",
)  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Options:
    """Answer the prompts of a file with a checkpoint, or with an OpenAI-style server.

    A prompt is a line of JSON with id, language, and prompt (text) or messages (several turns);
    system, category and origin may follow.
    Writes answers.parquet. Killed anywhere, the same command goes on where it was. The key of a
    server is read from the environment variable POLYLECT_API_KEY.
    """

    model: tyro.conf.Positional[Annotated[str, tyro.conf.arg(metavar="MODEL")]]
    """A folder in Hugging Face layout, or http://HOST:PORT/v1 of a server."""
    prompts: Path
    """JSON lines or Parquet."""
    out: Path
    """Folder for answers.parquet."""
    max_new_tokens: int = 256
    """Longest answer."""
    temperature: float = 0.0
    """0 takes the most likely token."""
    top_k: int = 0
    """Draw from the k most likely tokens; 0 from all."""
    top_p: float = 1.0
    """Draw from the fewest tokens that are this probable together."""
    min_p: float = 0.0
    """Draw from tokens at least this fraction as probable as the likeliest."""
    stop: tuple[str, ...] = ()
    """Texts before which an answer ends."""
    num_samples: int = 1
    """Answers to every prompt."""
    seed: int = 0
    """Of the draws; every prompt and sample has its own."""
    template: str = "own"
    """How a prompt is written: own (the checkpoint's chat template), plain (turns without one),
    aya, a file in Jinja, or none (the text itself, to be continued)."""
    languages: str = ""
    """Tags with commas between; all that the file has."""
    limit: int | None = None
    """Only the first prompts of each language."""
    name: str | None = None
    """What the rows call the model. Default: the folder's or the served model's name."""
    over_long: Literal["refuse", "cut"] = "refuse"
    """A prompt that leaves no room for its answer: refuse it, or cut its left end and count it."""
    dtype: Literal["float32", "bfloat16", "float16"] = "float32"
    """Of a checkpoint's weights and activations."""
    device: Literal["auto", "cpu", "cuda"] = "auto"
    """Where a checkpoint runs."""
    threads: int | None = None
    """Of the processor. Default: OMP_NUM_THREADS, or all cores."""
    memory_mib: int = 256
    """Bound on what the continuations hold besides weights."""
    served_model: str | None = None
    """The name under which a server knows the model. Default: the one that it serves."""
    concurrency: int | None = None
    """Most requests to a server at a time. Default: 8."""
    retries: int | None = None
    """How often a request that failed is sent again. Default: 8."""
    timeout_seconds: float | None = None
    """Longest wait for an answer of a server. Default: 600."""
    max_requests: int | None = None
    """Bound on requests to a server, failed ones included."""
    max_total_tokens: int | None = None
    """Bound on tokens of prompts and answers at a server."""
    force: Switch = False
    """Replace what --out holds, once the new answers are complete."""
    dry_run: Switch = False
    """Say what would be asked; ask nothing and write nothing."""


def options_type() -> type:
    """The options of ``generate``."""
    return Options


def main(arguments: Sequence[str]) -> int:
    """Exit code of ``polylect generate``."""
    options: Any = parse(Options, arguments, "generate", Options.__doc__ or "")
    from polylect.base import Ledger
    from polylect.engine import ANSWERS, chosen_prompts, forecast, generate
    from polylect.runs import Call, Files

    model = model_of(options)
    config = config_of(options, model)
    counted = Ledger()
    prompts = chosen_prompts(config, options.prompts, counted)
    if options.dry_run:
        folder = model.path if isinstance(model, Files) else model
        lines = forecast(prompts, folder, config, counted)
        sys.stdout.write("\n".join([*lines, f"would write {options.out / ANSWERS}"]) + "\n")
        return 0
    inputs: dict[str, Any] = {"model": model, "prompts": Files(options.prompts)}
    if options.template not in _TEMPLATES:
        inputs["template"] = Files(Path(options.template))
    call = Call(generate, options.out.name, config, inputs)
    artifact = finish(call, options.out, force=options.force)
    sys.stdout.write(summary(artifact.path / ANSWERS))
    print_lines([*artifact.ledger.lines(), artifact.path / ANSWERS])
    return 0


def model_of(options: Any) -> Any:
    """The checkpoint's files, or the server, that options name.

    Raises:
        InputError: no such folder, not an address, or options of the one for the other.
    """
    from polylect.base import InputError
    from polylect.checkpoints import Checkpoint
    from polylect.engine import Server, is_address
    from polylect.runs import Files

    if not is_address(options.model):
        for name in _ONLY_SERVER:
            if getattr(options, name) is not None:
                raise InputError(
                    f"--{name.replace('_', '-')} belongs to a server, {options.model} is a folder",
                    "leave it out, or give http://HOST:PORT/v1",
                )
        return Files(Checkpoint.open(Path(options.model)).path)
    name = options.served_model
    if name is None:
        from polylect.engine import served_model

        name = served_model(options.model)
    given = {
        "concurrency": options.concurrency,
        "retries": options.retries,
        "timeout_seconds": options.timeout_seconds,
        "max_requests": options.max_requests,
        "max_tokens": options.max_total_tokens,
    }
    asked = {key: value for key, value in given.items() if value is not None}
    return Server(options.model, name, **asked)


def config_of(options: Any, model: Any) -> Any:
    """The configuration that options stand for.

    Raises:
        InputError: a value out of its range, or a template that a server cannot be told.
    """
    from polylect.base import InputError
    from polylect.engine import EngineConfig, GenerateConfig, Sampling, Server

    remote = isinstance(model, Server)
    if remote and options.template not in {"own", "none"}:
        raise InputError(
            f"--template {options.template}: a server writes its turns itself",
            "--template own (as a chat) or none (as text to be continued)",
        )
    engine = EngineConfig()
    if not remote:
        engine = EngineConfig(
            memory_mib=options.memory_mib,
            threads=options.threads or threads_of(),
            dtype=options.dtype,
            device=options.device,
            over_long=options.over_long,
        )
    return GenerateConfig(
        name=options.name or _name_of(model, remote),
        sampling=Sampling(
            max_new_tokens=options.max_new_tokens,
            temperature=options.temperature,
            top_k=options.top_k,
            top_p=options.top_p,
            min_p=options.min_p,
            stop=options.stop,
            num_samples=options.num_samples,
            seed=options.seed,
        ),
        template=options.template,
        languages=words_of(options.languages),
        limit=options.limit,
        engine=engine,
    )


def _name_of(model: Any, remote: bool) -> str:
    """The served name, or the folder's; of a path, which some servers call it by, its last part."""
    if not remote:
        return model.path.resolve().name
    return model.model.rpartition("/")[2] if model.model.startswith("/") else model.model


def summary(path: Path) -> str:
    """A line per language: answers, their mean length, and how they ended."""
    import polars as pl

    rows = (
        pl.read_parquet(path)
        .group_by("language", maintain_order=True)
        .agg(
            pl.len(),
            pl.col("num_tokens").mean(),
            pl.col("stopped").is_in(["end", "stop"]).sum().alias("ended"),
            (pl.col("stopped") == "length").sum().alias("cut"),
            (pl.col("answer").str.strip_chars() == "").sum().alias("empty"),
        )
    )
    lines = [f"{'language':<10}{'answers':>9}{'tokens':>9}{'ended':>8}{'cut':>6}{'empty':>7}"]
    for tag, num, tokens, ended, cut, empty in rows.iter_rows():
        mean = "–" if tokens is None else f"{tokens:.1f}"
        lines.append(f"{tag:<10}{num:>9,}{mean:>9}{ended:>8,}{cut:>6,}{empty:>7,}")
    return "\n".join(lines) + "\n"
