"""Shares of the battles by provider, license and language, and of repeated prompts."""

import numpy as np
import numpy.typing as npt

from polylect.auditing.duplicate_prompts import duplication, months
from polylect.auditing.findings import Figure, Finding, clustered_share_interval, share_figures
from polylect.auditing.live_days import equal_shares, live_days
from polylect.auditing.registry import Registry
from polylect.auditing.sampling_simulation import gini
from polylect.ranking import FloatArray, PairCounts, VoteTable, sum_by
from polylect.stats import wilson_interval

_MIN_DAY = 100
_NUM_LANGUAGES = 12
_BY_DAY = "95 %, days as the independent units (ratio of sums)"
_BY_BATTLE = "95 %, Wilson, battles as independent"


def sampling_shares(
    counts: PairCounts, registry: Registry, kind: str, table: VoteTable | None = None
) -> Finding:
    """Share of battles that include a model of each provider or license class.

    Args:
        counts: all votes.
        registry: the groups.
        kind: ``provider`` or ``license``.
        table: the votes as rows, with ``time`` among the numbers, for intervals by day and the
            largest share of a day.
    """
    live = live_days(table, registry) if table is not None and "time" in table.numbers else None
    models = counts.models if table is None or live is None else table.models
    labels = np.array(registry.group(kind, models), dtype=str)
    groups, group_of, sizes = np.unique(labels, return_inverse=True, return_counts=True)
    figures, largest = [], []
    if table is None or live is None:
        first, second = group_of[counts.first], group_of[counts.second]
        reference = _equal_shares(sizes, counts.num_models)
        for g, name in enumerate(groups):
            hits = float(counts.totals[(first == g) | (second == g)].sum())
            share = wilson_interval(hits / counts.num_votes, counts.num_votes)
            limits = (share.value, share.lower, share.upper)
            figures.append(Figure(str(name), *limits, hits, float(reference[g])))
    else:
        by_right, _ = equal_shares(live.is_live, group_of, len(groups))
        for g, name in enumerate(groups):
            is_hit = (group_of[table.a] == g) | (group_of[table.b] == g)
            hits = sum_by(live.day, table.count * is_hit, len(live.num_votes))
            used = (live.num_votes > 0) & (by_right[:, g] > 0)
            num = live.num_votes[used]
            if not num.sum():
                continue
            share = float(hits[used].sum() / num.sum())
            lower, upper = clustered_share_interval(hits[used], num)
            reference = float(num @ by_right[used, g] / num.sum())
            figures.append(
                Figure(str(name), share, lower, upper, float(hits[used].sum()), reference)
            )
            enough = used & (live.num_votes >= _MIN_DAY)
            if enough.any():
                top = float((hits[enough] / live.num_votes[enough]).max())
                largest.append(f"{name} {top:.1%}")
    remarks = []
    if largest:
        remarks.append(
            f"Largest share of a day with {_MIN_DAY} battles or more: {', '.join(sorted(largest))}."
        )
    definition = (
        f"Share of the battles that show at least one model of the {kind}, on the days on which it "
        "had one on the board; beside it the share that it would have if all pairs of the models "
        "on the board that day were shown alike. A model is on the board from its first to its "
        "last vote, or longer by the registry's dates."
    )
    if live is None:
        definition = (
            f"Share of all battles that show at least one model of the {kind}; beside it the share "
            "that it would have if all models had been there all the time and all pairs were shown "
            "alike. The votes have no times, so that nobody knows whether they were."
        )
    return Finding(
        f"sampling_{kind}",
        f"Sampling by {kind}",
        definition,
        _BY_BATTLE if live is None else _BY_DAY,
        "share",
        tuple(sorted(figures, key=lambda figure: -figure.value)),
        tuple(remarks),
    )


