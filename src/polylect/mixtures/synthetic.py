"""Synthetic code as a stream of its own: Python problems composed here, every solution run.

"To Code, or Not To Code" (section 2.1) has 3.2 billion tokens of Python problems that were formally
verified and are not public. These are smaller: chains of one to four pieces over integers, lists,
texts and words, each with a task in words, a solution in one of two styles, and tests whose results
another implementation gives. What a model can learn from them is bound by the pieces.
"""

import random
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from polylect.base import CODE, InputError, Ledger, digest_of
from polylect.mixtures._synthetic_pieces import INT, INTS, PIECES, TEXT, WORDS, Piece
from polylect.rows import Document
from polylect.runs import Limits, require_sandbox, run_program

VERSION = 1
"""Raised when the problems of a seed change."""

LICENSE = "Apache-2.0"
LONGEST_CHAIN = 4
NUM_TESTS = 4
_BATCH, _LONGEST_RESULT, _LARGEST = 50, 80, 5000
_ARGUMENTS = {INTS: "numbers", INT: "number", TEXT: "text", WORDS: "words"}
_WORDS = ("tree", "river", "Ada", "level", "code", "a", "Noon", "stone", "banana", "it", "queue",
          "Zebra", "io", "sky", "hello", "hello")  # fmt: skip
_OPENINGS = (
    "Write a function {name}({argument}) for a {type}: {steps}.",
    "Given a {type}, {steps}. Call the function {name}.",
    "{name} takes a {type}. It should {steps}.",
    "Task: {steps}. The argument is a {type}, the function is called {name}.",
)


@dataclass(frozen=True)
class Problem:
    """A problem with a solution that has not been run yet.

    Attributes:
        key: its pieces and numbers; two problems differ in it.
        task: in words.
        solution: a function, and what it imports.
        tests: assertions.
    """

    key: str
    task: str
    solution: str
    tests: str

    @property
    def text(self) -> str:
        """What a model reads."""
        return f"# {self.task}\n{self.solution}\n\n\n{self.tests}"


@dataclass(frozen=True)
class SyntheticPrograms:
    """Distinct problems with verified solutions; language ``code``. Deterministic by seed.

    Attributes:
        num_problems: how many are composed; those whose solution fails are dropped and counted.
        seed: of the choice.
        name: ``source`` field of its documents.
    """

    num_problems: int = 2000
    seed: int = 0
    offered: ClassVar[frozenset[str]] = frozenset({CODE.tag})
    name: str = "synthetic"

    @property
    def digest(self) -> str:
        """Digest of what decides the problems: the version, their number and the seed."""
        return digest_of([self.name, VERSION, self.num_problems, self.seed])

    def documents(self, languages: Collection[str], ledger: Ledger) -> Iterator[Document]:
        """A document per problem whose solution passed its tests in the confined child.

        Raises:
            InputError: programs cannot be confined on this system.
        """
        if CODE.tag not in languages:
            return
        try:
            require_sandbox()
        except InputError as error:
            raise InputError(
                f"no synthetic problems: {error.message}",
                "give your own: --synthetic-code FOLDER",
            ) from None
        problems = compose(self.num_problems, self.seed)
        ledger.count("composed: problems", len(problems), self.name)
        for start in range(0, len(problems), _BATCH):
            batch = problems[start : start + _BATCH]
            for problem, passed in zip(batch, passing(batch), strict=True):
                if not passed:
                    ledger.count("dropped: the solution failed its tests", 1, self.name)
                    continue
                yield Document(
                    id=problem.key, language=CODE.tag, source=self.name, text=problem.text,
                    license=LICENSE,
                )  # fmt: skip


def compose(num_problems: int, seed: int) -> list[Problem]:
    """Distinct problems, as many as asked for, or as many as there are.

    The first are the same whatever their number. A chain whose tests all have the same result, or
    that has none for the arguments at hand, is passed over.
    """
    draw = random.Random(f"synthetic {seed}")
    problems: dict[str, Problem] = {}
    tries = 0
    while len(problems) < num_problems and tries < 20 * num_problems + 1000:
        tries += 1
        chain = _chain(draw)
        problem = _problem(chain, draw)
        if problem is not None:
            problems.setdefault(problem.key, problem)
    return list(problems.values())


