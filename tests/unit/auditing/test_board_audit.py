import json

import numpy as np
import pytest
from command_line import run_verb

from polylect.auditing import (
    AuditSettings,
    DatedRow,
    Entry,
    Habits,
    Registry,
    SimulatedArena,
    activity_of_boards,
    activity_of_votes,
    audit_board,
    ballots,
    honest_votes,
    most_at_once,
    read_battles,
    read_boards,
)
from polylect.auditing.findings import clustered_share_interval
from polylect.auditing.recommendations import permutation_p_value
from polylect.auditing.rigging import concatenate_voters
from polylect.base import InputError, UndecidableError
from polylect.ranking import VoteTable
from polylect.stats import Proportion, wilson_interval


@pytest.fixture(scope="module")
def audit(planted):
    return audit_board(
        read_battles(planted / "battles.jsonl"),
        read_boards(planted / "boards.jsonl"),
        Registry.read(planted / "registry.jsonl"),
        sources=["battles.jsonl"],
    )


def _verdicts(audit):
    return {
        recommendation.number: recommendation.verdict for recommendation in audit.recommendations
    }


def _figures(audit, key):
    return {figure.label: figure for figure in audit.finding(key).figures}


def test_everything_planted_is_found(audit):
    assert _verdicts(audit) == dict.fromkeys(range(1, 6), "broken")
    access = _figures(audit, "data_access")
    assert access["Big Lab"].value > 0.6
    assert sum(voter.value for voter in access.values()) == pytest.approx(1.0)
    # Four of twelve models for 30 days, of ten for 60, when old-1 and old-2 are gone.
    assert access["Big Lab"].reference == pytest.approx(4 / 36 + 8 / 30, abs=0.002)
    assert "free-1, free-2, old-1, old-2" in audit.finding("retirements").remarks[0]
    quarter = _figures(audit, "duplicates")["over all votes"]
    assert quarter.lower <= 0.25 <= quarter.upper + 0.02
    languages = _figures(audit, "languages")
    assert languages["en"].lower <= 0.4 <= languages["en"].upper
    assert languages["not English, 2025-02"].value == pytest.approx(0.6, abs=0.03)
    variants = audit.finding("variants")
    assert (
        "7 private variants, at most 7 at a time, 1 with a published score" in variants.remarks[0]
    )
    assert "by luck alone" in variants.remarks[0]
    # Of twelve models any ranking of one's own is near to one that helps somebody.
    assert not any(voter["named"] for voter in audit.to_json()["voters"])


def test_honest_voters_who_never_tie_are_not_named(arena_of_habits):
    board_audit = audit_board(arena_of_habits)
    voters = board_audit.to_json()["voters"]
    assert len(voters) == 160
    assert sum(voter["named"] for voter in voters) <= 1
    finding = board_audit.finding("voters")
    assert "honest voters on the same pairs" in finding.definition
    assert "does not say why" in finding.remarks[-1]


@pytest.fixture
def arena_of_habits(world):
    """Votes of 80 voters who never tie and of 80 who often take side A, among many others."""
    simulated = SimulatedArena(world(3, num_models=12, num_votes=60000))
    tables = [
        simulated.honest_table(80, 60, 1, Habits(ties="never")),
        simulated.honest_table(80, 60, 2, Habits(side=0.3)),
        simulated.honest_table(20000, 2, 3),
    ]
    return concatenate_voters(concatenate_voters(*tables[:2]), tables[2])


OWN_RANKINGS = {
    "always the weaker": lambda strength, _: -strength,
    "always the stronger": lambda strength, _: strength,
    "always the longer": lambda _, own: own[0],
    "always the lesser known": lambda _, own: own[1],
    "longer, mostly": lambda _, own: own[0],
    "one language's models": lambda _, own: np.sign(own[2]),
}


