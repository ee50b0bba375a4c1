"""What candidates of a merge search are scored on: held-out text, or tasks.

An objective is plain data, so that it can be sent to other processes. Each process loads the model
once and then only changes its weights.
"""

import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from polylect.base import Ledger, derive_seed, digest_of, plain
from polylect.checkpoints import Checkpoint
from polylect.evals import (
    BitsConfig,
    EvalConfig,
    Item,
    PreparedTask,
    evaluate_engine,
    prepare_tasks,
)
from polylect.merging import MergeConfig, model_of_files
from polylect.mixtures import TokenStore
from polylect.recipes.merge_search.candidates import Candidates
from polylect.rows import ScoreTable, Split
from polylect.runs import Silent
from polylect.search import Weights

SEARCH, TEST = "search", "test"
"""The halves of a task's items: searched on, and reported."""


@dataclass(frozen=True, kw_only=True)
class Pool:
    """The checkpoints whose merges are scored.

    Attributes:
        config: how they are merged, without weights.
        models: folders by label, the base among them.
        threads: of merging and of torch.
        written: write every candidate to a file and load it, instead of changing the weights of a
            loaded model in place.
    """

    config: MergeConfig
    models: tuple[tuple[str, Path], ...]
    threads: int = 1
    written: bool = False

    def candidates(self) -> Candidates:
        """The merges of the checkpoints.

        Raises:
            InputError: see ``Candidates``.
        """
        return Candidates(
            self.config, {label: Checkpoint.open(path) for label, path in self.models}
        )

    @property
    def first(self) -> Path:
        """The checkpoint whose config a merge gets: the base, else the first."""
        return dict(self.models).get(self.config.base or "", self.models[0][1])

    @property
    def files(self) -> Path:
        """The checkpoint whose tokenizer and other files a merge gets."""
        folders = dict(self.models)
        first = self.config.base or self.models[0][0]
        return folders[model_of_files(folders, first, self.config.tokenizer_from)]

    def model(self, weights: Weights) -> Any:
        """A loaded model with these weights; the next call changes it.

        Raises:
            InputError: the model cannot be loaded, or not be changed in memory.
        """
        import torch

        from polylect.models import load_model, place_weights

        torch.set_num_threads(self.threads)
        if self.written:
            with tempfile.TemporaryDirectory(prefix="polylect-") as scratch:
                written = self.candidates().write(weights, Path(scratch) / "candidate")
                return load_model(written.checkpoint)
        key = digest_of(plain(self))
        if key not in _LOADED:
            _LOADED.clear()
            _LOADED[key] = (load_model(Checkpoint.open(self.first)), self.candidates())
        model, candidates = _LOADED[key]
        place_weights(model, candidates.tensors(weights, self.threads))
        return model


_LOADED: dict[str, tuple[Any, Candidates]] = {}
_PREPARED: dict[str, list[PreparedTask]] = {}


class Objective(Protocol):
    """Scores of the merge with some weights, and what the scores depend on."""

    @property
    def pool(self) -> Pool:
        """The checkpoints."""
        ...

    def __call__(self, weights: Weights) -> ScoreTable:
        """The score table; its checkpoint is called ``candidate``."""
        ...

    def count(self, ledger: Ledger) -> None:
        """Count what is truncated, missing or left out in the scores of every candidate."""
        ...

    def identity(self) -> dict[str, Any]:
        """Everything but weights and models that decides the scores."""
        ...


@dataclass(frozen=True, kw_only=True)
class BitsObjective:
    """Bits per byte of held-out text.

    Attributes:
        pool: the checkpoints.
        tokens: folder of tokenized text.
        digest: of that text.
        split: which split.
        languages: tags.
        bytes_per_language: how much text of each.
    """

    pool: Pool
    tokens: Path
    digest: str
    split: Split
    languages: tuple[str, ...]
    bytes_per_language: int

    @property
    def config(self) -> BitsConfig:
        """How the text is scored."""
        return BitsConfig(
            name="candidate",
            split=self.split,
            bytes_per_language=self.bytes_per_language,
            threads=self.pool.threads,
        )

    def __call__(self, weights: Weights) -> ScoreTable:
        """The score table of a candidate.

        Raises:
            InputError: see ``Pool.model``.
        """
        from polylect.evals import bits_of_model

        store = TokenStore(self.tokens, self.split)
        model = self.pool.model(weights)
        return bits_of_model(model, store, self.config, Silent(), Ledger(), self.languages)

    def count(self, ledger: Ledger) -> None:
        """Count documents that are scored in several runs."""
        from polylect.evals import scored_segments

        scored_segments(TokenStore(self.tokens, self.split), self.config, ledger, self.languages)

    def identity(self) -> dict[str, Any]:
        """The text and how it is scored."""
        return {
            "text": self.digest,
            "languages": list(self.languages),
            "settings": plain(self.config),
        }


@dataclass(frozen=True, kw_only=True)
class TasksObjective:
    """Choice and likelihood tasks, on one half of their items.

    Attributes:
        pool: the checkpoints.
        config: which tasks, and how.
        half: ``search`` or ``test``; see ``half_of``.
    """

    pool: Pool
    config: EvalConfig
    half: str

    def __call__(self, weights: Weights) -> ScoreTable:
        """The score table of a candidate.

        Raises:
            InputError: see ``Pool.model`` and ``evaluate``.
        """
        from polylect.engine import Engine
        from polylect.text import Tokenizer

        engine = Engine(
            self.pool.model(weights), Tokenizer.load(self.pool.files), self.config.engine
        )
        return evaluate_engine(self.tasks(), engine, self.config, Silent(), Ledger()).scores

    def tasks(self, ledger: Ledger | None = None) -> list[PreparedTask]:
        """The tasks' items by task and language, of this half; read once per process.

        Raises:
            InputError: see ``prepare_tasks``.
        """
        key = digest_of(plain(self))
        if key not in _PREPARED or ledger is not None:
            counted = ledger if ledger is not None else Ledger()
            whole = prepare_tasks(self.config, Checkpoint.open(self.pool.files), counted)
            kept = [task.only(lambda item: half_of(item) == self.half) for task in whole]
            _PREPARED[key] = [task for task in kept if task.items]
            for task in (task for task in kept if not task.items):
                place = task.place
                counted.count(f"left out: too few items for a {self.half} half", 1, place)
        return _PREPARED[key]

    def count(self, ledger: Ledger) -> None:
        """Count missing translations, and whatever ``prepare_tasks`` counts."""
        self.tasks(ledger)

    def identity(self) -> dict[str, Any]:
        """The items and how they are scored."""
        settings = [task.settings | {"language": task.language} for task in self.tasks()]
        return {
            "half": self.half,
            "cells": digest_of(plain(settings)),
            "items": [len(task.items) for task in self.tasks()],
            "engine": plain(self.config.engine),
        }


def half_of(item: Item) -> str:
    """The half that an item is in, drawn from its cluster or, without one, its id.

    The language plays no part: translations of one item, and the items of one document, are in
    the same half.
    """
    return SEARCH if derive_seed(0, "half", item.cluster or item.id) % 2 == 0 else TEST
