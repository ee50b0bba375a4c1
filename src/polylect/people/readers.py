"""Published data of people who disagree, in the schemas of their files.

Each reader gives preferences or ratings; what a row does not decide (ties, no answer) is counted.
Nothing is downloaded. Sources: docs/guides/people.md.
"""

import re
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

from polylect.base import (
    InputError,
    Ledger,
    canonical_tag,
    check_known,
    count_look_alikes,
    parse_json,
)
from polylect.people.crowd import Crowd, Text, crowd_of
from polylect.people.published import cell, number, published_rows, whole
from polylect.people.ratings import Rating, crowd_of_ratings
from polylect.rows import Message, Preference, Verdict

EQUAL, TIE = "dropped: both responses are equal", "dropped: tie"
NO_LABEL = "dropped: label that is no number"
NO_USER = "dropped: row without a user"
_PSOUPS = ("P1A", "P1B", "P2A", "P2B", "P3A", "P3B")
_TURNS = ("first", "second", "third", "fourth")
_SAFETY = {"no": 1.0, "unsure": 0.5, "yes": 0.0}
_END = "<|end_of_text|>"


def _asked(*prompts: str) -> tuple[Message, ...]:
    text = "\n\n".join(prompt for prompt in prompts if prompt)
    return (Message("user", text),) if text.strip() else ()


def _prefer(
    user: str, messages: tuple[Message, ...], chosen: str, rejected: str, language: str,
    place: str, ledger: Ledger,
) -> Iterator[Preference]:  # fmt: skip
    """One preference; none, but a count, where nothing can be preferred."""
    if chosen.strip() == rejected.strip():
        ledger.count(EQUAL)
        return
    yield Preference(language=language, messages=messages, answer_a=chosen, answer_b=rejected,
                     verdict=Verdict.A, user=user, place=place)  # fmt: skip


def _language(row: Mapping[str, Any], name: str, place: str) -> str:
    return canonical_tag(str(cell(row, name, place)), f"{place}: {name!r}")


def read_psoups(path: Path, ledger: Ledger) -> Iterator[Preference]:
    """Personalized Soups (Jang et al. 2023): ``user_input``, ``completion_a`` (preferred), ``_b``.

    The user is the file's preference profile (P1A to P3B), or ``user_id`` of P-RLHF's joined file.
    Repeated rows count once, as in P-RLHF.
    """
    profile = next((name for name in _PSOUPS if name in path.stem), "")
    seen = set()
    for place, row in published_rows(path):
        user = whole(row["user_id"]) if "user_id" in row else profile
        if not user:
            raise InputError(
                f"{place}: whose preference is it?", "name the file P1A.json … P3B.json"
            )
        parts = tuple(str(cell(row, name, place)) for name in
                      ("user_input", "completion_a", "completion_b"))  # fmt: skip
        if (user, *parts) in seen:
            ledger.count("dropped: repeated row")
            continue
        seen.add((user, *parts))
        yield from _prefer(user, _asked(parts[0]), parts[1], parts[2], "en", place, ledger)


def read_tldr(path: Path, ledger: Ledger) -> Iterator[Preference]:
    """Comparisons of summaries (Stiennon et al. 2020).

    A row has ``info``, two ``summaries``, ``choice`` (0 or 1) and ``worker``. The prompt is the
    post's title and text, or the article.
    """
    for place, row in published_rows(path):
        info, summaries = cell(row, "info", place), cell(row, "summaries", place)
        choice = cell(row, "choice", place)
        if choice not in (0, 1) or not isinstance(summaries, list) or len(summaries) != 2:
            raise InputError(f"{place}: 'choice' is {choice!r} of {len(summaries)} summaries",
                             "give two summaries, and 0 or 1")  # fmt: skip
        texts = [str(cell(summary, "text", place)) for summary in summaries]
        post = info.get("post") or info.get("article") or ""
        messages = _asked(info.get("title") or "", post)
        user = whole(cell(row, "worker", place))
        yield from _prefer(user, messages, texts[choice], texts[1 - choice], "en", place, ledger)


