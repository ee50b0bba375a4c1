"""Preferences from a pool of scored answers, with where each side comes from."""

import json
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path

import polars as pl

from polylect.base import InputError, Ledger, generator, numbered, parts_of, write_json
from polylect.feedback.best_of_n import kept_groups
from polylect.feedback.checking import write_form
from polylect.feedback.pair_kinds import Candidates, candidates_of
from polylect.feedback.pair_presets import wanted_pairs
from polylect.feedback.paired_answers import Pair
from polylect.feedback.pool_config import PairsConfig
from polylect.feedback.pool_files import by_prompt, is_answer, read_pool, read_rewards
from polylect.feedback.usable_answers import router_table
from polylect.rows import (
    AnswerKey,
    PooledAnswer,
    Preference,
    Prompt,
    Verdict,
    as_dicts,
    read_prompts,
)
from polylect.runs import FileInput, StepContext
from polylect.text import near_duplicates, normalized
from polylect.training import Group

PAIRS_FILE, ORIGINS, PAIRS_ABOUT = "pairs.jsonl", "origins.parquet", "pairs.json"
NONE = "no pair: the prompt has no two answers of this kind"
CLOSE = "no pair: the rewards differ by less than --min-margin"
UNFILLED = "not filled: fewer pairs than wanted"
BEYOND = "not taken: more pairs than wanted"
OVERLAPS = "left out: the prompt is, or is nearly, one that is evaluated"
HELD_OUT_INPUT = "not_in:"


def run_pairs(config: PairsConfig, inputs: Mapping[str, FileInput], context: StepContext) -> None:
    """Write ``pairs.jsonl``, which ``polylect train preference`` reads, and ``origins.parquet``.

    ``origins.parquet`` has a row per pair: teacher, sample, origin, translator, source language,
    license, terms and digest of either side. ``to_check.csv`` is a sample for people.

    Inputs: ``pool``, ``reward`` (optional), ``not_in:NUMBER`` (prompts that are evaluated).

    Raises:
        InputError: no pair is left, the kind needs a reward, or a prompt is one that is evaluated.
    """
    rows = [row for row in read_pool(inputs["pool"].path) if is_answer(row)]
    reward_name, raw = "", {}
    if "reward" in inputs:
        rewards = read_rewards(inputs["reward"].path)
        reward_name, raw = rewards.name, dict(rewards.values)
    behind_gate = _behind_gate(rows, raw, config, context.ledger) if raw else {}
    pairs = pairs_of(rows, behind_gate, raw, config, context.ledger)
    held_out = [
        prompt
        for name, file in inputs.items() if name.startswith(HELD_OUT_INPUT)
        for prompt in read_prompts(file.path, "und")
    ]  # fmt: skip
    if held_out:
        pairs = without_overlap(pairs, held_out, config.drop_overlap, context.ledger)
    present = sorted({pair.chosen.language for pair in pairs})
    wanted = wanted_pairs(config.pair_preset, config.total_pairs, config.languages, present)
    pairs = taken_pairs(pairs, wanted, config.seed, context.ledger)
    if not pairs:
        raise InputError(
            f"--kind {config.kind}: no prompt has two answers to compare", _HINTS[config.kind]
        )
    write_pairs(context.out, pairs, config.kind, reward_name)
    write_form(context.out, pairs, config.sample, config.seed)
    counts: dict[str, int] = defaultdict(int)
    for pair in pairs:
        counts[pair.chosen.language] += 1
    write_json(context.out / PAIRS_ABOUT, {
        "kind": config.kind, "reward": reward_name, "pairs": len(pairs), "wanted": wanted,
        "by_language": dict(sorted(counts.items())),
    })  # fmt: skip


_SCORE = "polylect feedback score POOL --reward R, then --reward R"
_HINTS = {
    "best-worst": _SCORE, "margin": f"{_SCORE}, or a smaller --min-margin",
    "native-translated": "polylect feedback translate makes translated answers",
    "homogeneous": "ask each teacher for several answers: polylect feedback pool --answers 2",
    "post-edit": "the pool needs answers whose answer_origin is post-edited, and translated ones",
    "language-verified": "it needs answers in another language than was asked for",
}  # fmt: skip


