"""The audit of a public board: from votes, dated boards and a registry to findings and verdicts."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from polylect.auditing.findings import Finding, Recommendation
from polylect.auditing.lifetimes import (
    WINDOW_DAYS,
    Activity,
    activity_of_boards,
    activity_of_votes,
    private_variants,
    retirements,
)
from polylect.auditing.recommendations import (
    capped_variants,
    even_retirement,
    fair_sampling,
    no_retraction,
    public_record,
)
from polylect.auditing.registry import DatedRow, Registry, registry_of
from polylect.auditing.shares import data_access, duplicates, language_shares, sampling_shares
from polylect.auditing.stability import fragile_neighbors, identifiability, odd_voters
from polylect.auditing.vote_fragility import Swap
from polylect.auditing.voter_tests import VoterTest
from polylect.base import (
    Count,
    InputError,
    Ledger,
    Seed,
    Share,
    UndecidableError,
    check_settings,
    count_look_alikes,
    plain,
)
from polylect.ranking import PairCounts, Ratings, VoteTable, fit_bradley_terry, identify, read_votes
from polylect.rows import read_dicts
from polylect.stats import two_sided_z

_CODES = {"language": "language", "prompt": "prompt", "voter": "voter", "judge": "voter"}
_TIMES = ("time", "tstamp")


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditSettings:
    """Limits and the window of an audit.

    Attributes:
        cap: private variants that a provider may test at a time (the paper names three).
        floor: smallest allowed share of a class or provider, over its equal share.
        window_days: days over which a model's activity is measured.
        seed: of the draws of honest voters.
    """

    cap: Count = 3
    floor: Share = 0.9
    window_days: Count = WINDOW_DAYS
    seed: Seed = 0

    def __post_init__(self) -> None:
        check_settings(self)


@dataclass(frozen=True, eq=False, slots=True)
class Audit:
    """The content of ``audit.json`` and of the page.

    Attributes:
        sources: names of the audited files.
        findings: sections of figures.
        recommendations: verdicts on the paper's five recommendations.
        ledger: what was dropped, and what could not be computed.
        swaps: per pair of neighbors and way, the fewest votes that swap them.
        voters: the test of every voter; None if it was not possible.
        ratings: of the largest core of the votes; None without votes.
    """

    sources: tuple[str, ...]
    findings: tuple[Finding, ...]
    recommendations: tuple[Recommendation, ...]
    ledger: Ledger
    swaps: tuple[Swap, ...]
    voters: VoterTest | None
    ratings: Ratings | None

    def finding(self, key: str) -> Finding | None:
        """The finding of a key, or None."""
        return next((finding for finding in self.findings if finding.key == key), None)

    def to_json(self) -> dict[str, Any]:
        """The value of ``audit.json``."""
        voters = []
        if self.voters is not None:
            test, named = self.voters, self.voters.discovered()
            voters = [
                {
                    "voter": name,
                    "decisive_votes": int(test.num_votes[i]),
                    "statistic": float(test.statistic[i]),
                    "p_value": float(test.p_value[i]),
                    "suspect": test.suspect[i],
                    "named": bool(named[i]),
                }
                for i, name in enumerate(test.voters)
            ]
        return {
            "sources": list(self.sources),
            "recommendations": [plain(verdict) for verdict in self.recommendations],
            "findings": {finding.key: plain(finding) for finding in self.findings},
            "ledger": self.ledger.to_json(),
            "swaps": [plain(swap) for swap in self.swaps],
            "voters": voters,
        }


def read_battles(path: Path) -> VoteTable:
    """Votes with every column that an audit can use and that the file has.

    Raises:
        InputError: as ``ranking.read_votes``.
    """
    names = _column_names(path)
    codes = sorted({column for name, column in _CODES.items() if name in names})
    numbers = ["time"] if any(name in names for name in _TIMES) else []
    return read_votes(path, codes=codes, numbers=numbers)


def audit_board(
    table: VoteTable | None = None,
    boards: Sequence[DatedRow] = (),
    registry: Registry | None = None,
    settings: AuditSettings | None = None,
    sources: Sequence[str] = (),
) -> Audit:
    """Every finding that the inputs allow. The ledger names what could not be computed.

    Args:
        table: votes, from ``read_battles``.
        boards: dated boards.
        registry: models and private variants.
        settings: limits.
        sources: names of the files, for the page.

    Raises:
        InputError: there is no input.
    """
    settings = settings or AuditSettings()
    if table is None and not boards and registry is None:
        raise InputError("nothing to audit", "give a file of votes, --boards or --registry")
    # Providers and licenses may come from the boards; private variants only from a registry.
    groups = registry or registry_of(boards)
    ledger = Ledger() if table is None else Ledger() + table.ledger
    entries = () if groups is None else groups.entries
    voted, dated = () if table is None else table.models, [row.model for row in boards]
    count_look_alikes(ledger, "models", {*voted, *dated, *(entry.model for entry in entries)})
    count_look_alikes(ledger, "providers", {entry.provider for entry in entries})
    findings: list[Finding] = []
    sampling: list[Finding] = []
    swaps: tuple[Swap, ...] = ()
    voters: VoterTest | None = None
    ratings: Ratings | None = None
    num_components: int | None = None
    if table is not None:
        counts = table.counts()
        if groups is not None:
            sampling = [sampling_shares(counts, groups, k, table) for k in ("provider", "license")]
            findings += [*sampling, data_access(counts, groups, table)]
        else:
            ledger.count("not computed: shares by provider, no registry")
        identified = identify(counts)
        num_components = len(identified.components)
        findings.append(identifiability(counts, identified))
        core = counts.restricted(identified.largest_core)
        if core.num_models < 2:
            ledger.count("not computed: fragility, no two models on one finite scale")
        else:
            ratings = fit_bradley_terry(core)
            finding, swaps = fragile_neighbors(core, ratings)
            findings.append(finding)
            voters = _test_voters(table, core, ratings, settings.seed, findings, ledger)
    if registry is not None:
        findings.insert(0, private_variants(registry, _noise(ratings, boards)))
    activity = _activity(table, boards, settings, ledger)
    silent: set[str] | None = None
    if activity is not None:
        finding, silent = retirements(activity, registry, groups)
        findings.append(finding)
    if table is not None:
        _add_contents(table, findings, ledger)
    models = {row.model for row in boards} | set(() if table is None else table.models)
    if registry is not None and models:
        public = [entry.model for entry in registry.entries if not entry.private]
        if public and not models & set(public):
            raise InputError(
                f"the registry has no model of the votes or boards: {', '.join(public[:3])}"
                f" against {', '.join(sorted(models)[:3])}",
                "name the models in the registry as the votes do",
            )
        num = sum(name not in models for name in public)
        ledger.count("not used: public entry of the registry without a vote or a board", num)
    verdicts = (
        no_retraction(registry),
        capped_variants(registry, settings.cap),
        even_retirement(activity, groups, num_components),
        fair_sampling(sampling, settings.floor, table is not None and "time" in table.numbers),
        public_record(registry, sorted(models) or None, silent),
    )
    return Audit(tuple(sources), tuple(findings), verdicts, ledger, swaps, voters, ratings)


def _test_voters(
    table: VoteTable,
    core: PairCounts,
    ratings: Ratings,
    seed: int,
    findings: list[Finding],
    ledger: Ledger,
) -> VoterTest | None:
    """The test of every voter; adds its finding, or the reason why there is none."""
    if "voter" not in table.codes:
        ledger.count("not computed: voters, no column 'voter'")
        return None
    try:
        result = odd_voters(table, core, ratings, "voter", seed)
    except UndecidableError as error:
        ledger.count(f"not computed: voters, {error.message}")
        return None
    if result is None:
        return None
    finding, voters, untested = result
    findings.append(finding)
    for event, where, num in untested.rows():
        ledger.count(event, num, where)
    return voters


def _activity(
    table: VoteTable | None, boards: Sequence[DatedRow], settings: AuditSettings, ledger: Ledger
) -> Activity | None:
    """Activity from the votes if they have times, else from the boards."""
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


def _add_contents(table: VoteTable, findings: list[Finding], ledger: Ledger) -> None:
    """Add the findings on prompts and languages, or count the missing columns."""
    if "prompt" in table.codes:
        finding = duplicates(table)
        findings += [finding] if finding is not None else []
    else:
        ledger.count("not computed: duplicates, no column 'prompt'")
    if "language" in table.codes:
        findings.append(language_shares(table))
    else:
        ledger.count("not computed: languages, no column 'language'")


def _column_names(path: Path) -> set[str]:
    """Names of the columns of a file of rows; for JSON lines those of the first row."""
    if path.suffix == ".parquet" and path.is_file():
        try:
            return set(pq.read_schema(path).names)
        except (pa.ArrowException, OSError):
            # read_votes reports the error.
            return set()
    first = next(iter(read_dicts(path)), None)
    return set() if first is None else set(first[1])
