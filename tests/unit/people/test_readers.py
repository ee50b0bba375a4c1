"""Published schemas on a few hand-made rows; the shared data sets as they are, where they lie."""

import csv
import json
import os
import tarfile
from pathlib import Path

import numpy as np
import pytest

from polylect.base import InputError, Ledger
from polylect.people import SCHEMAS, describe, persona_crowd, read_published
from polylect.people.readers import EQUAL, NO_LABEL, NO_USER, TIE

DATA = Path(os.environ.get("POLYLECT_DATA", Path(__file__).parents[4] / "shared" / "data"))


def pairs_of(crowd):
    said = [text.response for text in crowd.texts]
    return sorted((crowd.users[u], said[a], said[b]) for u, a, b in
                  zip(crowd.user, crowd.chosen, crowd.rejected, strict=True))  # fmt: skip


def lines(path, rows):
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def test_psoups(tmp_path):
    rows = [{"user_input": "Q", "completion_a": "x", "completion_b": "y"}] * 2
    rows += [{"user_input": "Q", "completion_a": "x", "completion_b": "x "}]
    path, ledger = tmp_path / "P2A.json", Ledger()
    path.write_text(json.dumps(rows))
    crowd = read_published("psoups", path, ledger)
    assert pairs_of(crowd) == [("P2A", "x", "y")]
    assert crowd.texts[0].prompt == "Q"
    assert ledger.by_event() == {EQUAL: 1, "dropped: repeated row": 1}
    joined = lines(tmp_path / "all.jsonl", [rows[0] | {"user_id": 3}])
    assert read_published("psoups", joined).users == ("3",)
    with pytest.raises(InputError, match="whose preference is it"):
        read_published("psoups", lines(tmp_path / "x.jsonl", rows))


def test_tldr(tmp_path):
    row = {"info": {"id": "t3_1", "title": "T", "post": "P", "subreddit": "r"}, "split": "train",
           "summaries": [{"text": "a", "policy": "sup1"}, {"text": "b", "policy": "ref"}],
           "choice": 1, "worker": "W"}  # fmt: skip
    crowd = read_published("tldr", lines(tmp_path / "x.jsonl", [row]))
    assert pairs_of(crowd) == [("W", "b", "a")]
    assert crowd.texts[0].prompt == "T\n\nP"
    with pytest.raises(InputError, match=r"x.jsonl:1: 'choice' is 2 of 2 summaries"):
        read_published("tldr", lines(tmp_path / "x.jsonl", [row | {"choice": 2}]))


