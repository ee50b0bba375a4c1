"""Language confusion: the benchmark's rules, its own numbers on its own files, other opinions."""

import json
import os
import re
import sys
import warnings
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from scipy import stats

from polylect.base import InputError
from polylect.cli import main
from polylect.evals import (
    find_identifier,
    measure_confusion,
    read_completions,
    read_english_words,
)
from polylect.evals.confusion.identifiers import Identifier
from polylect.evals.confusion.rates import Rates, add_averages, pass_rates
from polylect.evals.confusion.read import Completion
from polylect.evals.confusion.rules import AnswerCheck, check_language, long_lines
from polylect.rows import Generated, ScoreTable, write_rows
from polylect.runs import Silent
from polylect.stats import mean_proportion, wilson_interval
from polylect.text import words_rule

DATA = Path(os.environ.get("POLYLECT_DATA", Path(__file__).parents[4] / "shared" / "data"))
GOLDEN = Path(__file__).parents[2] / "golden" / "language_confusion.json"
ENGLISH = frozenset({"house", "table", "because"})


@pytest.fixture
def benchmark():
    folder = DATA / "language-confusion"
    if not folder.is_dir():
        if sys.stderr:
            sys.stderr.write("skipped: no data (language-confusion)\n")
        pytest.skip("no data")
    return folder


def published_segmenter(tag):
    """What the published script cuts a language's words with."""
    if tag.startswith("zh"):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # invalid escape sequences in its source
            jieba = pytest.importorskip("jieba")
        jieba.setLogLevel("ERROR")
        return lambda line: list(jieba.cut(line))
    if tag == "ja":
        tagger = pytest.importorskip("fugashi").Tagger("-O wakati -b 50000")
        return lambda line: tagger.parse(line).split()
    return str.split


@pytest.mark.parametrize(
    "name",
    ["command-r", "command-r-base", "command-r-plus", "command-r-plus-base", "gpt-3.5-turbo",
     "gpt-4-turbo", "llama-2-instruct", "llama-3-instruct", "mistral-8x7b", "mistral-large"],
)  # fmt: skip
def test_rates_are_those_of_the_published_script(benchmark, name):
    expected = json.loads(GOLDEN.read_text())[name]
    completions = read_completions(benchmark / "outputs" / f"{name}.csv")
    # Two of the ten are short of answers, against what their README says.
    assert len(completions) == {"gpt-3.5-turbo": 6585, "llama-2-instruct": 6543}.get(name, 6586)
    english = read_english_words(benchmark / "words")
    found = measure_confusion(
        completions, [find_identifier("benchmark")], english, Silent(), published_segmenter
    )
    rates = {
        f"{source}/{language.replace('zh-Hans', 'zh')}": one
        for (source, language), one in found.rates["benchmark"].items()
    }
    assert rates.keys() == expected.keys()
    for key, own in expected.items():
        mine = rates[key]
        assert mine.line_pass == pytest.approx(own["lpr"], abs=1e-12)
        assert mine.line_accuracy == pytest.approx(own["acc"], abs=1e-12)
        assert (mine.word_pass is None) == ("wpr" not in own)
        if "wpr" in own:
            assert mine.word_pass == pytest.approx(own["wpr"], abs=1e-12)
    # The table of scores says the same, source by source.
    frame = found.scores.frame.filter(~pl.col("invalid"))
    by = frame.with_columns(source=pl.col("group").str.split("/").list.last()).group_by(
        "source", "language", "metric"
    ).agg(pl.col("value").mean())  # fmt: skip
    for source, language, metric, value in by.iter_rows():
        own = expected[f"{source}/{language.replace('zh-Hans', 'zh')}"]
        which = "lpr" if metric.startswith("line_pass") else "wpr"
        assert value == pytest.approx(own[which], abs=1e-12)


