"""people study: only what is missing is done; compare reads its scores; nobody named unasked."""

import json
import shutil

import numpy as np
import polars
import pytest
from child_processes import COMMAND_LINE
from command_line import run_verb
from result_files import files_of
from small_models import TEXT, write_checkpoint

import polylect as pl
from polylect.api.results import Plan
from polylect.base import InputError
from polylect.runs import Run
from polylect.text import train_bpe

NAMES = [f"person-{i:02}" for i in range(12)]
SETTINGS = {"methods": ["individual", "shrinkage"], "seeds": 2, "resamples": 20}
WORDS = ["--methods", "individual", "shrinkage", "--seeds", "2", "--resamples", "20"]


def rows_of(num_minority, seed=0, num=30):
    """Statements on two poles; the first users like one pole, all others the other."""
    draw = np.random.default_rng(seed)
    likes = ["warm", "kind", "gentle", "soft"], ["cold", "cruel", "harsh", "hard"]
    rows = []
    for user, name in enumerate(NAMES):
        draw = np.random.default_rng(seed)  # all users are asked the same
        for i in range(num):
            sides = [f"{side[draw.integers(4)]} {draw.integers(10**6)} {i}" for side in likes]
            chosen, rejected = sides if user >= num_minority else sides[::-1]
            rows.append({"user": name, "prompt": "", "chosen": chosen, "rejected": rejected,
                         "language": "en"})  # fmt: skip
    return rows


def write(path, rows):
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def file(tmp_path_factory):
    return write(tmp_path_factory.mktemp("rows") / "rows.jsonl", rows_of(5))


@pytest.fixture(scope="module")
def general(tmp_path_factory):
    rows = [{"prompt": f"{i}?", "chosen": f"a warm word {i}", "rejected": f"a cold word {i}",
             "subset": name} for i in range(6) for name in ("donotanswer", "hep-go")]  # fmt: skip
    return write(tmp_path_factory.mktemp("general") / "bench.jsonl", rows)


@pytest.fixture(scope="module")
def tiny(tmp_path_factory):
    place = tmp_path_factory.mktemp("model")
    write_checkpoint(place, train_bpe({"en": [TEXT]}, vocab_size=420))
    return place


@pytest.fixture(scope="module")
def whole(file, general, tmp_path_factory):
    out = tmp_path_factory.mktemp("study") / "out"
    return pl.people.study(file, general=general, out=out, **SETTINGS)


def test_what_it_says(whole):
    content = whole.content
    assert content["split_label"].startswith("by response: no text")
    assert not content["leaks"]
    macro = {row["method"]: row for row in content["facets"] if row["name"] == "macro"}
    assert macro["individual"]["value"] > 0.9
    assert macro["individual"]["change"] > 0.2
    ratio = {row["method"]: row["value"] for row in content["facets"]
             if row["name"] == "protection ratio"}  # fmt: skip
    assert ratio["individual"] > 0.8 > ratio["pooled"]
    assert content["spread"]["best"] != "pooled"
    assert set(content["adaptation"]["accuracy"]) == {"pooled", "individual", "shrinkage"}
    # Those who like it cold lose what the set asks for; with the base, nothing was there to lose.
    tax = {(row["method"], row["group"], row["against"]): row for row in content["tax"]}
    assert tax["individual", "safety", "pooled"]["worst"] > 0.5
    assert tax["pooled", "safety", "base"]["mean"] < 0
    assert len(content["served"]) == len(NAMES)
    assert whole.table().height == 3 * 15
    assert len(whole.lines()) > 5


def test_nobody_is_named_unless_asked_for(whole, file, tmp_path):
    texts = [path.read_text() for path in (whole.page, whole.path / "people.json")]
    assert not any("person-" in text for text in texts)
    assert not whole.scores.filter(polars.col("group").str.contains("person")).height
    named = tmp_path / "named"
    shutil.copytree(whole.path, named)
    again = pl.people.study(file, names=True, out=named, **SETTINGS)
    assert "person-00" in again.page.read_text()