def test_community_alignment(tmp_path):
    row = {"conversation_id": "1", "annotator_id": "41", "assigned_lang": "pt",
           "first_turn_prompt": "oi", "first_turn_preferred_response": "response_b",
           **{f"first_turn_response_{x}": f"r{x}<|end_of_text|>" for x in "abcd"},
           "second_turn_prompt": "e?", "second_turn_preferred_response": "response_a",
           "second_turn_response_a": "s", "second_turn_response_b": "t"}  # fmt: skip
    path = tmp_path / "x.csv"
    with open(path, "w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, [*row, "third_turn_prompt"])
        writer.writeheader()
        writer.writerow(row)
    crowd = read_published("community-alignment", path)
    assert pairs_of(crowd) == [("41", "rb", "ra"), ("41", "rb", "rc"), ("41", "rb", "rd"),
                               ("41", "s", "t")]  # fmt: skip
    last = next(text for text in crowd.texts if text.response == "s")
    assert [m.content for m in last.messages] == ["oi", "rb", "e?"]
    assert last.language == "pt"


def test_personalllm(tmp_path):
    row = {"prompt": "Q", "response_1": "a", "response_1_model": "m", "response_1_gemma_2b": 1.5,
           "response_1_beaver": 0.0, "response_2": "b", "response_2_model": "n",
           "response_2_gemma_2b": -1, "response_2_beaver": 3.0}  # fmt: skip
    crowd = read_published("personalllm", lines(tmp_path / "x.jsonl", [row]))
    assert pairs_of(crowd) == [("beaver", "b", "a"), ("gemma_2b", "a", "b")]


def test_prism(tmp_path):
    def said(content, score, is_chosen, turn):
        return {"role": "model", "content": content, "score": score, "if_chosen": is_chosen,
                "turn": turn}  # fmt: skip

    row = {"conversation_id": "c", "user_id": "user0", "conversation_history": [
        {"role": "user", "content": "hi", "turn": 0}, said("a", 20, False, 0),
        said("b", 90, True, 0), said("c", None, False, 0),
        {"role": "user", "content": "more", "turn": 1}, said("d", 60, True, 1),
        said("e", 50, False, 1),
    ]}  # fmt: skip
    ledger = Ledger()
    crowd = read_published("prism", lines(tmp_path / "c.jsonl", [row]), ledger)
    assert pairs_of(crowd) == [("user0", "b", "a"), ("user0", "d", "e")]
    later = next(text for text in crowd.texts if text.response == "d")
    assert [m.content for m in later.messages] == ["hi", "b", "more"]
    assert ledger.total(NO_LABEL) == 1
    rows = [{"user_id": "u", "user_prompt": "p", "model_response": x, "score": s}
            for x, s in (("a", 3), ("b", 80.5))]  # fmt: skip
    assert pairs_of(read_published("prism", lines(tmp_path / "u.jsonl", rows))) == [("u", "b", "a")]


def test_dices(tmp_path):
    path = tmp_path / "d.csv"
    path.write_text("id,rater_id,item_id,context,response,Q_overall\n"
                    '0,7,1,"USER: x, y",r,No\n1,7,2,c,s,Yes\n2,7,3,c,t,Unsure\n')  # fmt: skip
    pairs = pairs_of(read_published("dices", path))
    assert pairs == [("7", "USER: x, y\n\nr", "c\n\ns"), ("7", "USER: x, y\n\nr", "c\n\nt"),
                     ("7", "c\n\nt", "c\n\ns")]  # fmt: skip
    path.write_text("rater_id,response,Q_overall\n1,a,Maybe\n")
    with pytest.raises(InputError, match=r"d.csv:2: 'Q_overall' is 'Maybe'"):
        read_published("dices", path)


def test_popquorn(tmp_path):
    path, ledger = tmp_path / "p.csv", Ledger()
    path.write_text("instance_id,user_id,text,offensiveness,gender\n"
                    "1,0.0,kind,1.0,Man\n2,0.0,rude,4.0,Man\n3,,x,1.0,\n")  # fmt: skip
    assert pairs_of(read_published("popquorn", path, ledger)) == [("0", "kind", "rude")]
    assert ledger.total(NO_USER) == 1


def test_lewidi(tmp_path):
    value = {
        "2": {"text": {"post": "p", "reply": "r"}, "annotators": "Ann0,Ann1", "lang": "de",
              "annotations": {"Ann0": "0", "Ann1": "1"}},
        "3": {"text": "old", "annotators": "Ann0,Ann1", "lang": "de", "annotations": "1,1"},
        "4": {"text": "x", "annotators": "Ann0", "lang": "de",
              "annotations": {"Ann0": "neutral"}},
    }  # fmt: skip
    path, ledger = tmp_path / "MP_dev.json", Ledger()
    path.write_text(json.dumps(value))
    crowd = read_published("lewidi", path, ledger)
    assert pairs_of(crowd) == [("Ann0", "old", "p\n\nr")]
    assert crowd.texts[0].language == "de"
    assert ledger.total(NO_LABEL) == 1
    value["3"]["annotations"] = "1"
    path.write_text(json.dumps(value))
    with pytest.raises(InputError, match="row 2: 2 annotators, 1 annotations"):
        read_published("lewidi", path)


def test_pandalm(tmp_path):
    row = {"idx": 0, "instruction": "I", "input": "", "response1": "a", "response2": "b",
           "annotator1": 1, "annotator2": 2, "annotator3": 0}  # fmt: skip
    ledger = Ledger()
    crowd = read_published("pandalm", lines(tmp_path / "x.jsonl", [row]), ledger)
    assert pairs_of(crowd) == [("annotator1", "a", "b"), ("annotator2", "b", "a")]
    assert ledger.total(TIE) == 1


def test_translation_scores(tmp_path):
    table = tmp_path / "dev.ende.df.short.tsv"
    table.write_text('index\toriginal\ttranslation\tscores\n0\to "x\tu\t[20, 35, 30, 9]\n'
                     "1\to\tv\t[91, 10, 30, 9]\n")  # fmt: skip
    path = tmp_path / "en-de-dev.tar.gz"
    with tarfile.open(path, "w:gz") as archive:
        archive.add(table, "en-de-dev/dev.ende.df.short.tsv")
    crowd = read_published("mlqe-pe", path)
    assert pairs_of(crowd) == [("slot 1", "v", "u"), ("slot 2", "u", "v")]
    assert crowd.texts[0].language == "de"


def write_traits(folder, num=30):
    for trait in ("openness", "neuroticism"):
        lines(folder / f"{trait}.jsonl", [
            {"statement": f"{trait} {'not ' * (i % 3)}{i} {answer}",
             "answer_matching_behavior": f" {answer}"}
            for i in range(num) for answer in ("Yes", "No")
        ])  # fmt: skip
    return folder


@pytest.mark.parametrize("is_uneven", [False, True])
def test_persona_users_are_opposed_on_their_trait_alone(tmp_path, is_uneven):
    traits = ("openness", "neuroticism")
    crowd = persona_crowd(write_traits(tmp_path), traits, is_uneven=is_uneven)
    assert len(crowd.users) == (8 if is_uneven else 4)
    assert crowd.num_pairs == len(crowd.users) * (60 + 2 * 2)
    for user, name in enumerate(crowd.users):
        trait, pole = name.split()[:2]
        for pair in crowd.pairs_of(user):
            chosen, rejected = (crowd.texts[side[pair]].response
                                for side in (crowd.chosen, crowd.rejected))  # fmt: skip
            if chosen.startswith(trait):
                assert chosen.endswith("Yes") == (pole == "high")
            else:
                assert (len(chosen), chosen) < (len(rejected), rejected)
    assert persona_crowd(tmp_path, traits, seed=1).digest != persona_crowd(tmp_path, traits).digest


def test_persona_users_contradict_themselves_as_often_as_labels_are_flipped(tmp_path):
    traits = ("openness", "neuroticism")
    crowd = persona_crowd(write_traits(tmp_path, 400), traits, num_repeated=400, flip_share=0.1)
    result = describe(crowd, num_resamples=20)
    assert result.consistency.measure == "test-retest"
    assert result.figure("consistency").value == pytest.approx(0.9**2 + 0.1**2, abs=0.02)
    steady = describe(persona_crowd(tmp_path, traits, num_repeated=5), num_resamples=20)
    assert steady.figure("consistency").value == 1.0


def test_an_unknown_schema_and_a_missing_column_are_said(tmp_path):
    with pytest.raises(InputError, match="no schema 'prisms'"):
        read_published("prisms", tmp_path / "x")
    for schema in SCHEMAS:
        path = lines(tmp_path / "en-de-P1A.jsonl", [{"nothing": 1}])
        with pytest.raises(InputError, match=r"P1A.jsonl:1: '\w+' is missing|no preference"):
            read_published(schema, path)


def needs(name):
    if not (DATA / name).is_dir():
        pytest.skip(f"no data: {DATA / name}")
    return DATA / name


def test_pandalm_as_it_is():
    result = describe(read_published("pandalm", needs("pandalm") / "testset-v1.json"))
    assert len(result.users) == 3
    assert result.figure("divergence").value < 0.2
    assert not result.is_minority.any()


def test_persona_as_it_is():
    result = describe(persona_crowd(needs("persona")), num_resamples=50)
    assert len(result.users) == 12
    assert result.figure("divergence").value == 1.0
    # On every pair one of the two poles is against the rule that the other eleven follow.
    assert result.figure("high divergence").value == 0.0
    assert result.agreement.min() > 0.8
    assert result.consistency.measure == "test-retest"
    assert result.figure("room for personalization").value == pytest.approx(1 - 11 / 12, abs=0.02)


def test_mlqe_as_it_is():
    path = needs("mlqe-pe") / "direct-assessments" / "dev" / "en-de-dev.tar.gz"
    crowd = read_published("mlqe-pe", path, min_difference=20, max_pairs=2000)
    assert crowd.users == ("slot 1", "slot 2", "slot 3")
    assert np.bincount(crowd.user).tolist() == [2000] * 3
    result = describe(crowd, num_resamples=50)
    assert 0.0 < result.figure("divergence").value < 0.5
