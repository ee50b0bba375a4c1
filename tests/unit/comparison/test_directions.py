"""Which way is better is said once, and every sentence, row and sign follows it."""

import json

import pytest
from command_line import run_verb

from polylect.base import InputError
from polylect.comparison import Metrics, compare
from polylect.rows import ScoreTable

METRICS = {
    # name: direction that is known, or None where the user must say it
    "acc": 1, "chrf": 1, "log_likelihood": 1, "bits_per_byte": -1, "bits": -1, "perplexity": -1,
    "token_perplexity": -1, "nll": -1, "brier_score": -1, "bits_saved": None, "quality": None,
}  # fmt: skip


def scores(name, metric, shift):
    """Twenty items of two languages; the values lie where the metric's may."""
    low, size = {"log_likelihood": (-9.0, 1.0), "acc": (0.0, 0.02)}.get(metric, (2.0, 0.1))
    rows = [
        {"checkpoint": name, "task": "t@1", "language": tag, "item": f"{tag}{i}", "metric": metric,
         "value": low + size * (10 + (i * 7) % 11 + shift * (1 + i % 3))}
        for tag in ("de", "hi") for i in range(20)
    ]  # fmt: skip
    return ScoreTable.from_rows(rows)


@pytest.mark.parametrize("direction", [1, -1])
@pytest.mark.parametrize("metric", METRICS)
def test_signs_follow_the_direction_that_is_said(metric, direction):
    said = Metrics(higher=(metric,)) if direction > 0 else Metrics(lower=(metric,))
    result = compare(scores("a", metric, 0), scores("b", metric, 2), metrics=said)
    verdict = "gained" if direction > 0 else "paid"
    assert result.languages["verdict"].to_list() == [verdict] * 2
    assert result.languages["lower_is_better"].to_list() == [direction < 0] * 2
    assert (result.languages["change"] * direction > 0).all()
    assert (result.languages["gain"] * direction > 0).all()
    assert f"all 2 languages {verdict}" in result.sentence()
    assert ("less is better" in result.sentence()) == (direction < 0)


@pytest.mark.parametrize("metric", METRICS)
def test_known_directions_need_no_option_and_unknown_ones_do(metric):
    if METRICS[metric] is None:
        with pytest.raises(InputError, match="choose with --metrics"):
            compare(scores("a", metric, 0), scores("b", metric, 2))
        return
    gain = compare(scores("a", metric, 0), scores("b", metric, 2)).languages["gain"]
    assert (gain * METRICS[metric] > 0).all()


def test_a_harness_log_says_the_direction(tmp_path, capsys):
    for name, shift in (("a", 0.0), ("b", 0.5)):
        (tmp_path / name).mkdir()
        for tag in ("de", "hi"):
            lines = [
                {"doc_id": i, "doc": {"id": i}, "target": "", "metrics": ["bits_saved"],
                 "bits_saved": 2.0 + i % 5 + shift * (1 + i % 2)} for i in range(30)
            ]  # fmt: skip
            text = "\n".join(map(json.dumps, lines))
            (tmp_path / name / f"samples_quiz_{tag}_2026-01-01T00-00-00.jsonl").write_text(text)
        results = {"higher_is_better": {f"quiz_{tag}": {"bits_saved": True} for tag in ("de",)}}
        (tmp_path / name / "results_2026-01-01T00-00-00.json").write_text(json.dumps(results))
    assert run_verb("compare", tmp_path / "a", tmp_path / "b", "--out", tmp_path / "out") == 0
    assert "all 2 languages gained" in capsys.readouterr().out


def test_a_samples_perplexity_is_the_log_likelihood_that_the_harness_puts_there(tmp_path, capsys):
    for name, shift in (("a", 0.0), ("b", 0.5)):
        (tmp_path / name).mkdir()
        lines = [
            {"doc_id": i, "doc": {"id": i}, "target": "", "metrics": ["perplexity"],
             "perplexity": -6.0 + i % 5 + shift * (1 + i % 2)} for i in range(30)
        ]  # fmt: skip
        text = "\n".join(map(json.dumps, lines))
        (tmp_path / name / "samples_lambada_de_2026-01-01T00-00-00.jsonl").write_text(text)
    assert run_verb("compare", tmp_path / "a", tmp_path / "b", "--out", tmp_path / "out") == 0
    printed = capsys.readouterr()
    assert "German gained" in printed.out
    assert "read as log_likelihood" in printed.out + printed.err


@pytest.mark.parametrize(
    ("metric", "value", "wanted"),
    [
        ("acc", 45.0, "from 0 to 1"),
        ("exact_match", -0.5, "from 0 to 1"),
        ("word_perplexity", 0.5, "1 or more"),
    ],
)
def test_a_value_that_a_metric_cannot_have_is_refused(metric, value, wanted):
    table = ScoreTable.from_rows(
        [
            {"checkpoint": "a", "task": "t@1", "language": "de", "item": f"i{i}", "metric": metric,
             "value": value} for i in range(3)
        ]
    )  # fmt: skip
    with pytest.raises(InputError, match=rf"t@1, de, item i0: {metric} is .* {wanted}"):
        compare(table, table)


def test_no_number_of_items_is_given_where_all_changed_alike():
    result = compare(scores("a", "nll", 0), scores("a", "nll", 0))
    assert result.languages["items_needed"].null_count() == 2