def read_community_alignment(path: Path, ledger: Ledger) -> Iterator[Preference]:
    """Community Alignment (Zhang et al. 2025): up to four turns of four responses a conversation.

    The preferred response of a turn is chosen over each other one; the conversation goes on with
    it. ``assigned_lang`` is the language, ``annotator_id`` the user.
    """
    for place, row in published_rows(path):
        user, messages = whole(cell(row, "annotator_id", place)), ()
        language = canonical_tag(
            str(cell(row, "assigned_lang", place)), f"{place}: 'assigned_lang'"
        )
        for turn in _TURNS:
            prompt, preferred = (row.get(f"{turn}_turn_{what}") for what in
                                 ("prompt", "preferred_response"))  # fmt: skip
            if not prompt or not preferred:
                break
            letter = str(preferred).strip().lower()[-1:]
            responses = {x: str(row[f"{turn}_turn_response_{x}"]).replace(_END, "").strip()
                         for x in "abcd" if row.get(f"{turn}_turn_response_{x}")}  # fmt: skip
            if letter not in responses:
                raise InputError(f"{place}: '{turn}_turn_preferred_response' is {preferred!r}",
                                 f"there are responses {', '.join(responses)}")  # fmt: skip
            asked = (*messages, Message("user", str(prompt)))
            for other, text in responses.items():
                if other != letter:
                    yield from _prefer(
                        user, asked, responses[letter], text, language, place, ledger
                    )
            messages = (*asked, Message("assistant", responses[letter]))


def read_pandalm(path: Path, ledger: Ledger) -> Iterator[Preference]:
    """PandaLM's test set (Wang et al. 2023): three annotators say 1, 2, or 0 for a tie."""
    for place, row in published_rows(path):
        messages = _asked(str(cell(row, "instruction", place)), str(row.get("input") or ""))
        texts = {"1": str(cell(row, "response1", place)), "2": str(cell(row, "response2", place))}
        for user in ("annotator1", "annotator2", "annotator3"):
            said = str(cell(row, user, place))
            if said == "0":
                ledger.count(TIE)
                continue
            if said not in texts:
                raise InputError(f"{place}: {user!r} is {said!r}", "give 0, 1 or 2")
            other = texts["2" if said == "1" else "1"]
            yield from _prefer(user, messages, texts[said], other, "en", place, ledger)


def read_personalllm(path: Path, ledger: Ledger) -> Iterator[Rating]:
    """PersonalLLM (Zollo et al. 2024): ``response_1`` to ``_8``, rated by reward models as users.

    A rating stands in ``response_1_NAME``, a number; ``response_1_model`` says who wrote it.
    """
    for place, row in published_rows(path):
        messages = _asked(str(cell(row, "prompt", place)))
        for name in sorted(row):
            match = re.fullmatch(r"(response_\d+)_(.+)", name)
            if match is None or match[2] == "model" or row[name] is None:
                continue
            text = Text(messages, str(cell(row, match[1], place)), "en")
            yield Rating(match[2], text, number(row[name], name, place), place)


def read_prism(path: Path, ledger: Ledger) -> Iterator[Rating]:
    """PRISM (Kirk et al. 2024): ``conversations.jsonl``, or ``utterances.jsonl``.

    Utterances stand without the turns before them.
    People rate the responses of a turn from 1 to 100; a conversation goes on with the chosen one.
    Texts are taken as English, as most are.
    """
    for place, row in published_rows(path):
        user = whole(cell(row, "user_id", place))
        if "conversation_history" not in row:
            if row.get("score") is None:
                ledger.count(NO_LABEL)
                continue
            text = Text(_asked(str(cell(row, "user_prompt", place))),
                        str(cell(row, "model_response", place)), "en")  # fmt: skip
            yield Rating(user, text, number(row["score"], "score", place), place)
            continue
        messages: tuple[Message, ...] = ()
        pending = ""
        for entry in row["conversation_history"]:
            content = str(entry.get("content") or "")
            if entry.get("role") == "user":
                messages = (*messages, *([Message("assistant", pending)] if pending else []),
                            Message("user", content))  # fmt: skip
                pending = ""
                continue
            pending = content if entry.get("if_chosen") else pending
            if entry.get("score") is None or not content.strip():
                ledger.count(NO_LABEL)
                continue
            rating = number(entry["score"], "score", place)
            yield Rating(user, Text(messages, content, "en"), rating, place)


def read_dices(path: Path, ledger: Ledger) -> Iterator[Rating]:
    """DICES (Aroyo et al. 2023): ``rater_id``, ``context``, ``response``, ``Q_overall``.

    A text is the conversation with its last response; safer (``No``, then ``Unsure``) is higher.
    """
    for place, row in published_rows(path):
        said = str(cell(row, "Q_overall", place))
        if said.lower() not in _SAFETY:
            raise InputError(f"{place}: 'Q_overall' is {said!r}", "give Yes, No or Unsure")
        whole_text = f"{row.get('context') or ''}\n\n{cell(row, 'response', place)}".strip()
        user = whole(cell(row, "rater_id", place))
        yield Rating(user, Text((), whole_text, "en"), _SAFETY[said.lower()], place)