@pytest.mark.parametrize("num_models", [6, 12])
def test_honest_voters_with_a_ranking_of_their_own_are_not_named(num_models):
    rng = np.random.default_rng(num_models)
    strength, own = rng.normal(0, 0.7, num_models), rng.normal(0, 1, (3, num_models))
    rows = []
    for kind in [""] * 60 + [kind for kind in OWN_RANKINGS for _ in range(5)]:
        for _ in range(40):
            a, b = rng.choice(num_models, 2, replace=False)
            lead = strength[a] - strength[b]
            first = rng.random() < 1 / (1 + np.exp(-lead))
            if kind and not (kind.endswith("mostly") and rng.random() < 0.4):
                order = OWN_RANKINGS[kind](strength, own)
                first = order[a] > order[b] if order[a] != order[b] else first
            rows.append((a, b, int(not first)))
    a, b, outcome = (np.array(column) for column in zip(*rows, strict=True))
    voter = np.arange(len(rows)) // 40
    table = VoteTable(
        tuple(f"m{i}" for i in range(num_models)),
        a.astype(np.int32),
        b.astype(np.int32),
        outcome.astype(np.int8),
        np.ones(len(rows)),
        {"voter": voter.astype(np.int32)},
        {"voter": tuple(f"u{i}" for i in range(voter.max() + 1))},
    )
    voters = audit_board(table).to_json()["voters"]
    assert len(voters) == 90
    assert not any(voter["named"] for voter in voters)


def test_every_figure_has_a_definition_and_an_interval_or_a_reason(audit):
    assert len(audit.findings) == 10
    for finding in audit.findings:
        assert finding.definition.endswith(".")
        assert finding.interval
        for figure in finding.figures:
            if finding.unit == "share":
                assert figure.lower <= figure.value <= figure.upper
            else:
                assert "none" in finding.interval


def test_without_inputs_the_verdicts_are_not_decidable(planted):
    table = read_battles(planted / "battles.jsonl")
    bare = audit_board(table)
    assert set(_verdicts(bare).values()) == {"not decidable from the data"}
    assert "not computed: shares by provider, no registry" in bare.ledger.by_event()
    registry = Registry.read(planted / "registry.jsonl")
    alone = audit_board(registry=registry)
    assert _verdicts(alone)[1] == _verdicts(alone)[2] == "broken"
    assert _verdicts(alone)[4] == _verdicts(alone)[5] == "not decidable from the data"
    with pytest.raises(InputError, match="nothing to audit"):
        audit_board()


def test_a_fair_board_keeps_what_it_can():
    rng = np.random.default_rng(0)
    names = [f"m{i:02}" for i in range(24)]
    entries = [
        Entry(model=m, provider=f"p{i % 4}", license=["proprietary", "open-weight"][i % 2])
        for i, m in enumerate(names)
    ]
    tested = {"tested_from": "2025-01-01", "tested_to": "2025-01-02"}
    entries.append(Entry(model="x", provider="p0", private=True, score=1.0, **tested))
    num = 40000
    a = rng.integers(0, 24, num)
    b = (a + rng.integers(1, 24, num)) % 24
    table = VoteTable(
        tuple(names),
        a.astype(np.int32),
        b.astype(np.int32),
        rng.integers(0, 2, num).astype(np.int8),
        np.ones(num),
        numbers={"time": np.linspace(1.7e9, 1.7e9 + 86400 * 80, num)},
    )
    audit = audit_board(table, registry=Registry(tuple(entries)))
    assert _verdicts(audit) == dict.fromkeys(range(1, 6), "kept")


def test_a_disconnected_graph_breaks_the_third_recommendation():
    a, b = np.array([0, 0, 2, 2, 4], np.int32), np.array([1, 1, 3, 3, 5], np.int32)
    table = VoteTable(tuple("abcdef"), a, b, np.array([0, 1, 0, 1, 0], np.int8), np.ones(5))
    audit = audit_board(table)
    assert _verdicts(audit)[3] == "broken"
    figures = _figures(audit, "identifiability")
    assert figures["components"].value == 3
    lonely = audit_board(VoteTable(("a", "b"), a[:1], b[:1], np.zeros(1, np.int8), np.ones(1)))
    assert "not computed: fragility, no two models on one finite scale" in (
        lonely.ledger.by_event()
    )


