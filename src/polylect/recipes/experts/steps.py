"""Steps of the recipe ``nexus``: text of the domains, routing, scores in some languages."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import polars as pl

from polylect.base import Count, Ledger, Threads, check_settings, write_json
from polylect.checkpoints import Checkpoint
from polylect.engine import RoutedText, routing_table
from polylect.evals import BitsConfig
from polylect.experts import own_counts
from polylect.mixtures import TokenStore
from polylect.rows import Document, Split, read_rows
from polylect.runs import StepContext, StepInputs, step


@dataclass(frozen=True, kw_only=True)
class DomainTextConfig:
    """Languages of every domain, by its name."""

    domains: Mapping[str, tuple[str, ...]]

    def __post_init__(self) -> None:
        check_settings(self)


@step(version=1)
def domain_text(config: DomainTextConfig, inputs: StepInputs, context: StepContext) -> None:
    """Writes ``NAME.jsonl`` for every domain: text and language of its training documents.

    Inputs: ``corpus`` (from ``collect_text``).
    """
    of_language = {tag: name for name, tags in config.domains.items() for tag in tags}
    lines: dict[str, list[str]] = {name: [] for name in config.domains}
    for document in read_rows(inputs["corpus"].path / f"{Split.TRAIN}.parquet", Document):
        if document.language in of_language:
            row = {"text": document.text, "language": document.language}
            lines[of_language[document.language]].append(json.dumps(row, ensure_ascii=False))
    for name, rows in lines.items():
        text = "".join(f"{line}\n" for line in rows)
        (context.out / f"{name}.jsonl").write_text(text, encoding="utf-8")
        context.ledger.count("written: documents", len(rows), name)


@dataclass(frozen=True, kw_only=True)
class LanguageBitsConfig:
    """Bits per byte in some languages only.

    Attributes:
        bits: which documents, and how.
        languages: tags.
    """

    bits: BitsConfig
    languages: tuple[str, ...]

    def __post_init__(self) -> None:
        check_settings(self)


@step(version=1)
def score_languages(config: LanguageBitsConfig, inputs: StepInputs, context: StepContext) -> None:
    """As ``evals.score_bits``, in some languages; inputs ``model`` and ``tokens``."""
    from polylect.evals import bits_per_byte

    store = TokenStore(inputs["tokens"].path, config.bits.split)
    checkpoint = Checkpoint.open(inputs["model"].path)
    table = bits_per_byte(
        checkpoint, store, config.bits, context.report, context.ledger, config.languages
    )
    table.write(context.out / "scores.parquet")


@dataclass(frozen=True, kw_only=True)
class RouteConfig:
    """Routing of held-out text.

    Attributes:
        domains: languages of every domain by name, also of domains without an expert.
        split: of the text.
        bytes_per_language: held-out text per language, in bytes.
        context_tokens: longest run of tokens.
        threads: torch's threads.
    """

    domains: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    split: Split = Split.TEST
    bytes_per_language: Count = 20_000
    context_tokens: Count = 256
    threads: Threads = 1

    def __post_init__(self) -> None:
        check_settings(self)


@step(version=1)
def route(config: RouteConfig, inputs: StepInputs, context: StepContext) -> None:
    """Where a mixture sends the held-out text: ``routing.parquet`` and ``own.parquet``.

    The first has a row per document, block and expert, the second one per document of a domain
    that has an expert. ``model.json`` says the experts, and parameters in all and active.

    Inputs: ``model`` (a Nexus model), ``tokens`` and ``corpus``.
    """
    import torch

    from polylect.models import load_model

    torch.set_num_threads(config.threads)
    checkpoint = Checkpoint.open(inputs["model"].path)
    store = TokenStore(inputs["tokens"].path, config.split)
    table = routing_table(
        load_model(checkpoint, ledger=context.ledger).eval(),
        store.tokenizer(),
        _texts(config, inputs, store),
        context_tokens=config.context_tokens,
        report=context.report,
        ledger=context.ledger,
    )
    table.write_parquet(context.out / "routing.parquet")
    names = list(checkpoint.config["expert_names"])
    expert_of = {name: names.index(name) for name in config.domains if name in names}
    own_counts(table, expert_of).write_parquet(context.out / "own.parquet")
    write_json(context.out / "model.json", {"experts": names, **parameters_of(checkpoint)})


def parameters_of(checkpoint: Checkpoint) -> dict[str, int]:
    """Parameters ``total``, and ``active`` for a token, of any model."""
    total = sum(_size(info.shape) for info in checkpoint.tensors.values())
    routed = sum(
        _size(info.shape) for name, info in checkpoint.tensors.items() if ".mlp.experts." in name
    )
    num, top_k = (
        checkpoint.config.get("num_experts", 1),
        checkpoint.config.get("num_experts_per_tok", 1),
    )
    return {"total": total, "active": total - routed + routed * top_k // num}


def _size(shape: Sequence[int]) -> int:
    num = 1
    for length in shape:
        num *= length
    return num


def _texts(config: RouteConfig, inputs: StepInputs, store: TokenStore) -> list[RoutedText]:
    """The documents that ``score_bits`` scores, with their domains."""
    from polylect.evals import scored_segments

    bits = BitsConfig(name="", split=config.split, bytes_per_language=config.bytes_per_language)
    chosen, _ = scored_segments(store, bits, Ledger())
    keys = ["language", "source", "id"]
    texts = pl.DataFrame(
        [
            {"language": row.language, "source": row.source, "id": row.id, "text": row.text}
            for row in read_rows(inputs["corpus"].path / f"{config.split}.parquet", Document)
        ]
    )
    of_language = {tag: name for name, tags in config.domains.items() for tag in tags}
    joined = chosen.join(texts, on=keys, how="left", maintain_order="left")
    return [
        RoutedText(
            row["text"],
            row["language"],
            of_language.get(row["language"], row["language"]),
            row["cluster"],
        )
        for row in joined.iter_rows(named=True)
    ]
