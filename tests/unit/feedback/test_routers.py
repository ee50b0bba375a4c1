"""Routers on planted pools: who is best is found, nobody else generates, nothing leaks."""

import numpy as np
import polars
import pytest
from planted_pools import NAMES, planted_pool, pooled, write_pool

import polylect as pl
from polylect.base import InputError, Ledger
from polylect.feedback import (
    RouteConfig,
    calibration_part,
    kl_loss,
    reward_distribution,
    routed_rows,
    router_table,
    train_router,
    train_routers,
)
from polylect.rows import PooledAnswer, read_conversations, read_rows

LANGUAGES = ("th", "ja", "ar", "yo")


@pytest.fixture(autouse=True)
def _here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def routes_of(rows, rewards, config=None, judged=None):
    """Routed teachers by router, with the table and the calibration part."""
    config, ledger = config or RouteConfig(), Ledger()
    table = router_table(rows, rewards, judged or rewards, config.gate, ledger)
    calibration = calibration_part(table.prompts, config.calibration, config.seed)
    prompts = [table.rows[table.rows_of(i)[0]].asked for i in range(len(table.prompts))]
    trained = train_routers(table, calibration, [p.prompt for p in prompts], config, ledger)
    routed = {
        router: [table.rows[part[0]].teacher
                 for part in routed_rows(router, table, trained, prompts, config, ledger)]
        for router in ("best", "fixed", "reward", "learned", "random")
    }  # fmt: skip
    return routed, table, calibration, trained


def test_planted_best_teachers_are_found():
    rows, rewards = planted_pool(LANGUAGES, 60, noise=0.15)
    routed, table, calibration, _ = routes_of(rows, rewards)
    planted = [NAMES[LANGUAGES.index(language) % 3] for language, _ in table.prompts]
    held_out = ~calibration
    hits = {name: np.mean([a == b for a, b, is_in in zip(names, planted, held_out, strict=True)
                           if is_in]) for name, names in routed.items()}  # fmt: skip
    assert hits["reward"] >= 0.99
    assert hits["learned"] >= 0.9
    assert hits["fixed"] == 1
    assert 0.15 < hits["random"] < 0.55
    assert len(set(routed["best"])) == 1


def test_a_learned_router_sees_what_a_prompt_is_about():
    topics = ("recipe for soup", "proof of a theorem", "poem about rain")
    rows, rewards = [], {}
    for number in range(150):
        for j, teacher in enumerate(NAMES):
            row = pooled("en", number, teacher, prompt=f"Write a {topics[number % 3]}, {number}")
            rows.append(row)
            rewards[row.key] = float(number % 3 == j)
    rows.sort(key=lambda row: row.key)
    routed, table, calibration, _ = routes_of(rows, rewards)
    planted = [NAMES[int(id_[1:]) % 3] for _, id_ in table.prompts]
    pairs = [(a, b) for a, b, is_in in zip(routed["learned"], planted, calibration, strict=True)
             if not is_in]  # fmt: skip
    assert np.mean([a == b for a, b in pairs]) >= 0.9
    assert np.mean([a == b for a, b in zip(routed["fixed"], planted, strict=True)]) < 0.5


def test_the_fixed_router_takes_exactly_the_best_of_the_calibration_part():
    rows, rewards = planted_pool(LANGUAGES, 30, noise=3.0, seed=5)
    routed, table, calibration, _ = routes_of(rows, rewards)
    for language in LANGUAGES:
        inside = calibration & (table.languages == language)
        means = [np.mean([rewards[language, table.prompts[i][1], name, 0]
                          for i in np.flatnonzero(inside)]) for name in table.teachers]  # fmt: skip
        expected = table.teachers[int(np.argmax(means))]
        chosen = {name for name, (tag, _) in zip(routed["fixed"], table.prompts, strict=True)
                  if tag == language}  # fmt: skip
        assert chosen == {expected}


def test_translations_of_a_prompt_are_on_one_side_and_the_share_is_kept():
    prompts = [(tag, f"p{i}") for tag in LANGUAGES for i in range(50)]
    part = calibration_part(prompts, 0.3, 0)
    assert part.sum() == 4 * 15
    by_id = {id_: {bool(part[i]) for i, (_, x) in enumerate(prompts) if x == id_}
             for _, id_ in prompts}  # fmt: skip
    assert all(len(sides) == 1 for sides in by_id.values())
    assert (calibration_part(prompts, 0.3, 1) != part).any()


