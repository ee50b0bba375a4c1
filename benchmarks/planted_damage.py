"""Does `compare` name the corrupted language? python benchmarks/planted_damage.py [SEEDS] [SHARE]

A small Cohere 2 model is trained on news in German, Hindi and Turkish (ntrex). For every seed it is
continued twice on the same text in the same order: A clean; B with one language corrupted (the
characters of a share of its words shuffled; all of them by default). Both are scored on held-out
sentences, in bits per byte; whole documents are resampled. Printed: how often the payers named hold
the corrupted language, and nobody else; whether others that were named also lose on 40 documents
more (then the loss is real: the languages share one model); and, with the sides of every item
swapped by a coin, how often anybody is named. Needs the ntrex folder (POLYLECT_DATA).
"""

import copy
import math
import os
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import torch
from scipy import stats

from polylect.base import generator
from polylect.comparison import compare
from polylect.models import (
    BuildConfig,
    build_model,
    forward_hidden,
    head_of,
    scored_positions,
    token_log_probabilities,
    weighted_nll,
)
from polylect.rows import ScoreTable
from polylect.text import Segment, Tokenizer, pack, pack_rows, train_bpe
from polylect.training import OptimConfig
from polylect.training.session import make_optimizer

DATA = Path(os.environ.get("POLYLECT_DATA", Path(__file__).parents[2] / "shared" / "data"))
FILES = {"de": "deu", "hi": "hin", "tr": "tur"}
TAGS = tuple(FILES)
HELD_OUT = 40
"""Documents that are scored; four sentences of each."""
BASE_STEPS, MORE_STEPS, STEP_TOKENS, CONTEXT = 600, 25, 1024, 96


def read_text() -> tuple[list[str], dict[str, list[str]]]:
    """The document of every sentence, and the sentences by language."""
    folder = DATA / "ntrex"
    if not folder.is_dir():
        raise SystemExit(f"skipped: no data ({folder})")
    documents = (folder / "DOCUMENT_IDS.tsv").read_text("utf-8").split("\n")
    texts = {
        tag: (folder / f"newstest2019-ref.{name}.txt").read_text("utf-8").split("\n")
        for tag, name in FILES.items()
    }
    return [document.strip() for document in documents if document.strip()], texts


def corrupted(text: str, part: float, random: np.random.Generator) -> str:
    """The text with the characters of a share of its words shuffled."""
    words = text.split()
    chosen = random.random(len(words)) < part
    return " ".join(
        "".join(random.permutation(list(word))) if hit else word
        for word, hit in zip(words, chosen, strict=True)
    )


def batches(texts: dict[str, list[str]], tokenizer: Tokenizer, random: np.random.Generator,
            steps: int) -> Iterator[Any]:  # fmt: skip
    """Packed rows of about ``STEP_TOKENS``, the languages in turn, sentences at random."""
    ids = {tag: tokenizer.encode(sentences) for tag, sentences in texts.items()}
    for _ in range(steps):
        segments, total = [], 0
        while total < STEP_TOKENS:
            for tag in TAGS:
                sentence = ids[tag][random.integers(len(ids[tag]))][: CONTEXT - 1]
                tokens = np.concatenate([[tokenizer.bos_id], sentence])
                weight = np.ones(len(tokens), np.float32)
                weight[0] = 0.0
                segments.append(Segment(tokens, weight, tag))
                total += len(tokens)
        yield pack(segments)


def train(model: Any, rows: Iterator[Any], rate: float, steps: int) -> None:
    optimizer = make_optimizer(model, OptimConfig(learning_rate=rate))
    model.train()
    for step, row in enumerate(rows):
        for group in optimizer.param_groups:
            group["lr"] = rate * min(1.0, (step + 1) / 5) * (1.0 - 0.9 * step / steps)
        before, targets, weights = scored_positions(row)
        loss, _ = weighted_nll(forward_hidden(model, row)[before], head_of(model), targets, weights)
        (loss / len(targets)).backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
    model.eval()


def score(model: Any, held_out_rows: pl.DataFrame, tokenizer: Tokenizer, name: str) -> ScoreTable:
    """Bits per byte of every held-out sentence; its document is the cluster."""
    segments = []
    for index, ids in enumerate(tokenizer.encode(held_out_rows["text"].to_list())):
        tokens = np.concatenate([[tokenizer.bos_id], ids[: 4 * CONTEXT]])
        weight = np.ones(len(tokens), np.float32)
        weight[0] = 0.0
        segments.append(Segment(tokens, weight, held_out_rows["language"][index], item=index))
    nats = np.zeros(len(held_out_rows))
    with torch.no_grad():
        for row in pack_rows(segments, 4096):
            before, targets, _ = scored_positions(row)
            log_probs, _ = token_log_probabilities(
                forward_hidden(model, row)[before], head_of(model), targets
            )
            item = np.array(row.items)[row.segment_of_token()[row.loss_weight > 0]]
            nats -= np.bincount(item, log_probs.double().numpy(), len(held_out_rows))
    size = held_out_rows["text"].str.len_bytes().to_numpy().astype(float)
    frame = held_out_rows.select(
        checkpoint=pl.lit(name), task=pl.lit("ntrex-bits@1"), language="language",
        group=pl.lit(""), item="item", cluster="document", metric=pl.lit("bits_per_byte"),
        value=pl.Series(nats / math.log(2) / size), weight=pl.Series(size),
        chance=pl.lit(None, pl.Float64()), settings=pl.lit(""), truncated=pl.lit(False),
        invalid=pl.lit(False),
    )  # fmt: skip
    return ScoreTable(frame)


