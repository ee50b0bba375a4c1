"""What a run of the recipe ``nexus`` found: the paper's lines, routing, who gained and who paid."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import polars as pl

from polylect.base import Count, Seed, check_settings, read_json, write_json
from polylect.comparison import GAINED, OPEN, PAID, compare_many, stack_tables
from polylect.experts import shares, unused_experts
from polylect.recipes.experts.claims import (
    CLAIMS,
    PAIRS,
    answer,
    by_language,
    own_share,
    share_line,
)
from polylect.rows import ScoreTable
from polylect.runs import Artifact, StepContext, step

WANTED_OWN, WANTED_APPENDED = 0.6, 0.5
"""The targets of the toy suite: own-domain share in three of four domains, and of the appended."""


@dataclass(frozen=True, kw_only=True)
class NexusFindingsConfig:
    """What is compared.

    Attributes:
        seeds: of the trainings.
        previous: languages of the upcycled experts' domains, by name.
        anchors: languages that all experts know.
        appended: name of the domain that was appended.
        appended_languages: its languages.
        models: names of all models that were scored.
        routed: names of the mixtures whose routing was looked at.
        upcycle_tokens: of the mixtures' training.
        extend_tokens: after appending.
        seed: of the bootstrap.
    """

    seeds: tuple[Seed, ...]
    previous: Mapping[str, tuple[str, ...]]
    anchors: tuple[str, ...]
    appended: str
    appended_languages: tuple[str, ...]
    models: tuple[str, ...]
    routed: tuple[str, ...]
    upcycle_tokens: Count
    extend_tokens: Count
    seed: Seed = 0

    def __post_init__(self) -> None:
        check_settings(self)

    @property
    def languages(self) -> dict[str, tuple[str, ...]]:
        """Tags by the text that a claim is about."""
        tags = tuple(tag for of_one in self.previous.values() for tag in of_one)
        return {"previous": (*tags, *self.anchors), "appended": self.appended_languages}


@step(version=2, uses_languages=True)
def find_nexus(
    config: NexusFindingsConfig, inputs: Mapping[str, Artifact], context: StepContext
) -> None:
    """Writes ``findings.json`` and the tables behind it.

    ``scores.parquet`` (every document, with its seed), ``bits.parquet``, ``languages.parquet`` (who
    gained and who paid), ``comparisons.parquet`` and ``groups.parquet`` (over documents, seeds
    averaged), ``routing.parquet`` and ``own.parquet`` (shares by seed, mixture and domain).

    Inputs: ``SEED test-NAME`` and ``SEED route-NAME``, from scoring and routing.
    """
    scores = pl.concat(
        ScoreTable.read(inputs[f"{seed} test-{name}"].path / "scores.parquet").frame.with_columns(
            seed=pl.lit(seed, pl.Int64)
        )
        for seed in config.seeds
        for name in config.models
    )
    scores.write_parquet(context.out / "scores.parquet")
    averaged = seed_means(scores)
    ScoreTable(averaged).interval("checkpoint", "language").write_parquet(
        context.out / "bits.parquet"
    )
    lines = [found for claim in CLAIMS if (found := answer(claim, scores, config.languages))]
    everyone = (*config.languages["previous"], *config.languages["appended"])
    pairs = [pair for pair in PAIRS if set(pair) <= set(config.models)]
    changes = [row for pair in pairs for row in by_language(scores, *pair, everyone, verdict_of)]
    pl.DataFrame(changes).write_parquet(context.out / "languages.parquet")
    compared = compare_many(
        {name: ScoreTable(averaged.filter(checkpoint=name)) for name in config.models},
        [(*pair, "") for pair in pairs],
        groups={**config.previous, config.appended: config.appended_languages}
        | ({"anchors": config.anchors} if config.anchors else {}),
        seed=config.seed,
        reporter=context.report,
    )
    stack_tables(compared, "languages").write_parquet(context.out / "comparisons.parquet")
    stack_tables(compared, "groups").write_parquet(context.out / "groups.parquet")
    routing = _routing(config, inputs)
    routing["table"].write_parquet(context.out / "routing.parquet")
    routing["own"].write_parquet(context.out / "own.parquet")
    routed = _routed_lines(config, routing)
    write_json(
        context.out / "findings.json",
        {
            "lines": [*lines, *routed],
            "routing": routing["shares"],
            "targets": targets(config, routing["shares"], routing["models"]),
            "models": routing["models"],
            "unused": routing["unused"],
            "sentences": [pair.described() for pair in compared],
            "seeds": list(config.seeds),
        },
    )


def verdict_of(lower: float, upper: float) -> str:
    """Gained, paid, or not separable."""
    return GAINED if lower > 0 else PAID if upper < 0 else OPEN


def seed_means(scores: pl.DataFrame) -> pl.DataFrame:
    """Every document's score, the mean over seeds."""
    keys = [name for name in scores.columns if name not in {"seed", "value"}]
    mean = scores.group_by(keys, maintain_order=True).agg(pl.col("value").mean())
    return mean.select([name for name in scores.columns if name != "seed"])