def test_activity_of_boards_and_of_votes_agree(planted):
    boards = activity_of_boards(read_boards(planted / "boards.jsonl"), 59)
    votes = activity_of_votes(read_battles(planted / "battles.jsonl"), 60)
    assert set(boards.rate) == set(votes.rate)
    for model, rate in boards.rate.items():
        assert rate == pytest.approx(votes.rate[model], rel=0.05, abs=0.5)
    assert boards.rate["old-1"] == 0.0
    with pytest.raises(UndecidableError, match="--window 89"):
        activity_of_votes(read_battles(planted / "battles.jsonl"), 200)
    single_date = [DatedRow(date="2025-01-01", model="a", rating=1.0, battles=3)]
    with pytest.raises(UndecidableError):
        activity_of_boards(single_date)


def test_most_at_once_by_hand():
    def tested(start, end):
        return Entry(model="m", provider="p", private=True, tested_from=start, tested_to=end)

    spans = [tested("2025-01-01", "2025-01-05"), tested("2025-01-05", "2025-01-09")]
    assert most_at_once(spans) == 2
    assert most_at_once([*spans, tested("2025-01-06", "2025-01-06")]) == 2
    assert most_at_once([*spans, tested("", "2025-01-06")]) is None
    assert most_at_once([]) == 0


def test_wilson_and_clusters_cover():
    rng = np.random.default_rng(0)
    intervals = [wilson_interval(hits / 50, 50) for hits in rng.binomial(50, 0.1, 2000)]
    assert np.mean([part.lower <= 0.1 <= part.upper for part in intervals]) > 0.93
    covered = 0
    for _ in range(400):
        day = rng.beta(4, 4, 60)
        num = rng.integers(50, 200, 60)
        low, high = clustered_share_interval(
            rng.binomial(num, day).astype(float), num.astype(float)
        )
        covered += low <= 0.5 <= high
    assert covered / 400 >= 0.93
    assert wilson_interval(0.0, 10).lower == 0.0
    assert wilson_interval(1.0, 10).upper == 1.0
    assert wilson_interval(0.0, 0) == Proportion(0.0, 0.0, 1.0)


def test_permutation_agrees_with_fisher():
    from scipy.stats import fisher_exact

    rows = [[8, 2], [2, 8]]
    assert permutation_p_value(rows) == pytest.approx(fisher_exact(rows).pvalue, abs=0.005)
    assert permutation_p_value([[5, 5], [5, 5]]) == 1.0


def test_registries_and_boards_are_checked(tmp_path):
    file = tmp_path / "r.jsonl"

    def written(*rows):
        file.write_text("".join(json.dumps(row) + "\n" for row in rows))
        return file

    model = {"model": "a", "provider": "p"}
    with pytest.raises(InputError, match="comes twice"):
        Registry.read(written(model, model))
    with pytest.raises(InputError, match=r"r.jsonl:1: unknown license.*proprietary"):
        Registry.read(written(model | {"license": "Sparkle 1.0"}))
    with pytest.raises(InputError, match="2025-13-01"):
        Registry.read(written(model | {"retired": "2025-13-01"}))
    with pytest.raises(InputError, match="no entries"):
        Registry.read(written())
    row = {"date": "2025-01-01", "model": "a", "rating": 1.0, "battles": 3}
    with pytest.raises(InputError, match="comes twice"):
        read_boards(written(row, row))
    with pytest.raises(InputError, match="battles"):
        read_boards(written(row | {"battles": -1}))


def test_the_command_writes_page_and_json(planted, tmp_path, capsys):
    arguments = [str(planted / "battles.jsonl"), "--registry", str(planted / "registry.jsonl")]
    assert run_verb("audit", *arguments, "--out", tmp_path) == 0
    output = capsys.readouterr().out
    assert "No score is retracted: private variants are published too: broken" in output
    value = json.loads((tmp_path / "audit.json").read_text())
    assert [recommendation["number"] for recommendation in value["recommendations"]] == [
        1,
        2,
        3,
        4,
        5,
    ]
    assert len(value["swaps"]) == 33
    page = (tmp_path / "audit.html").read_text()
    for text in ("Votes that swap neighbors", "Who receives the prompts", "Big Lab", "broken"):
        assert text in page
    assert "http" not in page
    first = (tmp_path / "audit.json").read_bytes()
    run_verb("audit", *arguments, "--out", tmp_path)
    assert (tmp_path / "audit.json").read_bytes() == first


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ([], "nothing to audit"),
        (["nothing.parquet"], "no such file"),
        (["--floor", "2", "--registry", "x.jsonl"], "--floor"),
        (["--window", "0"], "--window"),
        (["--regstry", "x"], "--registry"),
    ],
)
def test_the_command_refuses_in_one_line(arguments, words):
    with pytest.raises(InputError) as caught:
        run_verb("audit", *arguments)
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)