def swapped(a: ScoreTable, b: ScoreTable, random: np.random.Generator) -> list[ScoreTable]:
    """Both sides with each item's values swapped by a coin."""
    coin = pl.Series(random.random(a.frame.height) < 0.5)
    pair = (a.frame["value"], b.frame["value"])
    values = [
        pl.select(pl.when(coin).then(pair[1 - i]).otherwise(pair[i])).to_series() for i in (0, 1)
    ]
    return [
        ScoreTable(table.frame.with_columns(value=value))
        for table, value in zip((a, b), values, strict=True)
    ]


def share(num: int, count: int) -> str:
    low, high = stats.binomtest(num, count).proportion_ci(0.95)
    return f"{num} of {count} ({100 * low:.1f}–{100 * high:.1f} %)"


def held_out(documents: list[str], texts: dict[str, list[str]], names: list[str]) -> pl.DataFrame:
    """The first four sentences of each of some documents, in every language."""
    counts = dict.fromkeys(names, 0)
    chosen = []
    for i, document in enumerate(documents):
        if document in counts and counts[document] < 4:
            counts[document] += 1
            chosen.append(i)
    return pl.DataFrame(
        [(tag, f"{i:04d}", documents[i], texts[tag][i]) for tag in TAGS for i in chosen],
        ["language", "item", "document", "text"], orient="row",
    )  # fmt: skip


def main(num_seeds: int, part: float) -> None:
    torch.set_num_threads(1)
    started = time.process_time()
    documents, texts = read_text()
    names = sorted(set(documents))
    names = [names[i] for i in generator(0, "documents").permutation(len(names))]
    scored, check = (
        held_out(documents, texts, names[start : start + HELD_OUT]) for start in (0, HELD_OUT)
    )
    kept = set(names[2 * HELD_OUT :])
    inside = [i for i, text in enumerate(documents) if text in kept]
    clean = {tag: [texts[tag][i] for i in inside] for tag in TAGS}
    tokenizer = train_bpe(clean, vocab_size=2048)
    config = BuildConfig(num_parameters=700_000, context_tokens=512, sliding_window=64)
    special = (tokenizer.bos_id, tokenizer.eos_id, tokenizer.pad_id)
    base = build_model(config, tokenizer.vocab_size, *special)
    size = sum(p.numel() for p in base.parameters())
    train(base, batches(clean, tokenizer, generator(0, "base"), BASE_STEPS), 3e-3, BASE_STEPS)
    print(f"base: {size:,} parameters, {time.process_time() - started:.0f} CPU s", file=sys.stderr)
    named, worst, exact, null, others, others_checked, others_confirmed = 0, 0, 0, 0, 0, 0, 0
    for seed in range(num_seeds):
        hurt = TAGS[seed % len(TAGS)]
        random = generator(seed, "corrupt")
        broken = clean | {hurt: [corrupted(text, part, random) for text in clean[hurt]]}
        tables, models = [], []
        for name, texts_of_model in (("A", clean), ("B", broken)):
            model = copy.deepcopy(base)
            rows = batches(texts_of_model, tokenizer, generator(seed, "order"), MORE_STEPS)
            train(model, rows, 1e-3, MORE_STEPS)
            models.append(model)
            tables.append(score(model, scored, tokenizer, name))
        comparison = compare(*tables, seed=seed, groups={})
        paid = comparison.languages.filter(pl.col("verdict") == "paid")["language"].to_list()
        named += hurt in paid
        worst += paid[:1] == [hurt]
        exact += paid == [hurt]
        extra = sorted(set(paid) - {hurt})
        others += bool(extra)
        if extra:
            again = [score(m, check, tokenizer, x) for m, x in zip(models, "AB", strict=True)]
            rows = again[0].paired(again[1], "language").filter(pl.col("language").is_in(extra))
            others_checked += rows.height
            others_confirmed += rows.filter(pl.col("difference") > 0).height
        pair = swapped(*tables, generator(seed, "swap"))
        free = compare(*pair, seed=seed, groups={})
        null += bool((free.languages["verdict"] != "not separable").any())
        gains = ", ".join(f"{r['language']} {100 * r['relative']:+.1f} %"
                          for r in comparison.languages.iter_rows(named=True))  # fmt: skip
        spent = f"{time.process_time() - started:.0f} CPU s"
        line = f"{seed}: {hurt} corrupted; paid {paid}; bits {gains}; {spent}"
        print(line, file=sys.stderr, flush=True)
    print(f"corrupted language among those named: {share(named, num_seeds)}")
    print(f"corrupted language named as the worst-hurt: {share(worst, num_seeds)}")
    print(f"corrupted language named, and no other: {share(exact, num_seeds)}")
    print(f"another named as well: {share(others, num_seeds)}")
    if others_checked:
        confirmed = share(others_confirmed, others_checked)
        print(f"of the others named, those that also lose on other documents: {confirmed}")
    print(f"sides swapped by a coin, anybody named: {share(null, num_seeds)}")
    spent = time.process_time() - started
    print(
        f"{size:,} parameters; {len(scored) // len(TAGS)} sentences a language; {spent:.0f} CPU s"
    )


if __name__ == "__main__":
    given = sys.argv[1:]
    main(int(given[0]) if given else 100, float(given[1]) if len(given) > 1 else 1.0)