def test_kl_loss_and_gradient_are_those_of_float64_reference():
    torch = pytest.importorskip("torch")
    random = np.random.default_rng(0)
    features, weights = random.normal(size=(7, 5)), random.normal(size=(5, 3))
    rewards = random.normal(size=(7, 3))
    rewards[2, 1] = np.nan
    targets, present = reward_distribution(rewards, 0.7), ~np.isnan(rewards)
    loss, gradient = kl_loss(weights, features, targets, present, 0.01)
    w = torch.tensor(weights, requires_grad=True)
    logits = (torch.tensor(features) @ w).masked_fill(~torch.tensor(present), -torch.inf)
    log_q = torch.log_softmax(logits, 1).masked_fill(~torch.tensor(present), 0.0)
    p = torch.tensor(targets)
    expected = (torch.special.xlogy(p, p) - p * log_q).sum(1).mean() + 0.005 * (w**2).sum()
    expected.backward()
    assert loss == pytest.approx(expected.item(), rel=1e-12)
    np.testing.assert_allclose(gradient, w.grad.numpy(), rtol=1e-10, atol=1e-13)
    assert targets.sum(1) == pytest.approx(np.ones(7))
    assert targets[2, 1] == 0


@pytest.mark.parametrize("scale", [1e-3, 1.0, 1e4])
def test_the_target_and_the_router_do_not_depend_on_the_scale_of_the_reward(scale):
    random = np.random.default_rng(1)
    rewards = random.normal(size=(20, 3))
    vectors, tags = random.normal(size=(20, 4)), ["de"] * 20
    plain = train_router(vectors, tags, rewards, 0.5, 1e-3).weights
    np.testing.assert_allclose(reward_distribution(scale * rewards + 7, 0.5),
                               reward_distribution(rewards, 0.5), rtol=1e-6)  # fmt: skip
    np.testing.assert_allclose(
        train_router(vectors, tags, scale * rewards, 0.5, 1e-3).weights, plain, atol=1e-3
    )


def test_the_gate_keeps_the_wrong_language_from_winning():
    right, wrong = pooled("th", 1, "a"), pooled("th", 1, "b", identified="en")
    rewards = {right.key: 0.1, wrong.key: 9.0}
    table = router_table([right, wrong], rewards, {}, True, Ledger())
    assert table.rows[table.best[0]].teacher == "a"
    open_gate = router_table([right, wrong], rewards, {}, False, Ledger())
    assert open_gate.rows[open_gate.best[0]].teacher == "b"


def borders():
    full, rewards = planted_pool(LANGUAGES, 12)
    return {
        "one teacher": [row for row in full if row.teacher == NAMES[0]],
        "a teacher without a language": [row for row in full
                                         if (row.teacher, row.language) != (NAMES[1], "ja")],
        "missing answers": full[::2],
        "empty answers": [row if i % 4 else pooled(row.language, row.id[1:], row.teacher, " ")
                          for i, row in enumerate(full)],
        "refused": [row if i % 3 else pooled(row.language, row.id[1:], row.teacher,
                                             stopped="refused") for i, row in enumerate(full)],
        "one language": [row for row in full if row.language == "yo"],
        "undecided languages": [pooled(row.language, row.id[1:], row.teacher, identified="")
                                for row in full],
    }, rewards  # fmt: skip


@pytest.mark.parametrize("case", list(borders()[0]))
@pytest.mark.parametrize("by", ["reward", "learned", "fixed", "all"])
def test_borders_route_every_prompt_that_has_an_answer(tmp_path, case, by):
    cases, rewards = borders()
    rows = cases[case]
    judged = {key: value * 0.5 for key, value in rewards.items()}
    folder = write_pool(tmp_path / "pool", rows, r=rewards, judge=judged)
    route = pl.feedback.route(folder, by=by, reward="r", judged_by="judge", out=tmp_path / "out")
    usable = [row for row in rows if row.answer.strip() and row.stopped == "end"]
    routed = list(read_rows(route.path / "routed.parquet", PooledAnswer))
    assert {row.key[:2] for row in routed} == {row.key[:2] for row in usable}
    assert {row.key for row in routed} <= {row.key for row in usable}
    if by == "all":
        assert len(routed) == len(usable)
    assert all(row.license == f"license of {row.teacher}" for row in routed)
    spoken = read_conversations(route.path / "conversations.jsonl")
    assert [c.messages[-1].content for c in spoken] == [row.answer for row in routed]
    table = route.table()
    parts = set(route.choices.filter(polars.col("part") == "evaluation")["id"])
    evaluated = {row.key[:2] for row in usable if row.id in parts}
    assert table.filter(polars.col("language") == "")["prompts"].unique().to_list() == [
        len(evaluated)
    ]
    page = route.page.read_text("utf-8")
    assert all(teacher in page for teacher in {row.teacher for row in usable})


