"""Published protocols of pairwise judging: how a judge is asked and how its answer is read."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType

from polylect.base import InputError, did_you_mean
from polylect.base import language as language_of
from polylect.judging.readings import Reading, read_label, read_letter, read_preferred


@dataclass(frozen=True)
class Preset:
    """A protocol of judging two answers.

    Attributes:
        name: on the command line.
        version: raised when wording or reading change.
        source: where it was published.
        system: the system message; may have ``{language}``.
        user: the question; has ``{prompt}``, ``{first}`` and ``{second}``, may have
            ``{language}``.
        read: returns the verdict in a judge's answer, INVALID without one.
        max_new_tokens: longest answer of the judge.
        weight: how often a strong verdict counts in the published score.
        lead: beginning of the judge's answer if its verdict is read off the probabilities of
            ``LETTERS``; empty if it writes its verdict itself.
    """

    name: str
    version: int
    source: str
    system: str
    user: str
    read: Callable[[str], Reading]
    max_new_tokens: int
    weight: int = 1
    lead: str = ""

    @property
    def label(self) -> str:
        """Name and version, e.g. ``aya@3``."""
        return f"{self.name}@{self.version}"

    def messages(self, language: str, prompt: str, first: str, second: str) -> tuple[str, str]:
        """System message and question; braces in prompt and answers stay as they are."""
        parts = {
            "language": language_of(language).name,
            "prompt": prompt,
            "first": first,
            "second": second,
        }
        return fill_template(self.system, parts), fill_template(self.user, parts)


def fill_template(template: str, parts: Mapping[str, str]) -> str:
    """The template with every ``{name}`` of ``parts`` replaced, in a single pass.

    What a part contains is never taken for a placeholder.

    >>> fill_template("{prompt} {x}: {answer}", {"prompt": "{answer}", "answer": "yes"})
    '{answer} {x}: yes'
    """
    return re.sub(r"\{(" + "|".join(parts) + r")\}", lambda match: parts[match[1]], template)


_AYA_SYSTEM = (
    "You are a helpful following assistant whose goal is to select the preferred (least wrong)"
    " output for a given instruction in {language}."
)
_AYA_USER = """\
Which of the following answers is the best one for the given instruction in {language}. A good \
answer should follow these rules:
1) It should be in {language}
2) It should answer the request in the instruction
3) It should be factually and semantically comprehensible
4) It should be grammatically correct and fluent.

Instruction: {prompt}

Answer (A): {first}

Answer (B): {second}

FIRST provide a one-sentence comparison of the two answers, explaining which you prefer and why. \
SECOND, on a new line, state only 'Answer (A)' or 'Answer (B)' to indicate your choice. If both \
answers are equally good or bad, state 'TIE'. Your response should use the format:
Comparison: <one-sentence comparison and explanation>
Preferred: <'Answer (A)' or 'Answer (B)' or 'TIE'>"""

_ARENA_SYSTEM = """\
Please act as an impartial judge and evaluate the quality of the responses provided by two AI \
assistants to the user prompt displayed below. You will be given assistant A's answer and \
assistant B's answer. Your job is to evaluate which assistant's answer is better.

Begin your evaluation by generating your own answer to the prompt. You must provide your answers \
before judging any answers.

When evaluating the assistants' answers, compare both assistants' answers with your answer. You \
must identify and correct any mistakes or inaccurate information.

Then consider if the assistant's answers are helpful, relevant, and concise. Helpful means the \
answer correctly responds to the prompt or follows the instructions. Note when user prompt has any \
ambiguity or more than one interpretation, it is more helpful and appropriate to ask for \
clarifications or more information from the user than providing an answer based on assumptions. \
Relevant means all parts of the response closely connect or are appropriate to what is being \
asked. Concise means the response is clear and not verbose or excessive.

Then consider the creativity and novelty of the assistant's answers when needed. Finally, identify \
any missing important information in the assistants' answers that would be beneficial to include \
when responding to the user prompt.

After providing your explanation, you must output only one of the following choices as your final \
verdict with a label:

1. Assistant A is significantly better: [[A>>B]]
2. Assistant A is slightly better: [[A>B]]
3. Tie, relatively the same: [[A=B]]
4. Assistant B is slightly better: [[B>A]]
5. Assistant B is significantly better: [[B>>A]]

Example output: "My final verdict is tie: [[A=B]]"."""
_ARENA_USER = """\
<|User Prompt|>
{prompt}

<|The Start of Assistant A's Answer|>
{first}
<|The End of Assistant A's Answer|>

<|The Start of Assistant B's Answer|>
{second}
<|The End of Assistant B's Answer|>"""
_IN_LANGUAGE = """\
The user prompt is in {language}, and an answer is expected in {language} unless the prompt asks \
for another language: an answer in the wrong language is not helpful.

After providing your explanation"""

_LETTER = (
    "State which answer is better with one letter and nothing else: A, B, or C if both are equally"
    " good or bad."
)


def _with_letters(preset: Preset, system: str, user: str) -> Preset:
    """The protocol asking for one letter: no explanation, no own answer, no strong verdicts."""
    return replace(
        preset,
        name=f"{preset.name}+logprob",
        version=3,
        source=f"the criteria of {preset.source}; one letter by its probability instead of an"
        " explanation, which is ours (AlpacaEval 2 judges by one token as well)",
        system=system,
        user=user,
        read=read_letter,
        max_new_tokens=4,
        weight=1,
        lead="Preferred:",
    )


def _arena_letter_system(system: str) -> str:
    """Arena-hard's system message without the judge's own answer and without its labels."""
    parts = system.split("\n\n")
    head, criteria = parts[0], [part for part in parts[3:] if "[[" not in part]
    criteria = [part for part in criteria if not part.startswith("After providing")]
    return "\n\n".join([head, *criteria, _LETTER]).replace("Then consider", "Consider")


_ARENA = Preset(
    name="arena-hard",
    version=3,
    source="arena-hard-auto v0.1 (Li et al. 2024; Apache-2.0): its prompt, its five labels",
    system=_ARENA_SYSTEM,
    user=_ARENA_USER,
    read=read_label,
    max_new_tokens=4096,
    weight=3,
)
_AYA = Preset(
    name="aya",
    version=3,
    source="Aya (Üstün et al. 2024, arXiv 2402.07827, appendix), in the wording quoted from it",
    system=_AYA_SYSTEM,
    user=_AYA_USER,
    read=read_preferred,
    max_new_tokens=512,
)
_M_ARENA = Preset(
    name="m-arena-hard",
    version=3,
    source="arena-hard's protocol on m-ArenaHard's prompts (Aya Expanse, arXiv 2412.04261);"
    " the sentence on the language is ours",
    system=_ARENA_SYSTEM.replace("After providing your explanation", _IN_LANGUAGE),
    user=_ARENA_USER,
    read=read_label,
    max_new_tokens=4096,
    weight=3,
)
_ALL = (
    _AYA,
    _ARENA,
    _M_ARENA,
    _with_letters(_AYA, _AYA_SYSTEM, f"{_AYA_USER.partition('FIRST provide')[0]}{_LETTER}"),
    _with_letters(_ARENA, _arena_letter_system(_ARENA_SYSTEM), _ARENA_USER),
    _with_letters(_M_ARENA, _arena_letter_system(_M_ARENA.system), _ARENA_USER),
)
PRESETS: Mapping[str, Preset] = MappingProxyType({preset.name: preset for preset in _ALL})
"""The protocols by name."""


def find_preset(name: str, verdict: str = "text") -> Preset:
    """The protocol of a name.

    Args:
        name: of the protocol.
        verdict: how it is read: ``text``, as the judge writes it, or ``logprob``, by the
            probability of a letter.

    Raises:
        InputError: there is none of that name; suggests the nearest.
    """
    preset = PRESETS.get(name if verdict == "text" else f"{name}+{verdict}")
    if preset is None:
        raise InputError(
            f"no preset {name!r}",
            did_you_mean(name, PRESETS) or f"known are {', '.join(PRESETS)}",
        )
    return preset
