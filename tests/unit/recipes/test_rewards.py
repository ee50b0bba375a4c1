"""A reward has one name everywhere, and a function may be given as it is."""

import json
import math
import pickle
from pathlib import Path

import polars
import pytest
import torch
import transformers
from align_cases import CHATML, pair_rows, write_lines, write_model

import polylect as pl
from polylect.api.functions import function_file
from polylect.base import InputError, Ledger, NamesFunction
from polylect.engine import FunctionSource, Question
from polylect.feedback import AnswersConfig, answers
from polylect.recipes import find_reward
from polylect.rows import Message
from polylect.runs import Call, Files, execute_into
from polylect.training import (
    ExamplesConfig,
    LanguageSource,
    ModelSource,
    OnlineConfig,
    online,
    read_groups,
)

QUESTIONS = [
    Question([Message("system", "be kind"), Message("user", "Warum?")], "de", ["Darum.", "So"])
]


def scores(name, questions=QUESTIONS):
    return find_reward(name).open("own", 100, Ledger())(questions, Ledger())


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    folder = tmp_path_factory.mktemp("rewards")
    write_model(folder / "model", template=CHATML)
    write_model(folder / "judge", template=CHATML)
    path = folder / "judge" / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"num_labels": 1}))
    config = transformers.AutoConfig.from_pretrained(folder / "judge")
    torch.manual_seed(0)
    transformers.LlamaForSequenceClassification(config).save_pretrained(folder / "judge")
    (folder / "own.py").write_text(
        "def text(prompt, answer, language):\n"
        "    return len(answer) + (prompt == 'Warum?') + (language == 'de') / 2\n"
        "def turns(messages, answer, language):\n"
        "    return [m['role'] for m in messages] == ['system', 'user']\n"
        "def two(prompt, answer):\n    return 1\n"
        "def words(prompt, answer, language):\n    return 'good'\n"
    )
    return folder


def test_every_kind_is_found_by_its_name(place):
    assert find_reward("language") == LanguageSource()
    assert find_reward(place / "judge") == ModelSource(place / "judge")
    assert find_reward(f"{place}/own.py:text") == FunctionSource(place / "own.py", "text")
    for name in ("language", str(place / "judge"), f"{place}/own.py:text"):
        source = find_reward(name)
        assert source.name == name
        assert pickle.loads(pickle.dumps(source)).digest == source.digest
    digests = {find_reward(f"{place}/own.py:{name}").digest for name in ("text", "turns")}
    assert len(digests) == 2


def test_a_function_gets_the_prompts_text_or_all_turns(place):
    assert scores(f"{place}/own.py:text") == [[6 + 1 + 0.5, 2 + 1 + 0.5]]
    assert scores(f"{place}/own.py:turns") == [[1.0, 1.0]]


def test_a_reward_model_says_what_transformers_says(place):
    model = transformers.AutoModelForSequenceClassification.from_pretrained(place / "judge").eval()
    tokenizer = transformers.AutoTokenizer.from_pretrained(place / "judge")
    expected = []
    for answer in QUESTIONS[0].answers:
        turns = [{"role": m.role, "content": m.content} for m in QUESTIONS[0].messages]
        turns.append({"role": "assistant", "content": answer})
        ids = tokenizer.apply_chat_template(turns, return_tensors="pt", return_dict=True)
        with torch.no_grad():
            expected.append(float(model(**ids).logits[0, 0]))
    (values,) = scores(place / "judge")
    assert values == pytest.approx(expected, abs=1e-5)


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("nowhere", "--reward nowhere: no such folder or file — give a folder of"),
        ("langauge", "did you mean language"),
        ("{place}/no.py:text", "no such file"),
        ("{place}/own.py", "which function? — --reward {place}/own.py:function"),
        ("{place}/own.py:absent", "no function 'absent'"),
        ("{place}/own.py:two", "def two(prompt, answer, language) -> float"),
        ("{place}/own.py:words", "gave 'good' for an answer in de — return a finite number"),
        ("{place}/model", "not a reward model"),
    ],
)
def test_what_is_no_reward_is_one_line(place, name, words):
    with pytest.raises(InputError) as caught:
        scores(name.format(place=place))
    assert words.format(place=place) in str(caught.value)


WEIGHTS = {"de": 2.0, "en": float("inf")}
KNOWN = frozenset({"b", "a"})


def weight(language):
    return WEIGHTS.get(language, math.pi)


def weighted(prompt: str, answer: str, language: str, times: int = 1) -> float:
    """How long, by language."""
    path = Path(answer)
    return times * weight(language) * len(path.name) + ("a" in KNOWN)


def test_a_function_is_written_down_with_all_that_it_names(tmp_path):
    limit = 3

    def closed(prompt, answer, language):
        return min(limit, len(answer)) if language != "x" else closed(prompt, answer, "de")

    for function in (weighted, closed):
        name = function_file(function, "--reward")
        assert name.endswith(f"function.py:{function.__name__}")
        (values,) = scores(name)
        assert values == [function("Warum?", text, "de") for text in QUESTIONS[0].answers]
        assert function_file(function, "--reward") == name


