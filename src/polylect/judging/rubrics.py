"""Rubrics by which a single answer is scored: published ones, and files of your own."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType

from polylect.base import InputError, decode, did_you_mean, digest_of, read_json
from polylect.base import language as language_of
from polylect.judging.protocols import fill_template
from polylect.judging.readings import read_number, read_rating

LEAD = "Rating:"
_DIGITS = 10


@dataclass(frozen=True)
class Rubric:
    """A protocol of scoring one answer.

    Attributes:
        name: on the command line.
        version: raised when wording or reading change.
        source: where it was published.
        system: the system message; may have ``{language}``.
        user: the question; has ``{prompt}`` and ``{answer}``, may have ``{language}``.
        lowest: lowest number of the scale.
        highest: highest number; the scale has all whole numbers between.
        max_new_tokens: longest answer of the judge.
        ending: asks for the rating after the question; not used if the number is read off its
            probability.
    """

    name: str
    version: int
    source: str
    system: str
    user: str
    lowest: int
    highest: int
    max_new_tokens: int
    ending: str = ""

    @property
    def label(self) -> str:
        """Name and version, e.g. ``aya@3``."""
        return f"{self.name}@{self.version}"

    @property
    def digits(self) -> tuple[str, ...]:
        """The numbers of the scale as single characters, to be read by their probability.

        Raises:
            InputError: a number has several characters.
        """
        if self.lowest < 0 or self.highest >= _DIGITS:
            raise InputError(
                f"{self.label}: the scale from {self.lowest} to {self.highest} has numbers of"
                " several characters",
                "--verdict text, or a rubric from 1 to 5",
            )
        return tuple(map(str, range(self.lowest, self.highest + 1)))

    def messages(
        self, language: str, prompt: str, answer: str, *, by_digit: bool = False
    ) -> tuple[str, str]:
        """System message and question; braces in prompt and answer stay as they are.

        Args:
            language: tag.
            prompt: what the model was asked.
            answer: what is scored.
            by_digit: ask for the number alone, to be read by its probability.
        """
        parts = {"language": language_of(language).name, "prompt": prompt, "answer": answer}
        system, user = fill_template(self.system, parts), fill_template(self.user, parts)
        ending = self.ending
        if by_digit:
            ending = f"State the rating from {self.lowest} to {self.highest} and nothing else."
        return system, f"{user}\n\n{ending}" if ending else user

    def read(self, answer: str, *, by_digit: bool = False) -> tuple[float | None, bool]:
        """The rating in a judge's answer, and whether it is off the scale (None then).

        Args:
            answer: of the judge.
            by_digit: the number alone was asked for: it begins the answer.
        """
        read = read_number if by_digit else read_rating
        return read(answer, self.lowest, self.highest)


_MT_BENCH_USER = """\
[Instruction]
Please act as an impartial judge and evaluate the quality of the response provided by an AI \
assistant to the user question displayed below. Your evaluation should consider factors such as \
the helpfulness, relevance, accuracy, depth, creativity, and level of detail of the response. \
Begin your evaluation by providing a short explanation. Be as objective as possible. After \
providing your explanation, you must rate the response on a scale of 1 to 10 by strictly following \
this format: "[[rating]]", for example: "Rating: [[5]]".

[Question]
{prompt}

[The Start of Assistant's Answer]
{answer}
[The End of Assistant's Answer]"""
_AYA_USER = """\
Rate the following answer to an instruction in {language} from 1 to 5:
1: not in {language}, or not readable
2: in {language}, and it does not answer the request
3: it answers a part of the request, or has errors of fact or of meaning
4: it answers the request, with errors of grammar or style
5: it answers the request, is factually and semantically sound, grammatical and fluent.

Instruction: {prompt}

Answer: {answer}"""
_ENDING = 'First give a one-sentence explanation, then the rating in the format "Rating: [[{0}]]".'
_ALL = (
    Rubric(
        name="mt-bench",
        version=3,
        source="MT-bench's single-answer grading (Zheng et al. 2023, arXiv 2306.05685, figure 6)",
        system="You are a helpful assistant.",
        user=_MT_BENCH_USER,
        lowest=1,
        highest=10,
        max_new_tokens=1024,
    ),
    Rubric(
        name="aya",
        version=3,
        source="the four criteria of Aya's pairwise judge (arXiv 2402.07827) as five levels: ours",
        system="You are a helpful assistant that rates answers in {language}.",
        user=_AYA_USER,
        lowest=1,
        highest=5,
        max_new_tokens=256,
        ending=_ENDING.format(3),
    ),
)
RUBRICS: Mapping[str, Rubric] = MappingProxyType({rubric.name: rubric for rubric in _ALL})
"""The rubrics by name."""


@dataclass(frozen=True)
class _RubricFile:
    """Content of a rubric's file."""

    name: str
    criteria: str
    levels: dict[str, str] = field(default_factory=dict)


def read_rubric(path: Path) -> Rubric:
    """The rubric in a JSON file with ``name``, ``criteria`` and ``levels`` (number to meaning).

    Raises:
        InputError: not such a file, or its levels are not consecutive whole numbers.
    """
    data = read_json(path)
    content = decode(_RubricFile, data, str(path))
    try:
        numbers = sorted(int(key) for key in content.levels)
    except ValueError:
        numbers = []
    if len(numbers) < 2 or numbers != list(range(numbers[0], numbers[-1] + 1)):
        raise InputError(
            f"{path}: levels are {', '.join(content.levels) or 'none'}",
            'give consecutive whole numbers: {"1": "bad", "2": "good"}',
        )
    levels = "\n".join(f"{number}: {content.levels[str(number)]}" for number in numbers)
    parts = [_plain(content.criteria), _plain(levels), "Instruction: {prompt}", "Answer: {answer}"]
    return Rubric(
        name=f"{content.name}-{digest_of(data)[:8]}",
        version=3,
        source=path.name,
        system="You are a helpful assistant that rates answers in {language}.",
        user="\n\n".join(parts),
        lowest=numbers[0],
        highest=numbers[-1],
        max_new_tokens=256,
        ending=_ENDING.format(numbers[0]),
    )


def _plain(text: str) -> str:
    """A text without the placeholders of prompt and answer; ``{language}`` stays."""
    return text.replace("{prompt}", "{ prompt }").replace("{answer}", "{ answer }")


def find_rubric(name: str) -> Rubric:
    """The rubric of a name, or of a file that ends in ``.json``.

    Raises:
        InputError: there is none of that name; suggests the nearest.
    """
    if name.endswith(".json"):
        return read_rubric(Path(name))
    rubric = RUBRICS.get(name)
    if rubric is None:
        raise InputError(
            f"no rubric {name!r}",
            did_you_mean(name, RUBRICS) or f"known are {', '.join(RUBRICS)}, or FILE.json",
        )
    return rubric
