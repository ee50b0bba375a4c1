"""Every verb that reads or prints a language, on ten tags in one file: none is lost or renamed."""

import json

import pytest
from align_cases import CHATML, write_model

import polylect as pl
from polylect.base import described

TAGS = ("cy", "gl", "ne", "yo", "sr-Latn", "zh", "pt-BR", "x-mine", "de", "ar")
FEW = {"epochs": 1, "micro_batch_tokens": 400, "batch_size": 10, "force": True}


def rows_of(**values):
    """A row per tag."""
    return [{"language": tag, "id": tag} | values for tag in TAGS]


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    folder = tmp_path_factory.mktemp("verbs")
    write_model(folder / "model", template=CHATML)
    config = json.loads((folder / "model" / "config.json").read_text())
    (folder / "model" / "config.json").write_text(
        json.dumps(config | {"max_position_embeddings": 2048})
    )
    turns = [{"role": "user", "content": "what do you see"},
             {"role": "assistant", "content": "the red house"}]  # fmt: skip
    files = {
        "chats": rows_of(messages=turns),
        "pairs": rows_of(prompt="tell me more", chosen="a small tree", rejected="no no"),
        "prompts": rows_of(prompt="and where do you go"),
        "items": rows_of(context="we walk to", answer=0, delimiter=" ", choices=["the sea", "no"]),
        "text": [{"language": tag, "text": f"we walk to the sea {n} " * 12}
                 for tag in TAGS for n in range(60)],
        "votes": [{"model_a": a, "model_b": b, "winner": winner, "language": tag}
                  for tag in TAGS for a, b, winner in (("m", "n", "model_a"), ("n", "m", "tie"),
                                                       ("m", "n", "model_b"))],
    }  # fmt: skip
    for name, rows in files.items():
        lines = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
        (folder / f"{name}.jsonl").write_text(lines, "utf-8")
    return folder


def length_of_tag(prompt, answer, language):
    return len(language)


def shown_on(result):
    """The tags whose endonyms stand on a page."""
    page = result.page.read_text("utf-8")
    return tuple(tag for tag in TAGS if described(tag).endonym in page)


@pytest.mark.parametrize(
    ("kind", "data", "more"),
    [
        ("sft", "chats", {}),
        ("preference", "pairs", {"objective": "ipo"}),
        ("reward", "pairs", {}),
        ("online", "prompts", {"max_new_tokens": 3, "num_samples": 2, "gate": False,
                               "reward": length_of_tag}),
    ],
)  # fmt: skip
def test_training_learns_and_shows_each(place, kind, data, more):
    call = getattr(pl.train, kind)
    trained = call(place / "model", place / f"{data}.jsonl", out=place / kind, **FEW, **more)
    seen = {tag for row in trained.metrics for tag in row["by_language"]}
    assert seen == set(TAGS)
    assert shown_on(trained) == TAGS


def test_evaluation_generation_and_judging_have_a_row_for_each(place):
    scores = pl.evaluate(place / "model", tasks=[str(place / "items.jsonl")], out=place / "e")
    assert {row["language"] for row in scores.rows()} >= set(TAGS)
    assert shown_on(scores) == TAGS
    sides = [
        pl.generate(place / "model", place / "prompts.jsonl", max_new_tokens=4, seed=seed,
                    temperature=1.0, name=f"model {seed}", out=place / f"a{seed}")
        for seed in (1, 2)
    ]  # fmt: skip
    assert [row["language"] for row in sides[0].rows()] == list(TAGS)
    judged = pl.judge(*sides, judges=[str(place / "model")], verdict="logprob", out=place / "j")
    graded = pl.grade(sides, judges=[str(place / "model")], verdict="logprob", out=place / "g")
    for result in (judged, graded):
        assert {row["language"] for row in result.rows()} >= set(TAGS)
        assert shown_on(result) == TAGS
    rates = pl.win_rates(judged, out=place / "w")
    assert {row["language"] for row in rates.rows()} >= set(TAGS)


def test_quantization_measures_the_damage_of_each(place):
    quantized = pl.quantize(place / "model", scheme="w8", calibration=place / "text.jsonl",
                            quota="uniform", samples=10, sample_tokens=16,
                            out=place / "q")  # fmt: skip
    assert {row["language"] for row in quantized.rows()} == {
        "zh-Hans" if tag == "zh" else tag for tag in TAGS
    }


def test_a_board_has_a_section_for_each(place):
    board = pl.rank(place / "votes.jsonl", by="language", out=place / "board")
    assert set(board.board["strata"]) == set(TAGS)
    assert shown_on(board) == TAGS


def test_a_plan_names_each(place):
    plan = pl.train.sft(place / "model", place / "chats.jsonl", out=place / "x", dry_run=True)
    lines = "\n".join(plan.lines())
    assert all(tag in lines for tag in TAGS)
