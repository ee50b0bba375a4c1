"""Candidates in, archive entries out; and the loop that lets an optimizer ask and tells it."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from polylect.base import one_blas_thread
from polylect.rows import ScoreTable
from polylect.runs import Fanout, Processes, Reporter, Silent
from polylect.search.archive import Archive, Entry
from polylect.search.weight_map import Weights

Objective = Callable[[Weights], ScoreTable]
"""Scores of the merge with these weights, on the same items every time.

Equal weights must give equal scores. With a fan-out over processes it is sent to them by pickle.
"""


class Optimizer(Protocol):
    """What proposes candidates; nothing is kept but in the archive.

    A run that was killed makes the optimizer anew and asks the same questions: what the archive
    knows is answered at once, so that it comes to where it was. What it asks must therefore follow
    from its configuration and what it was told, and from nothing else.
    """

    @property
    def done(self) -> bool:
        """Whether it has no more questions."""
        ...

    def ask(self) -> list[Weights]:
        """The candidates of a generation."""
        ...

    def tell(self, found: Sequence[Entry]) -> None:
        """Their scores, in the order in which they were asked for."""
        ...


@dataclass(frozen=True)
class Evaluator:
    """Evaluates candidates that the archive does not know yet, and remembers them there.

    Attributes:
        archive: what is known.
        objective: scores one candidate.
        fanout: where candidates are scored; by default one after another, here.
        at_once: candidates between two writings of the archive; what a kill can lose.
        report: where it says how far it is.
        total: candidates that are expected, for the report.
    """

    archive: Archive
    objective: Objective
    fanout: Fanout = field(default_factory=lambda: Processes(1))
    at_once: int = 1
    report: Reporter = field(default_factory=Silent)
    total: int = 0

    def __call__(self, candidates: Sequence[Weights], stage: str, round_: int = 0) -> list[Entry]:
        """The entries of the candidates, in their order.

        The archive grows in the order of the candidates, whatever the number of processes.

        Args:
            candidates: weights, one for each model.
            stage: who asks; written beside what was not known.
            round_: which generation.

        Raises:
            InputError: see ``Archive.add``, and what the objective raises.
        """
        new = [one for one in dict.fromkeys(candidates) if self.archive.find(one) is None]
        for start in range(0, len(new), self.at_once):
            part = new[start : start + self.at_once]
            tables = self.fanout(self.objective, part)
            self.archive.add(list(zip(part, tables, strict=True)), stage, round_)
            done = len(self.archive)
            self.report.update(done, max(done, self.total), "merges", stage)
        found = [self.archive.find(one) for one in candidates]
        assert None not in found, "every candidate was evaluated"
        return [one for one in found if one is not None]


def run_optimizer(optimizer: Optimizer, evaluate: Evaluator, stage: str) -> list[Entry]:
    """All that an optimizer asked for, in order, after it has no more questions.

    Its arithmetic runs on one thread of BLAS: sums in another order could change a question.

    Raises:
        InputError: what the objective raises.
    """
    found: list[Entry] = []
    round_ = 0
    while not optimizer.done:
        with one_blas_thread():
            candidates = optimizer.ask()
        entries = evaluate(candidates, stage, round_)
        with one_blas_thread():
            optimizer.tell(entries)
        found += entries
        round_ += 1
    return found