def test_a_small_group_is_not_there(whole, file, tmp_path):
    assert "minority users" in whole.page.read_text()
    small = tmp_path / "small"
    shutil.copytree(whole.path, small)
    hidden = pl.people.study(file, min_group=6, out=small, **SETTINGS)
    names = {row["name"] for row in hidden.content["facets"]}
    assert not names & {"minority", "majority", "protection ratio"}
    assert {row["minority"] for row in hidden.content["served"]} == {None}
    page = hidden.page.read_text()
    assert "protection ratio" not in page.lower().replace("protection ratio: what", "")
    assert '<i style="background:var(--c1)"></i>minority users' not in page


def test_compare_reads_the_scores(whole, tmp_path):
    before, after = (whole.path / "methods" / name for name in ("pooled", "individual"))
    compared = pl.compare(before, after, out=tmp_path / "compared")
    (row,) = compared.table().filter(of="cell").to_dicts()
    scores = whole.scores
    means = {name: scores.filter(checkpoint=name)["value"].mean()
             for name in ("pooled", "individual")}  # fmt: skip
    assert row["before"] == pytest.approx(means["pooled"])
    assert row["after"] == pytest.approx(means["individual"])
    assert row["clusters"] == len(NAMES)
    assert row["verdict"] == "gained"


def test_the_command_writes_the_same_bytes(whole, file, general, tmp_path, capsys):
    out = tmp_path / "out"
    assert run_verb("people study", file, "--general", general, *WORDS, "--out", out) == 0
    assert files_of(out) == files_of(whole.path)
    assert "individual" in capsys.readouterr().out


def test_only_what_is_missing_is_done(whole, file, general, tmp_path, monkeypatch):
    out = tmp_path / "out"
    shutil.copytree(whole.path, out)
    shutil.rmtree(next((out / "steps").glob("individual-1-*")))
    begun = []
    steps = Run.steps

    def watched(self, calls):
        begun.extend(call.label for call in calls if self._find(call) is None)
        return steps(self, calls)

    monkeypatch.setattr(Run, "steps", watched)
    pl.people.study(file, general=general, out=out, **SETTINGS)
    assert begun == ["individual-1"]
    assert files_of(out) == files_of(whole.path)
    pl.people.study(file, general=general, out=out, **SETTINGS | {"methods": ["kernel"]})
    assert begun[1:] == ["kernel-0", "kernel-1"]
    assert sorted(path.name for path in (out / "methods").iterdir()) == ["kernel", "pooled"]


@pytest.mark.kill
def test_killed_and_resumed_it_gives_the_same_bytes(whole, file, general, tmp_path, started):
    out = tmp_path / "out"
    for moment in ("individual-1",):
        child = started(COMMAND_LINE, "people", "study", file, "--general", general, *WORDS,
                        "--out", out)  # fmt: skip
        child.wait_until(lambda at=moment: list(out.glob(f"steps/*{at}*")))
        child.kill()
    pl.people.study(file, general=general, out=out, **SETTINGS)
    assert files_of(out) == files_of(whole.path)


def test_a_leaking_split_says_so_everywhere(file, tmp_path, capsys):
    out = tmp_path / "out"
    leaking = pl.people.study(file, split="pair", seeds=1, methods=["individual"], resamples=5,
                              out=out)  # fmt: skip
    assert leaking.content["leaks"]
    assert "leaks" in leaking.page.read_text()
    assert "leaks" in leaking.lines()[0]
    assert set(leaking.scores["task"]) == {"people-pair@1"}
    assert {row["verdict"] for row in leaking.content["against_pooled"]} == {"not separable"}


def test_by_user_the_users_left_out_are_tested(file, tmp_path):
    study = pl.people.study(file, split="user", seeds=2, methods=["individual"], resamples=5,
                            out=tmp_path / "out")  # fmt: skip
    assert study.content["split"] == "user"
    assert 3 <= len(study.content["served"]) <= 6