def passing(problems: Sequence[Problem]) -> list[bool]:
    """Whether each solution passes its tests, run in the confined child.

    All run in one child, each in a namespace of its own; where one fails, the two halves do.
    """
    programs = [f"{problem.solution}\n\n{problem.tests}" for problem in problems]
    if len(programs) == 1:
        return [run_program(programs[0]).passed]
    together = f"for program in {programs!r}:\n    exec(compile(program, 'problem', 'exec'), {{}})"
    if run_program(together, Limits(seconds=20)).passed:
        return [True] * len(problems)
    middle = len(problems) // 2
    return [*passing(problems[:middle]), *passing(problems[middle:])]


def _chain(draw: random.Random) -> list[tuple[Piece, int]]:
    """Pieces that fit each other, each with its number; no piece twice."""
    length = draw.choices((1, 2, 3, LONGEST_CHAIN), (1, 4, 5, 3))[0]
    chain: list[tuple[Piece, int]] = []
    kind = draw.choice((INTS, INTS, INT, TEXT, WORDS))
    while len(chain) < length:
        used = [piece.name for piece, _ in chain]
        fitting = [piece for piece in PIECES if piece.takes == kind and piece.name not in used]
        piece = draw.choice(fitting)
        chain.append((piece, draw.choice(piece.numbers) if piece.numbers else 0))
        kind = piece.gives
    return chain


def _problem(chain: Sequence[tuple[Piece, int]], draw: random.Random) -> Problem | None:
    """The problem of a chain; None where its tests would say nothing."""
    first = chain[0][0]
    cases: list[tuple[Any, Any]] = []
    for _ in range(NUM_TESTS):
        argument = _argument(first.takes, draw)
        value = argument
        try:
            for piece, number in chain:
                if isinstance(value, int) and abs(value) > _LARGEST:
                    return None
                value = piece.run(value, number)
        except (ValueError, IndexError, OverflowError, RecursionError):
            return None
        if len(repr(value)) > _LONGEST_RESULT:
            return None
        cases.append((argument, value))
    if len({repr(value) for _, value in cases}) == 1:
        return None
    key = "_".join(f"{piece.name}{number or ''}" for piece, number in chain)
    name = "_".join(piece.name for piece, _ in chain) + ("_of" if len(chain) == 1 else "")
    argument = _ARGUMENTS[first.takes]
    steps = [piece.says.format(k=number) for piece, number in chain]
    article = _OPENINGS[draw.randrange(len(_OPENINGS))]
    task = article.format(name=name, argument=argument, type=first.takes, steps=_listed(steps))
    task = task.replace("a integer", "an integer").replace("a text", "a text")
    solution = _solution(name, argument, chain, task, draw)
    tests = "\n".join(f"assert {name}({given!r}) == {value!r}" for given, value in cases)
    return Problem(key, task, solution, tests)


def _listed(steps: Sequence[str]) -> str:
    return steps[0] if len(steps) == 1 else "; then ".join(steps)


def _solution(
    name: str,
    argument: str,
    chain: Sequence[tuple[Piece, int]],
    task: str,
    draw: random.Random,
) -> str:
    """The text of a function: every piece as an expression or as a loop."""
    lines: list[str] = []
    value = argument
    for number, (piece, k) in enumerate(chain, start=1):
        out = "result" if number == len(chain) else f"step_{number}"
        fields = {"a": value, "k": k, "out": out}
        if piece.loop and (not piece.code or draw.random() < 0.5):
            lines += piece.loop.format(**fields).split("\n")
        else:
            lines.append(f"{out} = {piece.code.format(**fields)}")
        value = out
    used = "\n".join(lines)
    imports = {line for piece, _ in chain for line in piece.imports.split("\n")
               if line and f"{line.removeprefix('import ')}." in used}  # fmt: skip
    body = "\n".join(f"    {line}" for line in [*lines, "return result"])
    head = "".join(f"{line}\n" for line in sorted(imports)) + ("\n\n" if imports else "")
    return f"{head}def {name}({argument}):\n{body}"


def _argument(kind: str, draw: random.Random) -> Any:
    if kind == INT:
        return draw.randint(1, 60)
    if kind == INTS:
        return [draw.randint(-6, 14) for _ in range(draw.randint(2, 8))]
    words = [draw.choice(_WORDS) for _ in range(draw.randint(2, 6))]
    return " ".join(words) if kind == TEXT else words