def _behind_gate(
    rows: Sequence[PooledAnswer], rewards: Mapping[AnswerKey, float], config: PairsConfig,
    ledger: Ledger,
) -> dict[AnswerKey, float]:  # fmt: skip
    gate = config.gate and config.kind != "language-verified"
    table = router_table(rows, rewards, {}, gate, ledger)
    return {row.key: float(value) for row, value in zip(table.rows, table.reward, strict=True)}


def pairs_of(
    rows: Sequence[PooledAnswer],
    behind_gate: Mapping[AnswerKey, float],
    raw: Mapping[AnswerKey, float],
    config: PairsConfig,
    ledger: Ledger,
) -> list[Pair]:
    """The pairs of a pool, by language and id.

    Args:
        rows: answers.
        behind_gate: rewards that order them.
        raw: rewards that are kept with the pair.
        config: kind, margin and how many prompts of low mean reward are left out.
        ledger: counts prompts that give no pair.

    Raises:
        InputError: the kind needs a reward.
    """
    if config.kind == "margin" and not config.min_margin:
        raise InputError("--kind margin without --min-margin", "--min-margin 0.5")
    sets: list[Candidates] = []
    for (language, _), answers in by_prompt(rows).items():
        candidates = candidates_of(answers, behind_gate, config)
        ledger.count(NONE, int(not candidates), language)
        sets += candidates
    groups = [_group(i, candidates) for i, candidates in enumerate(sets)]
    drop = config.drop if all(candidates.scored for candidates in sets) else 0.0
    pairs = []
    for group in kept_groups(groups, drop, ledger):
        candidates = sets[group.prompt]
        best, worst = (candidates.rows[i] for i in group.best_and_worst)
        pair = Pair(
            best, worst,
            tuple(candidates.rewards[i] for i in group.best_and_worst)
            if candidates.scored else None,
            (raw.get(best.key), raw.get(worst.key)),
        )  # fmt: skip
        scores = pair.scores
        if config.min_margin and (scores is None or pair.margin < config.min_margin):
            ledger.count(CLOSE, 1, best.language)
            continue
        pairs.append(pair)
    return pairs


def _group(number: int, candidates: Candidates) -> Group:
    rows = candidates.rows
    return Group(
        round=0, prompt=number, language=rows[0].language,
        turns=tuple((turn.role, turn.content) for turn in rows[0].messages),
        answers=tuple(row.answer for row in rows), ids=(), stopped=(),
        rewards=candidates.rewards, right=(), policy=(),
    )  # fmt: skip


def without_overlap(
    pairs: Sequence[Pair], held_out: Sequence[Prompt], is_dropped: bool, ledger: Ledger
) -> list[Pair]:
    """The pairs whose prompt is none that is evaluated, nor nearly one (see ``near_duplicates``).

    Raises:
        InputError: there is such a prompt, and it is not to be dropped; names it.
    """
    own = sorted({normalized(pair.chosen.prompt) for pair in pairs})
    others = sorted({normalized(prompt.prompt) for prompt in held_out})
    links = near_duplicates([*own, *others])
    overlap = {own[a] for a, b, _ in links if a < len(own) <= b}
    kept = []
    for pair in pairs:
        if normalized(pair.chosen.prompt) not in overlap:
            kept.append(pair)
            continue
        if not is_dropped:
            raise InputError(
                f"prompt {pair.chosen.id!r} ({pair.chosen.language}) is, or is nearly, one that is"
                f" evaluated: {pair.chosen.prompt[:40]!r};"
                f" {numbered(len(overlap), 'such prompt')} in all",
                "--drop-overlap leaves them out and counts them",
            )
        ledger.count(OVERLAPS, 1, pair.chosen.language)
    return kept