def test_one_prompt_routes_by_reward_alone(tmp_path):
    rows, rewards = planted_pool(["ar"], 1)
    folder = write_pool(tmp_path / "pool", rows, r=rewards, judge=rewards)
    with pytest.raises(InputError, match="the pool has one prompt"):
        pl.feedback.route(folder, reward="r", judged_by="judge", out="a")
    route = pl.feedback.route(folder, reward="r", judged_by="judge", calibration_share=0, out="a")
    assert route.choices["teacher"].to_list() == [NAMES[0]]
    with pytest.raises(InputError, match="by fixed without a calibration part"):
        pl.feedback.route(
            folder, by="fixed", reward="r", judged_by="judge", calibration_share=0, out="b"
        )


def test_a_reward_does_not_judge_itself_unless_that_is_said(tmp_path):
    rows, rewards = planted_pool(LANGUAGES, 10)
    folder = write_pool(tmp_path / "pool", rows, r=rewards)
    with pytest.raises(InputError, match="r would judge its own choices"):
        pl.feedback.route(folder, reward="r", out="a")
    with pytest.raises(InputError, match="the same reward"):
        pl.feedback.route(folder, reward="r", judged_by="r", out="a")
    assert pl.feedback.route(folder, reward="r", same_judge=True, out="a").content["same_judge"]
    with pytest.raises(InputError, match="no such reward; scored are r"):
        pl.feedback.route(folder, reward="q", judged_by="r", out="b")


def test_gains_are_paired_and_costs_count_what_is_generated(tmp_path):
    rows, rewards = planted_pool(LANGUAGES, 40, noise=0.2)
    tokens = [pooled(r.language, r.id[1:], r.teacher, num_tokens=10) for r in rows]
    folder = write_pool(tmp_path / "pool", tokens, r=rewards, judge=rewards)
    route = pl.feedback.route(
        folder, by="fixed", reward="r", judged_by="judge", out="a", gate=False
    )
    everywhere = {row["router"]: row for row in route.rows() if not row["language"]}
    num = everywhere["best"]["prompts"]
    assert num == 4 * 32
    assert [everywhere[name]["generated"] for name in ("best", "learned", "reward", "all")] == [
        10 * num, 10 * num, 30 * num, 30 * num
    ]  # fmt: skip
    judged = {name: row["judged"] for name, row in everywhere.items()}
    for name, row in everywhere.items():
        if name != "best":
            assert row["gain"] == pytest.approx(judged[name] - judged["best"])
            assert row["lower"] < row["gain"] < row["upper"]
            assert row["wins"] + row["ties"] + row["losses"] == pytest.approx(1)
    shares = route.matrix.group_by("language").agg(
        polars.col("won").sum(), polars.col("routed").sum()
    )
    assert np.allclose(shares["won"], 1)
    assert np.allclose(shares["routed"], 1)
    assert everywhere["reward"]["gain"] > 0.3


def test_new_prompts_are_routed_before_anybody_answers(tmp_path):
    from planted_pools import TEXTS, write_lines

    rows, rewards = planted_pool(LANGUAGES, 20)
    folder = write_pool(tmp_path / "pool", rows, r=rewards, judge=rewards)
    new = write_lines(tmp_path / "new.jsonl", [
        {"id": f"n{i}", "language": tag, "prompt": f"{TEXTS[tag]} ({i})?"}
        for tag in LANGUAGES for i in range(5)
    ])  # fmt: skip
    route = pl.feedback.route(folder, by="learned", reward="r", judged_by="judge", prompts=new,
                              out="a")  # fmt: skip
    fresh = route.choices.filter(polars.col("part") == "new")
    expected = [NAMES[LANGUAGES.index(tag) % 3] for tag in fresh["language"]]
    assert np.mean([a == b for a, b in zip(fresh["teacher"], expected, strict=True)]) >= 0.9
    with pytest.raises(InputError, match="looks at every teacher's answer"):
        pl.feedback.route(folder, reward="r", judged_by="judge", prompts=new, out="b")
