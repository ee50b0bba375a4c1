"""Generation as a step of a run; imports torch only when it runs."""

from collections import Counter
from pathlib import Path
from typing import TypedDict

from polylect.base import InputError, Ledger
from polylect.base import language as language_of
from polylect.engine.answering import answer_prompts
from polylect.engine.config import GenerateConfig
from polylect.engine.server import Server
from polylect.rows import Generated, Prompt, read_prompts, write_rows
from polylect.runs import FileInput, StepContext, step

ANSWERS = "answers.parquet"


class GenerateInputs(TypedDict):
    """What ``generate`` reads: the prompts, and a checkpoint's folder or a server."""

    model: FileInput | Server
    prompts: FileInput


@step(version=2)
def generate(config: GenerateConfig, inputs: GenerateInputs, context: StepContext) -> None:
    """Writes ``answers.parquet``; inputs ``model`` (a folder or a server) and ``prompts``."""
    prompts = chosen_prompts(config, inputs["prompts"].path, context.ledger)
    model = model_place(inputs["model"])
    answers = answer_prompts(prompts, model, config, context.work, context.report, context.ledger)
    write_rows(context.out / ANSWERS, Generated, answers)


def model_place(model: FileInput | Server) -> Path | Server:
    """The folder of a local model; a server as it is."""
    return model if isinstance(model, Server) else model.path


def chosen_prompts(config: GenerateConfig, path: Path, ledger: Ledger) -> list[Prompt]:
    """The prompts of a file that the configuration selects, in the file's order.

    Raises:
        InputError: a row is invalid, or there is no prompt in a selected language.
    """
    if config.limit is not None and config.limit < 1:
        raise InputError(f"--limit is {config.limit}", "give 1 or more")
    prompts = read_prompts(path, require_ids=True, ledger=ledger)
    if config.languages:
        wanted = {language_of(tag, "--languages").tag for tag in config.languages}
        available = dict.fromkeys(prompt.language for prompt in prompts)
        absent = sorted(wanted - available.keys())
        if absent:
            raise InputError(
                f"{path}: no prompt in {' '.join(absent)}", f"it has {' '.join(available)}"
            )
        prompts = [prompt for prompt in prompts if prompt.language in wanted]
    return _first_of_each(prompts, config.limit)


def _first_of_each(prompts: list[Prompt], limit: int | None) -> list[Prompt]:
    """The first ``limit`` prompts of every language; all without a limit."""
    if limit is None:
        return prompts
    counts: Counter[str] = Counter()
    first = []
    for prompt in prompts:
        counts[prompt.language] += 1
        if counts[prompt.language] <= limit:
            first.append(prompt)
    return first
