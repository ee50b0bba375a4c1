"""Tasks of generation: prompts, scores by the field's own tools, rows, and resuming."""

import json
import os
import re
import subprocess
import sys
from decimal import Decimal
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from small_models import TEXT, write_checkpoint

from polylect.base import InputError, Ledger, read_json
from polylect.checkpoints import Checkpoint
from polylect.cli import main
from polylect.engine import Engine, EngineConfig, Sampling, TokenPrompt
from polylect.evals import (
    TASKS,
    EvalConfig,
    EvalFolder,
    Item,
    Source,
    evaluate,
    find_task,
    prepare_tasks,
)
from polylect.evals.answers import gold_number, normalized, number_metrics, span_metrics
from polylect.evals.generating import THINKING, UNENDED, _answer
from polylect.evals.scorers import choose_shots, render_prompts
from polylect.evals.translation import NO_PIECES, corpus_scores, sentence_metrics
from polylect.runs import Silent
from polylect.text import train_bpe

DATA = Path(os.environ.get("POLYLECT_DATA", Path(__file__).parents[4] / "shared" / "data"))
# Those without data at hand, or without a gold answer, have tests of their own: test_open_tasks.
ELSEWHERE = {"flores_from_english", "flores_into_english", "mbpp_text_run", "xlsum", "xstest"}
GENERATED = [
    name for name, one in TASKS.items() if one.scorer == "generation" and name not in ELSEWHERE
]


def item(gold, language="en", **more):
    choices = gold if isinstance(gold, tuple) else (gold,)
    return Item(id="1", language=language, context="q", choices=choices, answer=0, **more)


@pytest.mark.parametrize(
    ("answer", "gold", "language", "right"),
    [
        ("So 3 + 4 = 7. The answer is 7.", "7", "en", 1),
        ("Die Antwort lautet 1.000.", "1000", "de", 1),
        ("The answer is 1.000.", "1000", "en", 0),
        ("ответ — 12,0", "12", "ru", 1),
        ("答えは１１です。", "11", "ja", 1),
        ("উত্তর হল ১১।", "11", "bn", 1),
        ("คำตอบคือ ๑๑", "11", "th", 1),
        ("3 then 4", "3", "en", 0),
        ("$1,234.50", "1234.5", "en", 1),
    ],
)
def test_the_last_number_is_the_result(answer, gold, language, right):
    assert number_metrics(item(gold, language), answer) == {"exact_match": right, "no_number": 0}


@pytest.mark.parametrize(
    ("text", "scored", "event"),
    [
        ("<think>3 + 4</think>It is 7.", "It is 7.", THINKING),
        ("3 + 4 is 7</think> 7", " 7", THINKING),  # the prompt ended with the first tag
        ("<think>3 + 4 is 7", "", UNENDED),
        ("<think>a</think>7<think>8", "", UNENDED),
        ("It is 7.", "It is 7.", None),
    ],
)
def test_thinking_is_no_answer(text, scored, event):
    ledger = Ledger()
    assert _answer(text, "mgsm_direct en", ledger) == scored
    assert list(ledger.by_event()) == ([] if event is None else [event])


def test_an_answer_without_a_number_is_wrong_and_told():
    assert number_metrics(item("7"), "seven") == {"exact_match": 0, "no_number": 1}
    assert gold_number(item("2 * 600 = 1,200\n#### 1,200")) == Decimal(1200)
    # A chain of thought in English has English separators, whatever the question's language.
    assert number_metrics(item("1000", "de"), "it is 1,000", "en")["exact_match"] == 1


def test_spans_are_compared_as_squad_and_mlqa_do():
    assert span_metrics(item("the Beatles"), "Beatles!") == {"exact_match": 1, "f1": 1}
    # SQuAD's own example of overlap: two of three words right, one of two gold words missing.
    found = span_metrics(item("Santa Clara California"), "in Santa Clara")
    assert found == {"exact_match": 0, "f1": pytest.approx(2 / 3)}
    assert span_metrics(item(("a b", "c d")), "c d")["exact_match"] == 1
    assert span_metrics(item("x"), "")["f1"] == 0
    assert normalized("Der große Hund, die Katze", "de") == "große hund katze"
    assert normalized("El  niño y la niña", "es") == "niño y niña"
    assert normalized("北京 Olympic2008年。", "zh-Hans") == "北 京 olympic2008 年"
    assert normalized("Η Αθήνα «η»", "el") == "η αθήνα η"
    assert normalized("その «本»", "ja") == "その 本"