def plain_rates(answers, label, language, english):
    """The rules in the words of the paper's section 3, one answer at a time."""
    looked, clean, worded = 0, 0, 0
    for answer in answers:
        kept = answer.partition("\nQ:")[0].strip()
        kept = re.sub(r"[!-/:-@\[-`{-~،]", "", kept).replace("—", " ")
        lines = [line for line in kept.split("\n") if len(line.split()) >= 5]
        if not lines:
            continue
        looked += 1
        if all(label(line) == language for line in lines):
            clean += 1
            worded += any(word in english for line in lines for word in line.split())
    return looked, clean, worded


def test_rates_follow_from_the_rules_on_random_answers():
    random = np.random.default_rng(3)
    vocabulary = ["да", "дом", "house", "House", "table,", "—", "،", "(ok)", "Q:", "\nQ:", "\n",
                  "\n\n", "#", "because!", "стол", "x-y", " "]  # fmt: skip

    def label(line):
        return ("ru", "en", "unknown")[(len(line) * 7 + line.count("о")) % 5 % 3]

    identifier = Identifier("toy", "", lambda lines: [label(one) for one in lines])
    for _ in range(40):
        answers = [
            " ".join(random.choice(vocabulary, random.integers(0, 40), p=_chances(vocabulary)))
            for _ in range(30)
        ]
        looked, clean, worded = plain_rates(answers, label, "ru", ENGLISH)
        rows = [Completion(str(i), "m", "", "s", "ru", text, str(i))
                for i, text in enumerate(answers)]  # fmt: skip
        found = measure_confusion(rows, [identifier], ENGLISH, Silent())
        rates = found.rates["toy"]["s", "ru"]
        assert (rates.num_answers, rates.num_skipped) == (looked, 30 - looked)
        assert rates.line_pass == 1 - (looked - clean) / max(1, looked)
        assert rates.word_pass == 1 - worded / max(1, clean)
        assert found.ledger.total("skipped") == 30 - looked


def _chances(vocabulary):
    weights = np.array([4.0 if one.isalpha() and not one.isascii() else 1.0 for one in vocabulary])
    return weights / weights.sum()


def test_lines_end_before_a_new_question_and_lose_their_signs():
    lines = long_lines("  a, b; c: d! e?\none two\nf—g h i j, k،\nQ: l m n o p", str.split)
    assert lines == [
        ("a b c d e", ["a", "b", "c", "d", "e"]),
        ("f g h i j k", ["f", "g", "h", "i", "j", "k"]),
    ]


def test_what_counts_as_english(tmp_path):
    (tmp_path / "words").write_text("House\nhouse\nthe\nit's\nnaïve\ntable \n\n")
    # Lower case, four letters or more; "it's" is so by Python's rule, as in the benchmark.
    assert read_english_words(tmp_path / "words") == {"house", "it's", "naïve", "table"}
    line = [("дом house", ["дом", "house"])]
    assert check_language(line, ["ru"], "ru", {"house"}) == AnswerCheck(1, 0, True)
    assert check_language(line, ["en"], "ru", {"table"}) == AnswerCheck(1, 1, False)
    assert check_language(line, ["zh"], "zh-Hant", {}).line_pass
    assert not check_language(line, ["zh-Hans"], "zh-Hant", {}).line_pass
    assert not check_language(line, ["sr"], "sr-Latn", {}).line_pass


def test_averages_are_over_sources_and_then_over_languages():
    rates = {
        ("a", "ru"): Rates(0.5, 0.4, 0.9), ("b", "ru"): Rates(0.7, 0.8, 0.7),
        ("a", "fr"): Rates(1.0, 1.0, None),
    }  # fmt: skip
    found = add_averages(rates)
    assert found["all", "ru"].line_pass == pytest.approx(0.6)
    assert found["all", "ru"].word_pass == pytest.approx(0.8)
    assert found["a", "all"].line_pass == pytest.approx(0.7)
    assert found["a", "all"].word_pass == 0.9
    assert found["all", "all"].line_pass == pytest.approx(0.8)
    assert found["all", "fr"].word_pass is None
    assert pass_rates([AnswerCheck(0, 0, False)], "ru") == Rates(1.0, 1.0, 1.0, 0, 1)


