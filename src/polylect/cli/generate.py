"""``polylect generate``: answers of a checkpoint, or of a server, to the prompts of a file."""

import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import tyro

from polylect.api.without_effect import GREEDY, refuse_without_effect
from polylect.base import Count
from polylect.cli.fields import Switch
from polylect.cli.model_options import OF_NO_SERVER, EngineOptions, ServerOptions, Unnamed
from polylect.cli.options import parse
from polylect.cli.results import finish, is_already_there, print_lines
from polylect.cli.values import comma_separated
from polylect.engine import Sampling

if TYPE_CHECKING:
    from polylect.engine import GenerateConfig, Server
    from polylect.runs import Files


@dataclass(frozen=True, kw_only=True)
class Options:
    """Answer the prompts of a file with a checkpoint, or with an OpenAI-style server.

    A prompt is a JSON line with id, language, and prompt (text) or messages (several turns);
    system, category and origin are optional. Writes answers.parquet. If the command is interrupted,
    the same command continues it. A server's key is read from the environment variable
    POLYLECT_API_KEY.
    """

    model: tyro.conf.Positional[Annotated[str, tyro.conf.arg(metavar="MODEL")]]
    """A folder in Hugging Face layout, or a server's address, http://HOST:PORT/v1."""
    prompts: Path
    """File of prompts: JSON lines or Parquet."""
    out: Path
    """Folder for answers.parquet."""
    sampling: Unnamed[Sampling] = field(default_factory=Sampling)
    template: str = "own"
    """How a prompt is written: own (the checkpoint's chat template), plain (turns without one),
    aya, a Jinja file, or none (the text itself, to be continued)."""
    languages: str = ""
    """Languages to answer, as comma-separated tags. Default: all in the file."""
    limit: Count | None = None
    """Answer only the first prompts of each language. Default: all."""
    name: str | None = None
    """Name of the model in the rows. Default: the folder's or the served model's name."""
    engine: Unnamed[EngineOptions] = field(default_factory=EngineOptions)
    served_model: str | None = None
    """Name of the model on the server. Default: the one that it serves."""
    server: Unnamed[ServerOptions] = field(default_factory=ServerOptions)
    force: Switch = False
    """Replace what --out holds, once the new answers are complete."""
    dry_run: Switch = False
    """Show what would be asked; ask and write nothing."""


def main(arguments: Sequence[str]) -> int:
    """Exit code of ``polylect generate``."""
    options = parse(Options, arguments, "generate")
    from polylect.base import Ledger
    from polylect.engine import ANSWERS, chosen_prompts, forecast, generate
    from polylect.runs import Call, Files

    model = _model(options)
    config = _config(options, model)
    ledger = Ledger()
    prompts = chosen_prompts(config, options.prompts, ledger)
    inputs: dict[str, Any] = {"model": model, "prompts": Files(options.prompts)}
    call = Call(generate, options.out.name, config, inputs)
    if options.dry_run:
        if is_already_there(call, options.out, force=options.force):
            return 0
        folder = model.path if isinstance(model, Files) else model
        lines = forecast(prompts, folder, config, ledger)
        print_lines([*lines, f"would write {options.out / ANSWERS}"])
        return 0
    artifact = finish(call, options.out, force=options.force)
    sys.stdout.write(_summary(artifact.path / ANSWERS))
    print_lines([*artifact.ledger.lines(), artifact.path / ANSWERS])
    return 0


def _model(options: Options) -> "Files | Server":
    """The checkpoint's files, or the server, that options name.

    Raises:
        InputError: no such folder, not an address, or options of a server for a folder.
    """
    from polylect.base import InputError
    from polylect.checkpoints import Checkpoint
    from polylect.engine import is_address
    from polylect.runs import Files

    if is_address(options.model):
        return options.server.server(options.model, options.served_model)
    served = {} if options.served_model is None else {"served_model": options.served_model}
    for name in served | options.server.given():
        raise InputError(
            f"--{name.replace('_', '-')} belongs to a server, {options.model} is a folder",
            "leave it out, or give http://HOST:PORT/v1",
        )
    return Files(Checkpoint.open(Path(options.model)).path)


def _config(options: Options, model: "Files | Server") -> "GenerateConfig":
    """The configuration that options stand for.

    Raises:
        InputError: a template that a server cannot use.
    """
    from polylect.base import InputError
    from polylect.engine import EngineConfig, GenerateConfig, Server

    if options.sampling.temperature == 0:
        refuse_without_effect("generate", options, GREEDY, "sampling")
    if isinstance(model, Server):
        refuse_without_effect("generate", options, OF_NO_SERVER, "engine")
        if options.template not in {"own", "none"}:
            raise InputError(
                f"--template {options.template}: a server writes its turns itself",
                "--template own (as a chat) or none (as text to be continued)",
            )
        # Some servers call a model by its path.
        name = model.model.rpartition("/")[2] if model.model.startswith("/") else model.model
        engine = EngineConfig()
    else:
        name, engine = model.path.resolve().name, options.engine.config()
    return GenerateConfig(
        name=options.name or name,
        sampling=options.sampling,
        template=options.template,
        languages=comma_separated(options.languages),
        limit=options.limit,
        engine=engine,
    )


def _summary(path: Path) -> str:
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