def read_popquorn(path: Path, ledger: Ledger) -> Iterator[Rating]:
    """POPQUORN (Pei and Jurgens 2023), offensiveness: ``user_id``, ``text``, ``offensiveness``.

    Offensiveness is rated from 1 to 5; less is higher.
    """
    for place, row in published_rows(path):
        if row.get("user_id") is None:
            ledger.count(NO_USER)
            continue
        value = number(cell(row, "offensiveness", place), "offensiveness", place)
        text = Text((), str(cell(row, "text", place)), "en")
        yield Rating(whole(row["user_id"]), text, -value, place)


def read_lewidi(path: Path, ledger: Ledger) -> Iterator[Rating]:
    """Learning With Disagreements, 2023 and 2025.

    A row has ``annotators``, ``annotations``, ``text`` and ``lang``.
    A text of several parts is joined. Labels are numbers, a larger one is higher (more offensive,
    more ironic); other labels are counted.
    """
    for place, row in published_rows(path):
        parts, labels = cell(row, "text", place), cell(row, "annotations", place)
        if isinstance(parts, str) and parts.startswith("{"):
            parts = parse_json(parts, place)
        joined = "\n\n".join(map(str, parts.values())) if isinstance(parts, dict) else str(parts)
        language = _language(row, "lang", place)
        if not isinstance(labels, dict):
            names = str(cell(row, "annotators", place)).split(",")
            said = str(labels).split(",")
            if len(names) != len(said):
                raise InputError(f"{place}: {len(names)} annotators, {len(said)} annotations",
                                 "give one annotation for each")  # fmt: skip
            labels = dict(zip(names, said, strict=True))
        for user, label in labels.items():
            if not re.fullmatch(r"\s*[+-]?\d+(\.\d+)?\s*", str(label)):
                ledger.count(NO_LABEL)
                continue
            yield Rating(user.strip(), Text((), joined, language), float(label), place)


def read_translation_scores(
    path: Path, ledger: Ledger, slots: tuple[int, ...] = (1, 2, 3)
) -> Iterator[Rating]:
    """Direct assessments of translations (MLQE-PE, Fomicheva et al. 2022), by annotators' slots.

    A slot is a place in ``scores``; in English to German, slots 1 to 3 behave as one person each.
    The target language is read from the file's name (``en-de-train.tar.gz``).
    """
    match = re.match(r"[a-z]{2}-([a-z]{2})\b", path.name)
    if match is None:
        raise InputError(f"{path}: which languages?", "keep the name, such as en-de-dev.tar.gz")
    for place, row in published_rows(path):
        scores = parse_json(str(cell(row, "scores", place)), place)
        text = Text((), str(cell(row, "translation", place)), match[1])
        for slot in slots:
            if not 1 <= slot <= len(scores):
                ledger.count("dropped: no score in a slot")
                continue
            yield Rating(f"slot {slot}", text, number(scores[slot - 1], "scores", place), place)


Reader = Callable[[Path, Ledger], Iterator[Preference] | Iterator[Rating]]
SCHEMAS: Mapping[str, Reader] = MappingProxyType({
    "psoups": read_psoups,
    "tldr": read_tldr,
    "personalllm": read_personalllm,
    "prism": read_prism,
    "dices": read_dices,
    "community-alignment": read_community_alignment,
    "popquorn": read_popquorn,
    "lewidi": read_lewidi,
    "pandalm": read_pandalm,
    "mlqe-pe": read_translation_scores,
})  # fmt: skip
"""The reader of each published schema, by its name."""


def read_published(
    schema: str,
    path: Path,
    ledger: Ledger | None = None,
    *,
    min_difference: float = 0.0,
    max_pairs: int | None = None,
    seed: int = 0,
) -> Crowd:
    """The preferences of a published data set.

    Args:
        schema: a name of ``SCHEMAS``.
        path: its file.
        ledger: counts what decides nothing.
        min_difference: of two ratings that are a preference; see ``ratings``.
        max_pairs: of a user, made of ratings; None takes all.
        seed: decides which pairs of ratings are taken.

    Raises:
        InputError: no such schema, or a row does not have it; names file and line.
    """
    check_known(schema, SCHEMAS, f"no schema {schema!r}", "known are")
    ledger = Ledger() if ledger is None else ledger
    rows: list[Any] = [*SCHEMAS[schema](path, ledger)]
    if rows and isinstance(rows[0], Rating):
        crowd = crowd_of_ratings(rows, min_difference=min_difference, max_pairs=max_pairs,
                                 seed=seed, ledger=ledger)  # fmt: skip
    else:
        crowd = crowd_of(rows)
    count_look_alikes(ledger, "users", crowd.users)
    return crowd