@pytest.mark.parametrize("name", ["benchmark", "polylect", "lingua"])
def test_identifiers_know_plain_sentences(name):
    if name == "lingua":
        pytest.importorskip("lingua")
    lines = {
        "de": "Das ist ein ganz gewöhnlicher deutscher Satz über das Wetter von gestern",
        "tr": "Bu akşam hava çok güzel ve biz denize doğru yürüyoruz",
        "ja": "今日は天気がとても良いので公園へ散歩に行きました",
        "zh": "今天天气很好我们一起去公园散步吧",
        "ar": "هذا كتاب جيد عن تاريخ المدينة القديمة",
        "en": "This is a plain sentence about the weather of yesterday",
    }
    if name != "benchmark":
        lines["zh-Hans"] = lines.pop("zh")
        lines["zh-Hant"] = "今天天氣很好我們一起去公園散步吧"
    assert find_identifier(name).label(list(lines.values())) == list(lines)
    assert find_identifier(name).label([]) == []


def test_the_benchmark_says_unknown_where_nothing_is_likely():
    assert find_identifier("benchmark").label(["", "1 2 3 4 5 6"]) == ["unknown", "unknown"]


def test_wilson_is_scipys_and_the_mean_of_shares_covers():
    for num, passed in ((1, 0), (7, 7), (100, 99), (450, 210)):
        own = stats.binomtest(passed, num).proportion_ci(method="wilson")
        found = wilson_interval(passed / num, num)
        assert (found.lower, found.upper) == pytest.approx((own.low, own.high), abs=1e-12)
    assert wilson_interval(1.0, 0).lower == 0
    # Four sources of 100 prompts, as the benchmark has them, near 1 where symmetric intervals fail.
    truth, random = np.array([0.99, 0.95, 0.9, 0.6]), np.random.default_rng(0)
    draws = random.binomial(100, truth, (4000, 4)) / 100
    spans = [mean_proportion([wilson_interval(p, 100) for p in row]) for row in draws.tolist()]
    covered = np.mean([one.lower <= truth.mean() <= one.upper for one in spans])
    assert 0.94 <= covered <= 0.965


def test_the_command_reads_what_generate_writes_and_what_the_benchmark_publishes(tmp_path, capsys):
    german = "Das ist ein ganz gewöhnlicher deutscher Satz über das Wetter"
    english = "This is a plain sentence about the weather of yesterday"
    rows = [
        Generated(id=str(i), language="de", sample=0, model="mine", answer=text, category="own")
        for i, text in enumerate([german, english, f"{german}\n{english}", "kurz", german])
    ]
    (tmp_path / "mine").mkdir()
    write_rows(tmp_path / "mine" / "answers.parquet", Generated, rows)
    quoted = f'"{german}\n\n{german}"'
    (tmp_path / "other.csv").write_text(
        f"model,completion,source,language\nm/2,{quoted},okapi,de\nm/2,{english},okapi,de\n",
        "utf-8",
    )
    (tmp_path / "words").write_text("house\n")
    call = ["confusion", str(tmp_path / "mine"), str(tmp_path / "other.csv"), "--words",
            str(tmp_path / "words"), "--out", str(tmp_path / "out")]  # fmt: skip
    assert main([*call, "--dry-run"]) == 0
    assert "5 answers of mine in de" in capsys.readouterr().out
    assert not (tmp_path / "out").exists()
    assert main(call) == 0
    told = capsys.readouterr().out
    assert re.search(r"mine +benchmark +50\.0% +– +1\n", told)
    assert re.search(r"m/2 +polylect +50\.0%", told)
    table = ScoreTable.read(tmp_path / "out" / "mine.parquet")
    (own,) = (
        table.only(metric="line_pass[benchmark]").by("language", "metric").iter_rows(named=True)
    )
    assert (own["value"], own["items"], own["invalid"]) == (0.5, 4, 1)
    page = (tmp_path / "out" / "index.html").read_text("utf-8")
    assert "Deutsch" in page
    assert "skipped: no line of five words" in page
    # Two models are compared by the words that compare everything else.
    mine = str(tmp_path / "out" / "mine.parquet")
    more = ["--metrics", "line_pass", "--out", str(tmp_path / "c")]
    assert main(["compare", mine, mine, *more]) == 0


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("completion,language\nx,de\n", ":2: 'source' is missing"),
        ("completion,source,language\nx,s,x!\n", ":2: unknown language 'x!'"),
        ("completion,source,language\nx,s\n", ":2: not 3 columns"),
        ("model,completion,source,language\na,x,s,de\nb,x,s,de\n", "answers of 2 models (a, b)"),
    ],
)
def test_a_bad_file_is_one_line(tmp_path, text, said):
    (tmp_path / "a.csv").write_text(text)
    with pytest.raises(InputError) as error:
        read_completions(tmp_path / "a.csv")
    assert said in str(error.value)


