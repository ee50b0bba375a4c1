"""The languages that a search of merges is scored on, and their text."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from polylect.base import CODE, InputError, did_you_mean, language
from polylect.checkpoints import Checkpoint
from polylect.evals import find_task
from polylect.mixtures import (
    CatalogSource,
    CollectConfig,
    FolderSource,
    StandardLibrary,
    TokenizeConfig,
    TokenStore,
    collect_text,
    tokenize_text,
)
from polylect.rows import Split
from polylect.runs import Artifact, Run


def tag_of(name: str, where: str) -> str:
    """The tag of a language, or code."""
    return name if name == CODE.tag else language(name, where).tag


def task_languages(
    tasks: Sequence[str], names: Sequence[str], held_out: Sequence[str]
) -> tuple[str, ...]:
    """The languages named, else all that a task has; without the held-out ones."""
    available = list(dict.fromkeys(tag for task in tasks
                                   for tag in find_task(task).languages))  # fmt: skip
    named = [tag_of(tag, "--languages") for tag in names]
    return _without(named or available, held_out, available)


def tokenized_text(
    run: Run,
    text: Path | None,
    names: Sequence[str],
    model: Checkpoint,
    held_out: Sequence[str],
) -> tuple[Artifact, tuple[str, ...]]:
    """The text tokenized for the models, and its languages without the held-out ones.

    It is split as in a lifecycle with seed 0, so that its models are not scored on text they were
    trained on.
    """
    sources = [FolderSource(text)] if text else [CatalogSource(), StandardLibrary()]
    named = tuple(tag_of(tag, "--languages") for tag in names)
    corpus = run.step(
        collect_text,
        "text",
        CollectConfig(languages=(*named, *held_out) if named else ()),
        {source.name: source for source in sources},
    )
    tokens = run.step(
        tokenize_text,
        "tokens",
        TokenizeConfig(),
        {"corpus": corpus, "tokenizer": TokenizerInput(model.path, model.tokenizer_digest)},
    )
    documents = TokenStore(tokens.path, Split.VALIDATION).documents
    available = documents["language"].unique().sort().to_list()
    return tokens, _without(named or available, held_out, available)


def _without(
    languages: Sequence[str], held_out: Sequence[str], available: Sequence[str]
) -> tuple[str, ...]:
    """The languages to search on.

    Raises:
        InputError: a held-out language is not available, or no language is left.
    """
    for tag in held_out:
        if tag not in available:
            hint = did_you_mean(tag, available) or f"there are {' '.join(available)}"
            raise InputError(f"--held-out-languages {tag}: nothing in this language", hint)
    remaining = tuple(tag for tag in languages if tag not in held_out)
    if not remaining:
        raise InputError("search: every language is held out", "leave some to search on")
    return remaining


@dataclass(frozen=True)
class TokenizerInput:
    """A checkpoint's tokenizer as an input of a step, whose identity does not include the weights.

    Attributes:
        path: the checkpoint's folder.
        digest: of the tokenizer's files.
    """

    path: Path
    digest: str
