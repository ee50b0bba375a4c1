"""Stability of a board: what the votes identify, how few votes swap models, and odd voters."""

import numpy as np

from polylect.auditing.directed import directed_test
from polylect.auditing.findings import Figure, Finding
from polylect.auditing.honest_voter_model import ballots, honest_votes
from polylect.auditing.vote_fragility import Swap, fragility
from polylect.auditing.voter_habits import TASTE_SD
from polylect.auditing.voter_tests import VoterTest
from polylect.base import Ledger
from polylect.ranking import (
    ELO_PER_NAT,
    Identifiability,
    PairCounts,
    Ratings,
    VoteTable,
    fit_davidson,
    sum_by,
)
from polylect.stats import two_sided_z

_FEW_VOTES = 10
_MIN_VOTES = 5
_MAX_VOTERS = 2000
_SHOWN = 20


def identifiability(counts: PairCounts, identified: Identifiability) -> Finding:
    """Components, models without a finite rating, and models without votes."""
    separated = [name for groups in identified.groups for group in groups for name in group]
    met = len(counts.first) / max(counts.num_models * (counts.num_models - 1) / 2.0, 1.0)
    figures = (
        Figure("models", float(counts.num_models)),
        Figure("components", float(len(identified.components))),
        Figure("models without a finite rating", float(len(separated))),
        Figure("models without a vote", float(len(identified.unfought))),
    )
    remarks = [f"{met:.0%} of all pairs of models have met."]
    if not identified.is_connected:
        sizes = ", ".join(str(len(models)) for models in identified.components)
        remarks.append(
            f"No votes link the components (of {sizes} models): a joint rank is refused, and what "
            "follows speaks of the largest alone."
        )
    if separated:
        remarks.append(f"Only won or only lost: {', '.join(sorted(separated)[:_SHOWN])}.")
    return Finding(
        "identifiability",
        "What the votes identify",
        "Components are groups of models that any chain of votes links; a rating is finite when "
        "the model both won and lost points against the rest (Ford 1957).",
        "none: a property of the votes that were cast",
        "count",
        figures,
        tuple(remarks),
    )


def fragile_neighbors(counts: PairCounts, ratings: Ratings) -> tuple[Finding, tuple[Swap, ...]]:
    """Fewest votes that swap neighbors: the finding, and all swaps in order of rank."""
    swaps = fragility(counts, ratings)
    figures = []
    for way, plural in (("flip", "flips"), ("remove", "removals"), ("add", "additions")):
        nums = [swap.num_votes for swap in swaps if swap.way == way and swap.num_votes is not None]
        if nums:
            few = sum(num <= _FEW_VOTES for num in nums)
            label = f"swapped by {_FEW_VOTES} {plural} or fewer"
            figures.append(Figure(label, float(few), num=float(len(nums))))
            figures.append(Figure(f"median {plural} needed", float(np.median(nums))))
    impossible = sum(swap.num_votes is None for swap in swaps)
    num_different = _significant_neighbors(ratings)
    remarks = [f"{num_different} of {len(ratings.models) - 1} neighbors differ at 95 %."]
    if impossible:
        remarks.append(f"{impossible} swaps are out of reach while every rating stays finite.")
    finding = Finding(
        "fragility",
        "Votes that swap neighbors",
        "For each pair of neighbors on the board the fewest votes found whose removal, addition "
        "or flip swaps the two. Found by influence, each confirmed by a refit; no proof that no "
        "smaller set exists.",
        "none: a property of the votes that were cast",
        "count",
        tuple(figures),
        tuple(remarks),
    )
    return finding, swaps


def odd_voters(
    table: VoteTable, counts: PairCounts, ratings: Ratings, by: str, seed: int
) -> tuple[Finding, VoterTest, Ledger] | None:
    """Voters whose decisive votes lean towards one model more than habits explain.

    Returns:
        The finding, the test of every voter, and a ledger of voters and votes that are not tested;
        None if nobody voted often enough.
    """
    codes = table.codes[by]
    num_votes = sum_by(codes[codes >= 0], table.count[codes >= 0], len(table.labels[by]))
    order = np.argsort(-num_votes, kind="stable")
    tested = order[num_votes[order] >= _MIN_VOTES][:_MAX_VOTERS]
    ledger = Ledger()
    few = (num_votes > 0) & (num_votes < _MIN_VOTES)
    ledger.count(f"not tested: voter of fewer than {_MIN_VOTES} votes", int(few.sum()))
    skipped = int((num_votes >= _MIN_VOTES).sum()) - len(tested)
    ledger.count(f"not tested: voter beyond the {_MAX_VOTERS} most active", skipped)
    if not len(tested):
        return None
    honest = honest_votes(counts, fit_davidson(counts))
    votes = ballots(table.filter(np.isin(codes, tested)), honest, by)
    test = directed_test(votes, ratings, None, seed=seed)
    named = test.discovered()
    ledger.count("not tested: tie or both bad, no direction", int((votes.kind == 1).sum()))
    figures = [
        Figure("voters tested", float(len(test.voters))),
        Figure("voters named", float(named.sum()), num=float(len(test.voters))),
        Figure("decisive votes of the voters named", float(test.num_votes[named].sum())),
    ]
    suspects, hits = np.unique(np.array(test.suspect)[named], return_counts=True)
    remarks = [
        f"{hits[i]} of them lean towards {suspects[i]}."
        for i in np.argsort(-hits, kind="stable")[:5]
    ]
    remarks.append(
        "A small p-value says that such votes are rare among honest voters with these habits. It "
        "does not say why they were cast: whoever likes a model far more than others do, or has a "
        "habit that is not listed, votes like this too. Look at the votes before accusing anybody. "
        "On a board of a dozen models any ranking of one's own is near to one that helps somebody: "
        "nobody can be named there."
    )
    finding = Finding(
        "voters",
        "Votes that lean one way",
        "Voters whose decisive votes help one model through the ratings more often than habits "
        "explain. They are compared with honest voters on the same pairs who have the habits that "
        "the voter's own votes show (a side, the higher rated or the better known of the two, "
        f"random clicks) and a taste of their own, ±{TASTE_SD * ELO_PER_NAT:.0f} Elo per model. "
        "Ties tell no direction and do not count. Of the voters named, at most 1 % are expected to "
        "be honest voters of this kind (Benjamini and Hochberg).",
        "none: each voter has a p-value, in audit.json",
        "count",
        tuple(figures),
        tuple(remarks),
    )
    return finding, test, ledger + votes.ledger


def _significant_neighbors(ratings: Ratings) -> int:
    """Number of neighbors on the board whose difference is significant at 95 %."""
    error = ratings.difference_error
    limit = two_sided_z(0.95)
    pairs = list(zip(ratings.order, ratings.order[1:], strict=False))
    return sum(ratings.elo[i] - ratings.elo[j] > limit * error[i, j] for i, j in pairs)