def test_lines_are_cut_by_their_script_and_scripts_of_a_language_are_rows_of_their_own():
    """An answer in Thai is not one word, whoever asked; English words stand out in any script."""
    thai, english = "ประเทศไทยมีประชากรมากกว่าที่คิด", "ประเทศไทยมี house ประชากรมาก"
    han = {
        "zh-Hans": "今天天气很好我们一起去公园散步吧",
        "zh-Hant": "今天天氣很好我們一起去公園散步吧",
    }
    serbian = {
        "sr": "Данас је леп дан и идемо у парк",
        "sr-Latn": "Danas je lep dan i idemo u park",
    }
    asked = [("th", thai), ("th", english), ("ko", thai), *han.items(), *serbian.items()]
    asked += [("zh-Hant", han["zh-Hans"]), ("sr-Latn", serbian["sr"]), ("x-a", thai), ("x-b", thai)]
    rows = [Completion(str(i), "m", "", "s", tag, text, str(i))
            for i, (tag, text) in enumerate(asked)]  # fmt: skip
    seen = [*("th", "th", "th"), *han, *serbian, "zh-Hans", "sr", "x-a", "th"]
    identifier = Identifier("own", "", lambda lines: seen)
    found = measure_confusion(rows, [identifier], ENGLISH, Silent())
    assert found.ledger.total("skipped") == 0
    rates = {tag: (row.line_pass, row.word_pass)
             for (source, tag), row in found.rates["own"].items()
             if source == "s" and tag != "all"}  # fmt: skip
    assert rates == {
        "th": (1, 0.5), "ko": (0, 1), "zh-Hans": (1, 1), "zh-Hant": (0.5, 1), "sr": (1, 1),
        "sr-Latn": (0.5, None), "x-a": (1, None), "x-b": (0, None),
    }  # fmt: skip
    settings = found.scores.frame["settings"].unique().to_list()
    assert settings == [f"identifier=own;words={words_rule()}"]


def test_what_is_not_there_is_named(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main(["confusion", str(tmp_path)]) == 2
    assert "no answers.parquet — polylect generate MODEL PROMPTS --out" in capsys.readouterr().err
    assert main(["confusion", "--identifiers", "ligua", str(tmp_path)]) == 2


def test_answers_that_are_all_skipped_still_have_a_page(tmp_path, capsys):
    (tmp_path / "a.csv").write_text("completion,source,language\nno,s,de\n")
    assert main(["confusion", str(tmp_path / "a.csv"), "--out", str(tmp_path / "out")]) == 0
    assert "no line of five words" in (tmp_path / "out" / "index.html").read_text("utf-8")
