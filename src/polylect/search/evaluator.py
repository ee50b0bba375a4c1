"""The loop of a search: an optimizer asks, candidates are scored into the archive, it is told."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from polylect.base import one_blas_thread
from polylect.rows import ScoreTable
from polylect.runs import Fanout, Processes, Reporter, Silent
from polylect.search.archive import Archive, Entry, Vector

Objective = Callable[[Vector], ScoreTable]
"""Scores of one candidate, on the same items every time.

Equal candidates must give equal scores. With a fan-out over processes it is pickled.
"""


class Optimizer(Protocol):
    """Proposes candidates and learns from their scores; only the archive is stored.

    After a kill the optimizer is created anew and asks the same questions: those that the archive
    knows are answered at once, so that it comes to where it was. What it asks must therefore depend
    on its configuration and what it was told, and on nothing else.
    """

    @property
    def done(self) -> bool:
        """Whether it has nothing left to ask."""
        ...

    def ask(self) -> list[Vector]:
        """The candidates of a generation."""
        ...

    def tell(self, entries: Sequence[Entry]) -> None:
        """Take their scores, in the order in which they were asked for."""
        ...


@dataclass(frozen=True)
class Evaluator:
    """Evaluates the candidates that the archive does not know yet, and adds them to it.

    Attributes:
        archive: the candidates evaluated so far.
        objective: scores one candidate.
        fanout: where candidates are scored; default: one after another in this process.
        batch_size: candidates between two writes of the archive; what a kill can lose.
        report: receives the progress.
        total: number of candidates expected, for the report.
    """

    archive: Archive
    objective: Objective
    fanout: Fanout = field(default_factory=lambda: Processes(1))
    batch_size: int = 1
    report: Reporter = field(default_factory=Silent)
    total: int = 0

    def __call__(self, candidates: Sequence[Vector], stage: str, round_: int = 0) -> list[Entry]:
        """The entries of the candidates, in their order.

        The archive grows in the order of the candidates, whatever the number of processes.

        Args:
            candidates: vectors of one number for each label of the archive.
            stage: what asks; stored with the candidates that were not known.
            round_: the generation.

        Raises:
            InputError: see ``Archive.add``, and what the objective raises.
        """
        new = [vector for vector in dict.fromkeys(candidates) if self.archive.find(vector) is None]
        for start in range(0, len(new), self.batch_size):
            batch = new[start : start + self.batch_size]
            tables = self.fanout(self.objective, batch)
            self.archive.add(list(zip(batch, tables, strict=True)), stage, round_)
            num_done = len(self.archive)
            self.report.update(num_done, max(num_done, self.total), "merges", stage)
        entries = [self.archive.find(candidate) for candidate in candidates]
        assert None not in entries, "every candidate was evaluated"
        return [entry for entry in entries if entry is not None]


def run_optimizer(optimizer: Optimizer, evaluate: Evaluator, stage: str) -> list[Entry]:
    """Run an optimizer until it is done; all entries that it asked for, in order.

    The optimizer computes with one BLAS thread: sums in another order could change what it asks.

    Raises:
        InputError: what the objective raises.
    """
    asked: list[Entry] = []
    round_ = 0
    while not optimizer.done:
        with one_blas_thread():
            candidates = optimizer.ask()
        entries = evaluate(candidates, stage, round_)
        with one_blas_thread():
            optimizer.tell(entries)
        asked += entries
        round_ += 1
    return asked
