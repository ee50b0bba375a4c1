"""Bits per byte of the answers of conversations, under a model; imports torch."""

import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch

from polylect.base import InputError, Ledger, digest_of
from polylect.checkpoints import Checkpoint
from polylect.engine import stated_limit
from polylect.evals import nats_of_segments
from polylect.models import load_model
from polylect.recipes.mixtures.answer_config import AnswerBitsConfig
from polylect.rows import Conversation, ScoreTable
from polylect.runs import Reporter
from polylect.text import Segment, SpecialTokens, Style, Tokenizer, style_or_plain
from polylect.training import ConversationTokens, encode_conversations

_UNLIMITED = 1 << 20


def answer_scores(
    model: Path,
    rows: Sequence[Conversation],
    config: AnswerBitsConfig,
    report: Reporter,
    ledger: Ledger,
) -> ScoreTable:
    """A row per conversation: bits per byte of its learned turns as value, their bytes as weight.

    One that is longer than the context, or that the template cannot write, is left out and counted.

    Raises:
        InputError: the model cannot be loaded, or no conversation fits.
    """
    torch.set_num_threads(config.threads)
    checkpoint = Checkpoint.open(model)
    tokenizer = Tokenizer.load(model)
    style = style_or_plain(
        model, tokenizer, config.template, ledger, special_tokens=config.special_tokens
    )
    limit = config.context_tokens or _limit(checkpoint)
    kept, segments = [], []
    for row in rows:
        tokens = _fitting(row, style, limit, ledger)
        if tokens is None:
            continue
        weight = tokens.trained.astype(np.float32)
        weight[0] = 0.0
        segments.append(Segment(tokens.ids, weight, row.language, item=len(kept)))
        kept.append(row)
    if not kept:
        raise InputError(f"no held-out conversation fits {limit} tokens", "give shorter rows")
    loaded = load_model(checkpoint, ledger=ledger)
    nats = nats_of_segments(loaded, segments, len(kept), config.micro_batch_tokens, report)
    settings = digest_of(
        {"tokenizer": tokenizer.digest, "template": config.template, "context": limit}
    )
    scored: list[dict[str, object]] = []
    for row, value in zip(kept, nats, strict=True):
        num_bytes = sum(len(turn.content.encode()) for turn in row.messages if turn.learned)
        if not num_bytes:
            ledger.count("left out: an answer without text", 1, row.language)
            continue
        scored.append(
            {
                "checkpoint": config.name, "task": f"answers-{row.source}@1",
                "metric": "bits_per_byte", "language": row.language, "group": row.source,
                "item": row.place.rpartition(":")[2],
                "value": float(value) / math.log(2) / num_bytes,
                "weight": float(num_bytes), "settings": settings,
            }
        )  # fmt: skip
    return ScoreTable.from_rows(scored)


def rows_that_fit(
    model: Path,
    rows: Sequence[Conversation],
    template: str,
    special_tokens: SpecialTokens,
    ledger: Ledger,
) -> set[str]:
    """Places of the conversations that a model can read whole; no weights are loaded.

    Args:
        model: its folder.
        rows: conversations.
        template: chat template; see ``style_or_plain``.
        special_tokens: texts of special tokens in messages.
        ledger: counts the others, by language.
    """
    checkpoint = Checkpoint.open(model)
    tokenizer = Tokenizer.load(model)
    style = style_or_plain(model, tokenizer, template, Ledger(), special_tokens=special_tokens)
    limit = _limit(checkpoint)
    return {row.place for row in rows if _fitting(row, style, limit, ledger) is not None}


def _limit(checkpoint: Checkpoint) -> int:
    return stated_limit(checkpoint.config) or _UNLIMITED


def _fitting(
    row: Conversation, style: Style, limit: int, ledger: Ledger
) -> ConversationTokens | None:
    """The tokens of a conversation; None, and counted, where the model cannot read it."""
    try:
        (tokens,) = encode_conversations([row], style, _UNLIMITED, "drop", Ledger())
    except InputError:
        ledger.count("left out: the template cannot write it", 1, row.language)
        return None
    if tokens.num_tokens > limit:
        ledger.count("dropped: longer than the context", 1, row.language)
        return None
    return tokens