def taken_pairs(
    pairs: Sequence[Pair], wanted: Mapping[str, int | None], seed: int, ledger: Ledger
) -> list[Pair]:
    """As many pairs of each language as are wanted; the same prompts in all languages first.

    Args:
        pairs: of a pool.
        wanted: by language; None for all there are.
        seed: of the draw.
        ledger: counts what is not filled, and what is not taken.
    """
    by_base: dict[str, list[Pair]] = defaultdict(list)
    for pair in pairs:
        by_base[parts_of(pair.chosen.language)[0] or pair.chosen.language].append(pair)
    exact = {pair.chosen.language for pair in pairs}
    taken: list[Pair] = []
    for tag, num in wanted.items():
        base = parts_of(tag)[0] or tag
        own = by_base[base] if tag not in exact else [
            pair for pair in by_base[base] if pair.chosen.language == tag
        ]  # fmt: skip
        order = sorted(own, key=lambda pair: _draw(pair, seed))
        limit = len(order) if num is None else num
        ledger.count(UNFILLED, max(limit - len(order), 0), tag)
        ledger.count(BEYOND, max(len(order) - limit, 0), tag)
        taken += order[:limit]
    return sorted(taken, key=lambda pair: (pair.chosen.key, pair.rejected.key))


def _draw(pair: Pair, seed: int) -> tuple[float, str, AnswerKey]:
    number = float(generator(seed, "pairs", pair.chosen.id).random())
    return number, pair.chosen.id, pair.chosen.key


def preference_of(pair: Pair, kind: str, reward: str) -> Preference:
    """The pair as the project's row of preferences; the chosen answer is A."""
    scores = pair.scores or (None, None)
    return Preference(
        language=pair.chosen.language, id=pair.chosen.id, messages=pair.chosen.messages,
        answer_a=pair.chosen.answer, answer_b=pair.rejected.answer, verdict=Verdict.A,
        score_a=scores[0], score_b=scores[1], margin=pair.margin if kind == "margin" else 0.0,
        origin_a=pair.chosen.answer_origin, origin_b=pair.rejected.answer_origin,
        model_a=pair.chosen.teacher, model_b=pair.rejected.teacher, annotator=reward, source=kind,
    )  # fmt: skip


def write_pairs(out: Path, pairs: Sequence[Pair], kind: str, reward: str) -> None:
    """Write the preferences for training, and where both sides of each come from."""
    lines = []
    for pair in pairs:
        row = preference_of(pair, kind, reward)
        values: dict[str, object] = {
            "id": row.id, "language": row.language, "prompt": as_dicts(row.messages),
            "chosen": row.chosen, "rejected": row.rejected, "source": row.source,
            "chosen_model": row.model_a, "rejected_model": row.model_b,
            "chosen_origin": row.origin_a, "rejected_origin": row.origin_b,
        }  # fmt: skip
        if row.scores is not None:
            values |= {"chosen_score": row.score_a, "rejected_score": row.score_b}
        if row.margin:
            values["margin"] = row.margin
        if reward:
            values["annotator"] = reward
        lines.append(json.dumps(values, ensure_ascii=False))
    (out / PAIRS_FILE).write_text("\n".join([*lines, ""]), encoding="utf-8")
    pl.DataFrame(
        [
            {"language": pair.chosen.language, "id": pair.chosen.id}
            | _origin(pair.chosen, "chosen", pair.rewards[0])
            | _origin(pair.rejected, "rejected", pair.rewards[1])
            for pair in pairs
        ],
        infer_schema_length=None,
    ).write_parquet(out / ORIGINS)  # fmt: skip


def _origin(row: PooledAnswer, side: str, reward: float | None) -> dict[str, object]:
    names = ("teacher", "sample", "answer_origin", "translator", "source_language", "identified",
             "license", "terms", "model_digest", "sampling")  # fmt: skip
    origin = {f"{side}_{name}": getattr(row, name) for name in names}
    return origin | {f"{side}_reward": reward}