def test_what_a_function_names_is_a_part_of_its_digest(monkeypatch):
    before = find_reward(function_file(weighted, "--reward")).digest
    monkeypatch.setitem(WEIGHTS, "tr", 1.0)
    changed = find_reward(function_file(weighted, "--reward")).digest
    monkeypatch.undo()
    assert changed != before
    assert find_reward(function_file(weighted, "--reward")).digest == before


MODEL = object()


def names_a_thing(prompt, answer, language):
    return MODEL is not None


class Judge:
    def __call__(self, prompt, answer, language):
        return 1.0


@pytest.mark.parametrize(
    ("function", "words"),
    [
        (lambda prompt, answer, language: 1.0, "--reward is a lambda — write def name"),
        (Judge(), "--reward is a Judge"),
        (len, "--reward is a builtin_function_or_method"),
        (names_a_thing, "names 'MODEL' (object), which cannot be written down — put the function"),
    ],
)
def test_a_function_that_cannot_be_written_down_is_one_line(function, words):
    with pytest.raises(InputError) as caught:
        function_file(function, "--reward")
    assert words in str(caught.value)


def test_a_function_without_source_is_one_line():
    space = {}
    exec("def f(prompt, answer, language):\n    return 1.0\n", space)
    with pytest.raises(InputError, match="the source of 'f' cannot be read — put the function"):
        function_file(space["f"], "--reward")


def test_the_option_says_that_it_takes_a_function():
    from polylect.api.option_fields import option_fields
    from polylect.api.values import from_keywords
    from polylect.recipes.alignment.iterative_dpo import RoundsConfig

    assert repr(NamesFunction()) == "NamesFunction()"
    (field,) = [field for field in option_fields(RoundsConfig) if field.key == "reward"]
    assert field.names_function
    options = from_keywords(RoundsConfig, {"reward": weighted}, "run rounds")
    assert scores(options.reward) == scores(function_file(weighted, "--reward"))


TEXT = "Das ist ein ganz gewöhnlicher deutscher Satz über das Wetter."
FORMS = {
    "model": lambda place: place / "judge",
    "language": lambda place: "language",
    "file": lambda place: f"{place}/own.py:text",
    "function": lambda place: function_file(weighted, "--reward"),
}


@pytest.mark.parametrize("form", FORMS)
def test_every_form_is_a_reward_of_online_training_and_of_answers(place, tmp_path, form):
    rows = [{"prompt": f"{TEXT} {number}", "language": "de"} for number in range(2)]
    source = find_reward(FORMS[form](place))
    inputs = {"model": Files(place / "model"), "reward": source,
              "data": Files(write_lines(tmp_path / "p.jsonl", rows))}  # fmt: skip
    config = OnlineConfig(
        objective="rloo", num_samples=2, max_new_tokens=3, gate=False,
        examples=ExamplesConfig(batch_size=2, probes=0),
    )  # fmt: skip
    trained = execute_into(Call(online, "o", config, inputs), tmp_path / "o")
    groups = read_groups(trained.path / "samples.parquet")
    settings = AnswersConfig(max_new_tokens=3)
    answered = execute_into(Call(answers, "a", settings, inputs), tmp_path / "a")
    table = polars.read_parquet(answered.path / "answers.parquet")
    reward = source.open("own", 100, Ledger())
    for messages, texts, given in [
        *((group.turns, group.answers, group.rewards) for group in groups),
        *((((("user", row["prompt"]),)), [row["answer"]], [row["reward"]])
          for row in table.iter_rows(named=True)),
    ]:  # fmt: skip
        question = Question([Message(*turn) for turn in messages], "de", texts)
        (expected,) = reward([question], Ledger())
        assert list(given) == pytest.approx(expected, abs=1e-4)


@pytest.mark.parametrize("form", FORMS)
def test_every_form_is_a_reward_of_the_recipes(place, tmp_path, form, monkeypatch):
    monkeypatch.chdir(tmp_path)
    prompts = write_lines(tmp_path / "p.jsonl", [{"prompt": TEXT, "language": "de"}] * 2)
    pairs = write_lines(tmp_path / "pairs.jsonl", pair_rows(4))
    common = {"model": place / "model", "prompts": prompts, "held_out": prompts, "pairs": pairs}
    given = weighted if form == "function" else FORMS[form](place)
    plan = pl.run("rounds", **common, reward=given, max_new_tokens=4, dry_run=True)
    assert "then every stage answers 2 held-out prompts" in str(plan)
    assert not (tmp_path / "runs").exists()
    with pytest.raises(InputError, match="reward nowhere: no such folder or file"):
        pl.run("rounds", **common, reward="nowhere", max_new_tokens=4, dry_run=True)