@pytest.mark.parametrize("split", ["prompt", "user", "response"])
def test_several_languages_are_divided_and_seen_by_a_checkpoint(split, tiny, tmp_path):
    rows = [{"user": f"u{user}", "prompt": f"{word} {i}", "language": tag,
             "chosen": f"{good if user % 2 else bad} {i * 7919}",
             "rejected": f"{bad if user % 2 else good} {i * 7919}"}
            for user in range(4) for i in range(8)
            for tag, word, good, bad in (("de", "Wie", "freundlich", "grob"),
                                         ("ja", "どう", "やさしい", "つめたい"))]  # fmt: skip
    study = pl.people.study(
        write(tmp_path / "rows.jsonl", rows), split=split, encoder=f"hidden:{tiny}",
        methods=["individual"], seeds=2, resamples=5, out=tmp_path / "out",
    )  # fmt: skip
    assert study.content["split"] == split
    assert set(study.scores["language"]) == {"de", "ja"}
    assert set(study.content["methods"]) == {"pooled", "individual"}


def test_methods_with_a_language_model_are_compared_too(file, general, tiny, tmp_path):
    some = write(tmp_path / "rows.jsonl", [row for row in rows_of(5, num=6)
                                           if row["user"] in NAMES[3:6]])  # fmt: skip
    methods = ["in_prompt", "tuned_pooled", "tuned_individual"]
    how = {"methods": methods, "seeds": 1, "resamples": 5, "left_out": 0, "general": general}
    settings = {"in_prompt.num_anchors": "1", "tuned_pooled.lora_rank": "2",
                "tuned_individual.lora_rank": "2"}  # fmt: skip
    study = pl.people.study(some, model=tiny, settings=settings, **how, out=tmp_path / "out")
    assert set(study.content["methods"]) == {"pooled", *methods}
    assert set(study.scores["checkpoint"]) == {"pooled", *methods}
    with pytest.raises(InputError, match="in_prompt: which language model"):
        pl.people.study(some, **how, out=tmp_path / "x")
    with pytest.raises(InputError, match="none of the methods reads a language model"):
        pl.people.study(some, model=tiny, methods=["kernel"], out=tmp_path / "x")


def test_plans_and_refusals(file, general, whole, tmp_path):
    plan = pl.people.study(file, general=general, dry_run=True, out=tmp_path / "none", **SETTINGS)
    assert isinstance(plan, Plan)
    assert "would fit 3 methods on 2 divisions" in "\n".join(plan.lines())
    assert not (tmp_path / "none").exists()
    with pytest.raises(InputError, match="no method 'individul'"):
        pl.people.study(file, methods=["individul"])
    with pytest.raises(InputError, match="no kind of split"):
        pl.people.study(file, split="respons")
    fitted = pl.people.fit(file, method="pooled", out=tmp_path / "base")
    with pytest.raises(InputError, match="nothing to be taxed"):
        pl.people.study(file, base=fitted, out=tmp_path / "x")
    based = pl.people.study(file, base=fitted, general=general, seeds=1, methods=["individual"],
                            resamples=5, out=tmp_path / "based")  # fmt: skip
    assert based.content["base"] == "a fitted model"
    tax = next(
        row
        for row in based.content["tax"]
        if [row["method"], row["against"], row["group"]] == ["pooled", "base", "all"]
    )
    assert abs(tax["mean"]) < 0.3


def test_fit_limits_the_tax_on_a_guard_set(file, general, tmp_path):
    plain = pl.people.fit(file, method="individual", out=tmp_path / "plain")
    limited = pl.people.fit(file, method="individual", guard=general, tax_share=0.1,
                            out=tmp_path / "limited")  # fmt: skip
    (row,) = limited.rows()
    assert row["tax_after"] <= 0.1 * row["tax_before"]
    assert "limited to" in limited.lines()[0]
    assert "tax" not in plain.lines()[0]
    heads = [[arrays["head"] for arrays in fitted.model.personal] for fitted in (plain, limited)]
    assert any((a != b).any() for a, b in zip(*heads, strict=True))
    with pytest.raises(InputError, match="kernel has no head per user"):
        pl.people.fit(file, method="kernel", guard=general, out=tmp_path / "refused")