def data_access(counts: PairCounts, registry: Registry, table: VoteTable | None = None) -> Finding:
    """Share of the prompts that each provider receives: a vote is a call to each of its sides.

    Args:
        counts: all votes.
        registry: the providers.
        table: the votes as rows; with ``time`` an equal share is of the models live that day.
    """
    labels = np.array(registry.group("provider", counts.models), dtype=str)
    groups, group_of, sizes = np.unique(labels, return_inverse=True, return_counts=True)
    calls = sum_by(group_of, counts.battles, len(groups))
    total = float(calls.sum())
    names = [str(name) for name in groups]
    reference = sizes / counts.num_models
    if table is not None and "time" in table.numbers:
        live = live_days(table, registry)
        place = {name: g for g, name in enumerate(names)}
        providers = registry.group("provider", table.models)
        # A model of the table without a valid vote is live on no day.
        group_of = np.array([place.get(name, 0) for name in providers])
        _, parts = equal_shares(live.is_live, group_of, len(names))
        reference = live.num_votes @ parts / live.num_votes.sum()
    figures = share_figures(names, calls, total, reference.tolist())
    known = [(figure.value, figure.label) for figure in figures if figure.label != "unknown"]
    remarks = [
        f"{total:,.0f} calls in all. The four largest together: "
        f"{sum(value for value, _ in known[:4]):.1%}.",
        f"Gini coefficient of battles per model: {gini(counts.battles):.2f} (0: all alike).",
    ]
    if len(known) > 1 and known[-1][0] > 0:
        remarks.append(
            f"{known[0][1]} receives {known[0][0] / known[-1][0]:,.0f} times as many prompts as "
            f"{known[-1][1]}."
        )
    return Finding(
        "data_access",
        "Who receives the prompts",
        "Share of all calls (two per vote) that go to the provider's models; beside it the "
        "provider's share of the models (with times, of those on the board that day). Whoever "
        "serves a model can keep what it is asked.",
        "95 %, Wilson, calls as independent; prompts of one user are not, so these are too narrow",
        "share",
        figures,
        tuple(remarks),
    )


def language_shares(table: VoteTable) -> Finding:
    """Share of votes by language, and by month the share that is not English."""
    codes = table.codes["language"]
    known = codes >= 0
    votes = sum_by(codes[known], table.count[known], len(table.labels["language"]))
    total = float(votes.sum())
    names = list(table.labels["language"])
    figures = list(share_figures(names, votes, total)[:_NUM_LANGUAGES]) if total else []
    if total and "time" in table.numbers:
        english = np.array([name.lower() in {"en", "english"} for name in names])
        month = months(table.numbers["time"])
        for period in sorted(set(month[known])):
            rows = known & (month == period)
            other = float(table.count[rows][~english[codes[rows]]].sum())
            num = float(table.count[rows].sum())
            figures += share_figures([f"not English, {period}"], np.array([other]), num)
    unknown = float(table.count[~known].sum())
    remarks = (f"{unknown:,.0f} votes name no language.",) if unknown else ()
    return Finding(
        "languages",
        "Languages",
        "Share of the votes that name a language.",
        _BY_BATTLE,
        "share",
        tuple(figures),
        remarks,
    )


def duplicates(table: VoteTable) -> Finding | None:
    """Share of repeated prompts, over all votes and by month; None if no vote has a prompt."""
    periods = duplication(table)
    if not periods:
        return None
    figures = tuple(
        Figure(
            f"within {period.period}" if period.period else "over all votes",
            period.share,
            period.lower,
            period.upper,
            period.num_votes,
        )
        for period in periods
    )
    remarks = tuple(
        f"{period.from_before:.1%} of the votes of {period.period} repeat a prompt of the month "
        "before."
        for period in periods
        if period.from_before is not None
    )
    return Finding(
        "duplicates",
        "Prompts that repeat",
        "Share of votes whose exact prompt came earlier in the same period. Near-duplicates are "
        "not counted.",
        "95 %, prompts as the independent units",
        "share",
        figures,
        remarks,
    )


def _equal_shares(sizes: npt.NDArray[np.int64], num_models: int) -> FloatArray:
    """(G,) share of all pairs that include a model of each group."""
    pairs = num_models * (num_models - 1) / 2.0
    others = num_models - sizes
    return 1.0 - others * (others - 1) / 2.0 / max(pairs, 1.0)