def test_the_cap_of_the_settings_decides_the_second_verdict(planted):
    registry = Registry.read(planted / "registry.jsonl")
    lax = audit_board(registry=registry, settings=AuditSettings(cap=7))
    assert _verdicts(lax)[2] == "kept"


@pytest.mark.parametrize("outcomes", [[0, 1], [2, 3]])
def test_boards_of_only_verdicts_or_only_ties(outcomes):
    rng = np.random.default_rng(0)
    a = rng.integers(0, 4, 400)
    table = VoteTable(
        tuple("abcd"),
        a.astype(np.int32),
        ((a + rng.integers(1, 4, 400)) % 4).astype(np.int32),
        rng.choice(outcomes, 400).astype(np.int8),
        np.ones(400),
        {"voter": np.repeat(np.arange(20), 20).astype(np.int32)},
        {"voter": tuple(f"u{i}" for i in range(20))},
    )
    audit = audit_board(table)
    assert len(audit.swaps) == 9
    assert np.isfinite([voter["statistic"] for voter in audit.to_json()["voters"]]).all()


def test_boards_alone_give_providers_activity_and_noise():
    rows = [
        DatedRow(
            date=date,
            model=model,
            rating=1000.0,
            battles=num,
            lower=990.0,
            upper=1010.0,
            provider="p",
            license="open-weight",
        )
        for date, nums in (("2025-01-01", (100, 100)), ("2025-02-22", (100, 9000)))
        for model, num in zip("ab", nums, strict=True)
    ]
    audit = audit_board(boards=rows)
    assert _figures(audit, "retirements")["hardly shown, open-weight"].value == 0.5
    assert "Without a registry" in " ".join(audit.finding("retirements").remarks)
    private = [Entry(model=f"x{i}", provider="p", private=True) for i in range(20)]
    words = audit_board(boards=rows, registry=Registry(tuple(private))).finding("variants").remarks
    # 1.867 standard errors of 20 / 3.92 Elo: the expected best of twenty equal ones.
    assert "gain 9.5 Elo by luck alone" in words[0]


def test_a_billion_votes_on_one_pair():
    a, b = np.array([0, 0, 1, 1], np.int32), np.array([1, 1, 2, 2], np.int32)
    votes = np.array([6e8, 4e8, 60, 50])
    table = VoteTable(tuple("abc"), a, b, np.array([0, 1, 0, 1], np.int8), votes)
    swaps = {(swap.better, swap.way): swap for swap in audit_board(table).swaps}
    assert swaps["a", "flip"].num_votes == pytest.approx(1e8, rel=1e-6)
    assert swaps["b", "flip"].num_votes == 6
    with pytest.raises(InputError, match="fit in memory"):
        ballots(
            VoteTable(
                table.models,
                a,
                b,
                table.outcome,
                votes,
                {"voter": np.zeros(4, np.int32)},
                {"voter": ("x",)},
            ),
            honest_votes(table.counts()),
        )


def test_a_registry_of_other_models_is_refused_and_a_part_is_counted(planted):
    boards = read_boards(planted / "boards.jsonl")
    other = Entry(model="zz", provider="p", license="MIT")
    with pytest.raises(InputError, match="the registry has no model of the votes or boards: zz"):
        audit_board(boards=boards, registry=Registry((other,)))
    known = Entry(model=boards[0].model, provider="p", license="MIT")
    ledger = audit_board(boards=boards, registry=Registry((known, other))).ledger
    event = "not used: public entry of the registry without a vote or a board"
    assert ledger.by_event()[event] == 1