def test_squads_own_f1_on_random_spans():
    import collections
    import string

    def plain(text):  # evaluate-v1.1.py of SQuAD, in its own steps
        text = "".join(one for one in text.lower() if one not in set(string.punctuation))
        return " ".join(re.sub(r"\b(a|an|the)\b", " ", text).split())

    random = np.random.default_rng(0)
    words = ["the", "a", "cat", "Dog", "dog.", "an", "it's", "red", "1,000"]
    for _ in range(300):
        mine, gold = (" ".join(random.choice(words, random.integers(1, 6))) for _ in "ab")
        own, other = plain(mine).split(), plain(gold).split()
        same = sum((collections.Counter(own) & collections.Counter(other)).values())
        expected = 0.0
        if same:
            p, r = same / len(own), same / len(other)
            expected = 2 * p * r / (p + r)
        found = span_metrics(item(gold), mine)
        assert found["f1"] == pytest.approx(expected, abs=1e-12)
        assert found["exact_match"] == float(plain(mine) == plain(gold))


SENTENCES = [
    ("Das Haus ist klein und weiß.", "Das Haus ist klein und rot."),
    ("今天天气很好。", "今天天气不好。"),
    ("", "Nichts steht hier."),
    ("Wir gehen ans Meer.", "Wir gehen ans Meer."),
]


@pytest.fixture
def sentences(tmp_path):
    pytest.importorskip("sacrebleu")
    for name, column in (("answers", 0), ("references", 1)):
        lines = "".join(f"{row[column]}\n" for row in SENTENCES)
        (tmp_path / name).write_text(lines, "utf-8")
    return [item(gold, "de") for _, gold in SENTENCES], [mine for mine, _ in SENTENCES]


def command_line(tmp_path, *options, home=None):
    env = os.environ | ({"SACREBLEU": str(home)} if home else {})
    done = subprocess.run(
        [sys.executable, "-m", "sacrebleu", str(tmp_path / "references"), "-i",
         str(tmp_path / "answers"), "--format", "json", "--width", "9", *options],
        capture_output=True, text=True, check=True, env=env,
    )  # fmt: skip
    return json.loads(done.stdout)


def test_chrf_is_that_of_sacrebleus_command_line(sentences, tmp_path):
    items, answers = sentences
    ledger = Ledger()
    found = {one.metric: one for one in corpus_scores(items, answers, ledger)}
    own = command_line(tmp_path, "-m", "chrf", "--chrf-word-order", "2")
    assert found["chrf++"].value == pytest.approx(own["score"], abs=1e-9)
    assert found["chrf++"].signature == own["signature"]
    assert ledger.total(NO_PIECES) == ("spbleu" not in found)
    assert sentence_metrics(items[3], answers[3])["chrf"] == pytest.approx(100)
    assert sentence_metrics(items[2], answers[2])["chrf"] == 0


def test_spbleu_is_that_of_sacrebleus_command_line(sentences, tmp_path, monkeypatch):
    """With a SentencePiece model of our own in the place of FLORES-200's, which is a download."""
    spm = pytest.importorskip("sentencepiece")
    from sacrebleu import utils
    from sacrebleu.tokenizers import tokenizer_spm

    home = tmp_path / "home"
    (home / "models").mkdir(parents=True)
    (tmp_path / "text").write_text("\n".join([TEXT, *[b for _, b in SENTENCES]] * 9), "utf-8")
    spm.SentencePieceTrainer.train(
        input=str(tmp_path / "text"), model_prefix=str(tmp_path / "m"), vocab_size=120,
        minloglevel=2, hard_vocab_limit=False,
    )  # fmt: skip
    (tmp_path / "m.model").rename(home / "models" / "flores200sacrebleuspm")
    monkeypatch.setattr(utils, "SACREBLEU_DIR", str(home))
    monkeypatch.setattr(tokenizer_spm, "SACREBLEU_DIR", str(home))
    items, answers = sentences
    ledger = Ledger()
    found = {one.metric: one for one in corpus_scores(items, answers, ledger)}
    own = command_line(tmp_path, "-m", "bleu", "--tokenize", "flores200", home=home)
    assert found["spbleu"].value == pytest.approx(own["score"], abs=1e-9)
    assert found["spbleu"].signature == own["signature"]
    assert found["spbleu"].value > 20
    assert not ledger.total(NO_PIECES)


