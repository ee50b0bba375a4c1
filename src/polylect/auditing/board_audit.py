"""The audit of a public board: from votes, dated boards and a registry to findings and verdicts."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from polylect.auditing.figures import Audit, Finding, Recommendation
from polylect.auditing.lifetimes import (
    WINDOW_DAYS,
    Activity,
    activity_of_boards,
    activity_of_votes,
    private_variants,
    retirements,
)
from polylect.auditing.registry import DatedRow, Registry, registry_of
from polylect.auditing.shares import data_access, duplicates, language_shares, sampling_shares
from polylect.auditing.stability import fragile_neighbors, identifiability, odd_voters
from polylect.auditing.verdicts import (
    capped_variants,
    even_retirement,
    fair_sampling,
    no_retraction,
    public_record,
)
from polylect.auditing.vote_fragility import Swap
from polylect.auditing.voters import VoterTest
from polylect.base import InputError, Ledger, UndecidableError, plain
from polylect.ranking import (
    PairCounts,
    Ratings,
    VoteTable,
    fit_bradley_terry,
    identify,
    read_votes,
)
from polylect.rows import read_dicts
from polylect.stats import two_sided_z

_CODES = {"language": "language", "prompt": "prompt", "voter": "voter", "judge": "voter"}
_TIMES = ("time", "tstamp")


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditSettings:
    """What counts as too much, and over which days.

    Attributes:
        cap: private variants that a provider may test at a time (the paper names three).
        floor: least part of its equal share that a class or provider must be shown.
        window_days: over which a model's activity is measured.
        seed: of the draws of honest voters.
    """

    cap: int = 3
    floor: float = 0.9
    window_days: int = WINDOW_DAYS
    seed: int = 0


@dataclass(frozen=True, eq=False, slots=True)
class Inquiry:
    """An audit with the tables behind its findings.

    Attributes:
        audit: findings and verdicts.
        swaps: per pair of neighbors and way, the fewest votes.
        voters: the test of every voter, or None.
        ratings: of the largest rankable group, or None without votes.
    """

    audit: Audit
    swaps: tuple[Swap, ...]
    voters: VoterTest | None
    ratings: Ratings | None

    def to_json(self) -> dict[str, Any]:
        """The value of ``audit.json``: the audit, ``swaps``, and ``voters`` with p-values."""
        value = self.audit.to_json()
        value["swaps"] = [plain(one) for one in self.swaps]
        value["voters"] = []
        if self.voters is not None:
            test = self.voters
            found = test.discovered()
            value["voters"] = [
                {
                    "voter": name,
                    "votes": int(test.num_votes[i]),
                    "statistic": float(test.statistic[i]),
                    "p_value": float(test.p_value[i]),
                    "suspect": test.suspect[i],
                    "found": bool(found[i]),
                }
                for i, name in enumerate(test.voters)
            ]
        return value


def read_battles(path: Path) -> VoteTable:
    """Votes with every column that an audit can use and that the file has.

    Raises:
        InputError: as ``rank.read_votes``.
    """
    names = _columns(path)
    codes = sorted({column for name, column in _CODES.items() if name in names})
    numbers = ["time"] if any(name in names for name in _TIMES) else []
    return read_votes(path, codes=codes, numbers=numbers)


def inquire(
    table: VoteTable | None = None,
    boards: Sequence[DatedRow] = (),
    registry: Registry | None = None,
    settings: AuditSettings | None = None,
    sources: Sequence[str] = (),
) -> Inquiry:
    """Everything that can be said from what there is; what cannot is said too.

    Args:
        table: votes, from ``read_battles``.
        boards: dated boards.
        registry: of models and private variants.
        settings: limits.
        sources: names of the files, for the page.

    Raises:
        InputError: nothing was given.
    """
    settings = settings or AuditSettings()
    if table is None and not boards and registry is None:
        raise InputError("nothing to audit", "give a file of votes, --boards or --registry")
    # Providers and licenses may come from the boards; private variants only from a registry.
    groups = registry or registry_of(boards)
    ledger = Ledger() if table is None else Ledger() + table.ledger
    findings: list[Finding] = []
    sampling: list[Finding] = []
    swaps: tuple[Swap, ...] = ()
    voters: VoterTest | None = None
    ratings: Ratings | None = None
    num_components: int | None = None
    counts = None if table is None else table.counts()
    if table is not None and counts is not None:
        if groups is not None:
            sampling = [sampling_shares(counts, groups, k, table) for k in ("provider", "license")]
            findings += [*sampling, data_access(counts, groups)]
        else:
            ledger.count("not computed: shares by provider, no registry")
        found = identify(counts)
        num_components = len(found.components)
        firm = identifiability(counts, found)
        core = counts.restricted(max(found.cores, key=len, default=()))
        ratings, swaps, voters, more = _firmness(core, table, settings, ledger)
        findings += [firm, *more]
    if registry is not None:
        findings.insert(0, private_variants(registry, _noise(ratings, boards)))
    activity = _activity(table, boards, settings, ledger)
    silent: set[str] | None = None
    if activity is not None:
        finding, silent = retirements(activity, registry, groups)
        findings.append(finding)
    if table is not None:
        findings += _contents(table, ledger)
    models = _models(table, boards)
    verdicts: tuple[Recommendation, ...] = (
        no_retraction(registry),
        capped_variants(registry, settings.cap),
        even_retirement(activity, groups, num_components),
        fair_sampling(sampling, settings.floor),
        public_record(registry, models, silent),
    )
    audit = Audit(tuple(sources), tuple(findings), verdicts, ledger)
    return Inquiry(audit, swaps, voters, ratings)


def _firmness(
    core: PairCounts, table: VoteTable, settings: AuditSettings, ledger: Ledger
) -> tuple[Ratings | None, tuple[Swap, ...], VoterTest | None, list[Finding]]:
    if core.num_models < 2:
        ledger.count("not computed: fragility, no two models on one finite scale")
        return None, (), None, []
    ratings = fit_bradley_terry(core)
    finding, swaps = fragile_neighbors(core, ratings)
    findings = [finding]
    voters = None
    if "voter" in table.codes:
        try:
            tested = odd_voters(table, core, ratings, "voter", settings.seed)
        except UndecidableError as error:
            ledger.count(f"not computed: voters, {error.message}")
            tested = None
        if tested is not None:
            finding, voters, untested = tested
            findings.append(finding)
            for event, where, num in untested.rows():
                ledger.count(event, num, where)
    else:
        ledger.count("not computed: voters, no column 'voter'")
    return ratings, swaps, voters, findings


def _activity(
    table: VoteTable | None, boards: Sequence[DatedRow], settings: AuditSettings, ledger: Ledger
) -> Activity | None:
    try:
        if table is not None and "time" in table.numbers:
            return activity_of_votes(table, settings.window_days)
        if boards:
            return activity_of_boards(boards, settings.window_days)
    except UndecidableError as error:
        ledger.count(f"not computed: retirements, {error.message}")
        return None
    ledger.count("not computed: retirements, no times and no boards")
    return None


def _noise(ratings: Ratings | None, boards: Sequence[DatedRow]) -> float | None:
    """Median standard error of a rating, in Elo: of the fit, or of the boards' 95 % limits."""
    if ratings is not None:
        return float(np.median(ratings.standard_error))
    widths = [
        row.upper - row.lower for row in boards if row.upper is not None and row.lower is not None
    ]
    return float(np.median(widths)) / (2.0 * two_sided_z(0.95)) if widths else None


def _contents(table: VoteTable, ledger: Ledger) -> list[Finding]:
    findings: list[Finding] = []
    if "prompt" in table.codes:
        found = duplicates(table)
        findings += [found] if found is not None else []
    else:
        ledger.count("not computed: duplicates, no column 'prompt'")
    if "language" in table.codes:
        findings.append(language_shares(table))
    else:
        ledger.count("not computed: languages, no column 'language'")
    return findings


def _models(table: VoteTable | None, boards: Sequence[DatedRow]) -> list[str] | None:
    names = set() if table is None else set(table.models)
    names |= {row.model for row in boards}
    return sorted(names) or None


def _columns(path: Path) -> set[str]:
    """Names of the columns of a file of rows; of JSON lines those of the first row."""
    if path.suffix == ".parquet" and path.is_file():
        try:
            return set(pq.read_schema(path).names)
        except (pa.ArrowException, OSError):
            # read_votes says what is wrong with it.
            return set()
    first = next(iter(read_dicts(path)), None)
    return set() if first is None else set(first[1])
