"""``generate``: answers of a checkpoint, or of a server, to the prompts of a file."""

from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from polylect.api.fields import Group, Output, Positional
from polylect.api.models import OF_NO_SERVER, EngineOptions, ServerOptions
from polylect.api.paths import file_in
from polylect.api.results import Plan, Result, run_call
from polylect.api.tags import note_readings
from polylect.api.text_tables import text_table
from polylect.api.verbs import verb
from polylect.api.without_effect import GREEDY, refuse_without_effect
from polylect.base import Count
from polylect.engine import Sampling

if TYPE_CHECKING:
    import polars

    from polylect.engine import GenerateConfig, Server
    from polylect.runs import Files


@dataclass(frozen=True, kw_only=True)
class GenerateOptions:
    """Answer the prompts of a file with a checkpoint, or with an OpenAI-style server.

    A prompt is a row with id, language, and prompt (text) or messages (several turns); system,
    category and origin are optional. Writes answers.parquet. If the command is interrupted, the
    same command continues it. A server's key is read from the environment variable
    POLYLECT_API_KEY.

    Examples:
        polylect generate base prompts.jsonl
        polylect generate base prompts.jsonl --languages de,tr --temperature 0.8 --num-samples 4
        polylect generate http://127.0.0.1:8000/v1 prompts.jsonl --out answers/served
    """

    model: Positional[str]
    """A folder in Hugging Face layout, or a server's address, http://HOST:PORT/v1."""
    prompts: Positional[Path]
    """Prompts: JSON lines, Parquet, or a folder of 'polylect prompts'."""
    template: str = "own"
    """Chat template: own (the checkpoint's), plain (turns without one),
    aya, a Jinja file, or none (the text itself, to be continued)."""
    languages: tuple[str, ...] = ()
    """Language tags. Default: all of the prompts."""
    limit: Count | None = None
    """Only the first prompts of each language. Default: all."""
    name: str | None = None
    """Name of the model in the rows. Default: the folder's or the served model's name."""
    served_model: str | None = None
    """Name of the model on the server. Default: the one that it serves."""
    sampling: Group[Sampling] = field(default_factory=Sampling)
    engine: Group[EngineOptions] = field(default_factory=EngineOptions)
    server: Group[ServerOptions] = field(default_factory=ServerOptions)
    output: Group[Output] = field(default_factory=Output)


class Answers(Result):
    """Answers of a model: a row per prompt and sample."""

    @property
    def file(self) -> Path:
        """The answers, as Parquet."""
        from polylect.engine import ANSWERS

        return self.path / ANSWERS

    @cached_property
    def _table(self) -> "polars.DataFrame":
        import polars

        return polars.read_parquet(self.file)

    @property
    def model(self) -> str:
        """The model's name in the rows; empty where there are none."""
        return self._table["model"][0] if self._table.height else ""

    @property
    def languages(self) -> "polars.DataFrame":
        """By language: answers, their mean length in tokens, and how many ended, were cut, empty.

        The mean is None where a server did not count the tokens.
        """
        import polars as pl

        return self._table.group_by("language", maintain_order=True).agg(
            pl.len().alias("answers"),
            pl.col("num_tokens").mean().alias("tokens"),
            pl.col("stopped").is_in(["end", "stop"]).sum().alias("ended"),
            (pl.col("stopped") == "length").sum().alias("cut"),
            (pl.col("answer").str.strip_chars() == "").sum().alias("empty"),
        )

    def table(self) -> "polars.DataFrame":
        """The answers: id, language, sample, model, answer and how it ended, the prompt."""
        return self._table

    def lines(self) -> list[str]:
        """A line per language, and what was counted."""
        rows = [
            (tag, f"{num:,}", "–" if tokens is None else f"{tokens:.1f}",
             *(f"{count:,}" for count in counts))
            for tag, num, tokens, *counts in self.languages.iter_rows()
        ]  # fmt: skip
        table = text_table(tuple(self.languages.columns), rows, "lrrrrr")
        return [*table, *self.ledger.lines(), str(self.file)]


@verb("generate", GenerateOptions)
def generate(options: GenerateOptions) -> Answers | Plan:
    """Answer prompts with a checkpoint, or with an OpenAI-style server.

    Returns ``Answers``: ``.table()`` has a row per answer, ``.languages`` counts them.

        rows = [{"id": "1", "language": "de", "prompt": "Warum ist der Himmel blau?"}]
        pl.generate("base", rows, max_new_tokens=64).table()["answer"]
    """
    note_readings(options.languages, "--languages")
    from polylect.base import Ledger
    from polylect.engine import ANSWERS, chosen_prompts, forecast
    from polylect.engine import generate as generate_step
    from polylect.runs import Call, Files

    model = _model(options)
    config = _config(options, model)
    ledger = Ledger()
    file = file_in(options.prompts, PROMPTS)
    prompts = chosen_prompts(config, file, ledger)

    def plan(out: Path) -> list[str]:
        place = model.path if isinstance(model, Files) else model
        return [*forecast(prompts, place, config, ledger), f"would write {out / ANSWERS}"]

    call = Call(generate_step, "generate", config, {"model": model, "prompts": Files(file)})
    return run_call(call, options.output, "generate", Answers, plan)


PROMPTS = "prompts.jsonl"
"""The file in a folder of ``polylect prompts``."""


def _model(options: GenerateOptions) -> "Files | Server":
    """The checkpoint's files, or the server, that options name.

    Raises:
        InputError: no such folder, not an address, or options of a server for a folder.
    """
    from polylect.base import InputError
    from polylect.checkpoints import Checkpoint
    from polylect.engine import read_address
    from polylect.runs import Files

    if options.served_model is not None and not options.served_model.strip():
        raise InputError("--served-model is empty", "--served-model NAME, or leave it out")
    address = read_address(options.model, model_option="--served-model")
    if address is not None:
        return options.server.server(address[0], options.served_model, "--served-model NAME")
    served = {} if options.served_model is None else {"served_model": options.served_model}
    for name in served | options.server.given():
        raise InputError(
            f"--{name.replace('_', '-')} belongs to a server, {options.model} is a folder",
            "leave it out, or give http://HOST:PORT/v1",
        )
    return Files(Checkpoint.open(Path(options.model)).path)


def _config(options: GenerateOptions, model: "Files | Server") -> "GenerateConfig":
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
        languages=options.languages,
        limit=options.limit,
        engine=engine,
    )