@pytest.fixture
def data():
    if not (DATA / "mgsm").is_dir():
        if sys.stderr:
            sys.stderr.write("skipped: no data (generation tasks)\n")
        pytest.skip("no data")
    return Source.at(DATA)


@pytest.mark.parametrize("name", GENERATED)
def test_every_gold_answer_is_right_by_its_own_scorer(data, name):
    task = find_task(name)
    languages = ["code"] if task.languages == ("code",) else task.languages
    seen = 0
    for tag in languages:
        try:
            items = task.items(data, tag)
        except InputError:
            continue
        seen += 1
        for one in items[::37]:
            if task.generation.program is not None:
                continue  # test_sandbox runs these
            values = task.generation.score(one, f" {one.choices[0]}")
            for metric, value in values.items():
                full = 100 if metric == "chrf" else float(metric != "no_number")
                assert value == pytest.approx(full), (tag, one.id, metric)
            assert task.generation.score(one, "")[metric] != full or metric == "no_number"
    assert seen


@pytest.mark.parametrize("tag", ["de", "en", "es", "fr", "ja", "ru", "zh-Hans"])
def test_mgsms_examples_read_as_they_were_published(data, tag):
    config = tag.removesuffix("-Hans")
    published = read_json(DATA / "mgsm" / "exemplars.json")["MGSM_EXEMPLARS"]
    for name, thoughts in (("mgsm_native_cot", config), ("mgsm_en_cot", "en")):
        task = find_task(name)
        items, pool = task.items(data, tag), task.shots(data, tag)
        shots = choose_shots(task, items, pool, 8)
        prompt = render_prompts(items[:1], shots[:1], None)[0]
        texts = [f"{published[config][str(i)]['q']}\n{published[thoughts][str(i)]['a']}"
                 for i in range(1, 9)]  # fmt: skip
        assert prompt.startswith("\n\n".join(texts) + "\n\n")
        # The question after them looks as theirs do.
        question = prompt.split("\n\n")[8]
        word = re.match(r"[^:：]+[:：] ?", texts[0])[0]
        assert question.startswith(word)
        assert texts[0].split("\n")[1].startswith(question.rpartition("\n")[2])
        stop = task.generation.stop(tag)
        assert any(one in f"\n\n{texts[1]}" for one in stop)
        assert not any(one in published[thoughts][str(i)]["a"] for one in stop for i in range(1, 9))


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    folder = tmp_path_factory.mktemp("generating")
    write_checkpoint(folder / "model", train_bpe({"en": [TEXT]}, vocab_size=420))
    (folder / "data" / "gsm8k").mkdir(parents=True)
    rows = [{"question": f"how many are {i}?", "answer": f"so\n#### {i}"} for i in range(12)]
    text = "".join(json.dumps(one) + "\n" for one in rows)
    (folder / "data" / "gsm8k" / "test.jsonl").write_text(text)
    (folder / "data" / "humaneval").mkdir()
    rows = [
        {"task_id": f"t/{i}", "prompt": f"def f{i}():\n", "canonical_solution": "    return 1\n",
         "test": "def check(f):\n    assert f() == 1\n", "entry_point": f"f{i}"}
        for i in range(3)
    ]  # fmt: skip
    text = "".join(json.dumps(one) + "\n" for one in rows)
    (folder / "data" / "humaneval" / "HumanEval.jsonl").write_text(text)
    return folder


def run(place, cache=None, ledger=None, **changed):
    own = {"name": "m", "tasks": ("gsm8k_generate", "humaneval_run"), "data": place / "data",
           "max_new_tokens": 8, "temperature": 1.0, "num_samples": 2}  # fmt: skip
    config, checkpoint = EvalConfig(**own | changed), Checkpoint.open(place / "model")
    ledger = Ledger() if ledger is None else ledger
    tasks = prepare_tasks(config, checkpoint, ledger)
    return evaluate(tasks, checkpoint, config, Silent(), ledger, cache)