def _routing(config: NexusFindingsConfig, inputs: Mapping[str, Artifact]) -> dict[str, Any]:
    """Shares of the experts by mixture and seed, and each domain's own share."""
    tables, counts, found, models, unused = [], [], [], {}, []
    for name in config.routed:
        own = []
        for seed in config.seeds:
            folder = inputs[f"{seed} route-{name}"].path
            marks = {"seed": pl.lit(seed, pl.Int64), "model": pl.lit(name)}
            table = pl.read_parquet(folder / "routing.parquet")
            models[name] = read_json(folder / "model.json")
            experts = models[name]["experts"]
            by_block = shares(table, ("domain", "language", "block")).with_columns(
                **marks, expert_name=pl.col("expert").replace_strict(dict(enumerate(experts)))
            )
            tables.append(by_block)
            own.append(pl.read_parquet(folder / "own.parquet").with_columns(**marks))
            unused += [
                {"model": name, "seed": seed, "expert": experts[number]}
                for number in unused_experts(table)
            ]
        counts += own
        together = pl.concat(own)
        for domain in together["domain"].unique(maintain_order=True).sort():
            interval = own_share(together.filter(domain=domain))
            found.append(
                {"model": name, "domain": domain, "share": interval.mean,
                 **interval.bounds(),
                 "seeds": list(interval.seeds), "documents": interval.num_documents}
            )  # fmt: skip
    empty = {"table": pl.DataFrame(), "own": pl.DataFrame()}
    stacked = {"table": pl.concat(tables), "own": pl.concat(counts)} if tables else empty
    return stacked | {"shares": found, "models": models, "unused": unused}


def _routed_lines(config: NexusFindingsConfig, routing: Mapping[str, Any]) -> list[dict[str, Any]]:
    num, own = len(config.previous), routing["own"]
    lines = []
    for name in config.routed:
        if name.startswith("append-"):
            continue
        of_model = own.filter(model=name)
        is_grown = name.endswith("-extended")
        is_papers = name in {"nexus", "nexus-extended"}
        before = of_model.filter(pl.col("domain") != config.appended)
        after = of_model.filter(domain=config.appended)
        if not is_grown:
            line = share_line(
                before, f"{name}: do domains go to their own expert?",
                "41 to 70 %" if is_papers else "", name, 1 / num, claimed=int(is_papers),
            )  # fmt: skip
        else:
            line = share_line(
                after, f"{name}: does the new domain go to the appended expert?",
                "69.1 %" if is_papers else "", name, 1 / (num + 1), claimed=int(is_papers),
            )  # fmt: skip
        lines.append(line if is_papers else line | {"asked_by": "reviewers"})
    return lines


def targets(
    config: NexusFindingsConfig,
    found: Sequence[Mapping[str, Any]],
    models: Mapping[str, Mapping[str, Any]],
) -> dict[str, Any]:
    """Whether the Nexus router specialized: the figures of the toy suite, and if they are met."""
    share = {(row["model"], row["domain"]): row["share"] for row in found}
    before, after = (
        {name: share[model, name] for name in config.previous if (model, name) in share}
        for model in ("nexus", "nexus-extended")
    )
    untuned = share.get(("append-nexus-extended", config.appended))
    grown = share.get(("nexus-extended", config.appended))
    if not before or grown is None:
        return {}
    enough = sum(value >= WANTED_OWN for value in before.values())
    ratio = config.upcycle_tokens / config.extend_tokens
    return {
        "own_share": before,
        "domains_at_60_percent": enough,
        "own_share_met": enough >= min(3, len(before)),
        "own_share_extended": after,
        "appended_share_untuned": untuned,
        "appended_share": grown,
        "appended_share_met": grown >= WANTED_APPENDED and ratio >= 40,
        "upcycle_tokens_over_extend_tokens": ratio,
        "active_parameters": models["nexus-extended"]["active"],
        "parameters": models["nexus-extended"]["total"],
    }