def test_answers_are_the_engines_and_rows_are_their_means(place):
    ledger = Ledger()
    found = run(place, ledger=ledger)
    engine = Engine.open(Checkpoint.open(place / "model"), EngineConfig())
    stop = ("Question:", "</s>", "<|im_end|>")
    sampling = Sampling(max_new_tokens=8, temperature=1.0, num_samples=2, stop=stop)
    asked = [
        TokenPrompt(
            np.r_[engine.tokenizer.bos_id,
                  engine.tokenizer.encode([f"Question: how many are {i}?\nAnswer:"])[0]],
            f"gsm8k_generate/en/test-{i}",
        )
        for i in range(12)
    ]  # fmt: skip
    expected = engine.generate(asked, sampling, Silent(), Ledger())
    own = found.answers.filter(pl.col("task") == "gsm8k_generate@2")
    assert own["answer"].to_list() == [one.text for row in expected for one in row]
    rows = found.scores.only(task="gsm8k_generate@2", metric="no_number").frame
    assert rows.height == 12
    for row in rows.iter_rows(named=True):
        texts = own.filter(pl.col("item") == row["item"])["answer"].to_list()
        assert row["value"] == np.mean([not re.search(r"\d", text) for text in texts])
    programs = found.answers.filter(pl.col("task") == "humaneval_run@1")
    assert programs["outcome"].str.contains("passed|failed|died|timed out").all()
    table = found.scores.only(task="humaneval_run@1").frame
    assert table["metric"].unique().to_list() == ["pass@1"]
    assert ledger.total("truncated: answer") == int((found.answers["stopped"] == "length").sum())


def test_what_is_kept_is_not_generated_again_and_changes_nothing(place, tmp_path):
    first, second, bare = Ledger(), Ledger(), Ledger()
    whole = run(place, tmp_path, first)
    (path,) = [one for one in (tmp_path / "answers").iterdir() if one.stat().st_size > 3000]
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join(lines[:7]) + lines[7][:20])  # as a kill would leave it
    again = run(place, tmp_path, second)
    assert again.scores.digest == whole.scores.digest == run(place, None, bare).scores.digest
    assert again.answers.equals(whole.answers)
    assert list(first.rows()) == list(second.rows()) == list(bare.rows())
    assert sorted(path.read_bytes().splitlines()) == sorted(b"".join(lines).splitlines())


def test_the_command_writes_answers_pages_and_what_compare_takes(place, tmp_path, capsys):
    call = ["eval", str(place / "model"), "--tasks", "gsm8k-generate,humaneval_run", "--datasets",
            str(place / "data"), "--max-new-tokens", "6", "--shots", "0", "--out",
            str(tmp_path / "out")]  # fmt: skip
    assert main([*call, "--dry-run"]) == 0
    assert "and at most 72 new" in capsys.readouterr().out
    assert main(call) == 0
    told = capsys.readouterr().out
    assert re.search(r"gsm8k_generate@2 +en +exact_match +0\.000", told)
    assert re.search(r"humaneval_run@1 +code +pass@1", told)
    folder = EvalFolder.read(tmp_path / "out")
    assert folder.manifest["asked"][0]["max_new_tokens"] == 6
    assert pl.read_parquet(tmp_path / "out" / "answers.parquet").height == 15
    assert "exact_match" in (tmp_path / "out" / "index.html").read_text()
    assert main(call) == 0
    assert "there already" in capsys.readouterr().err
    more = ["--out", str(tmp_path / "c")]
    assert main(["compare", str(tmp_path / "out"), str(tmp_path / "out"), *more]) == 0


def test_translation_keeps_whole_scores_with_their_signatures(place, tmp_path, capsys):
    pytest.importorskip("sacrebleu")
    folder = tmp_path / "data" / "ntrex"
    folder.mkdir(parents=True)
    (folder / "newstest2019-src.eng.txt").write_text("The fox.\nOne dog.\n")
    (folder / "newstest2019-ref.deu.txt").write_text("Der Fuchs.\nEin Hund.\n")
    (folder / "DOCUMENT_IDS.tsv").write_text("a\nb\n")
    call = ["eval", str(place / "model"), "--tasks", "translate_from_english", "--languages", "de",
            "--datasets", str(tmp_path / "data"), "--max-new-tokens", "5", "--shots", "1", "--out",
            str(tmp_path / "out")]  # fmt: skip
    assert main(call) == 0
    manifest = read_json(tmp_path / "out" / "eval.json")
    assert manifest["corpus"][0]["metric"] == "chrf++"
    assert "nw:2" in manifest["corpus"][0]["signature"]
    assert "nw:2" in (tmp_path / "out" / "index.html").read_text()
    assert "chrf++" in capsys.readouterr().out
    task = find_task("translate_from_english")
    items = task.items(Source.at(tmp_path / "data"), "de")
    prompt = render_prompts(items, choose_shots(task, items, [], 1), None)[1]
    assert prompt == (
        "English sentence: The fox.\nGerman sentence: Der Fuchs.\n\n"
        "English sentence: One dog.\nGerman sentence:"
    )
