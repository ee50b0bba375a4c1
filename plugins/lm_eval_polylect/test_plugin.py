"""The harness's own loop on our engine against the harness's own model, on the same tasks.

In an environment that has lm_eval, polylect and this plugin:

    pytest plugins/lm_eval_polylect
"""

import json
import sys
from pathlib import Path

import pytest

lm_eval = pytest.importorskip("lm_eval", reason="skipped: no lm_eval in this environment")
ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests" / "support"))

QUESTIONS = ROOT / "tests" / "fixtures" / "tasks" / "mixed.jsonl"
LENGTHS = (1, 3, 7, 40, 200)


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    from small_models import TEXT, write_checkpoint

    from polylect.text import train_bpe

    tokenizer = train_bpe({"en": [TEXT, QUESTIONS.read_text("utf-8")]}, vocab_size=600)
    return write_checkpoint(tmp_path_factory.mktemp("model"), tokenizer)


@pytest.fixture(scope="module")
def both(checkpoint):
    from lm_eval.models.huggingface import HFLM
    from lm_eval_polylect import PolylectLM

    path = str(checkpoint.path)
    return PolylectLM(path), HFLM(pretrained=path, device="cpu", dtype="float32", batch_size=1)


def instances(kind, arguments):
    from lm_eval.api.instance import Instance

    return [Instance(kind, {}, one, i) for i, one in enumerate(arguments)]


def test_tasks_give_the_same_answers(both, tmp_path):
    from lm_eval import simple_evaluate
    from lm_eval.tasks import TaskManager

    items = [json.loads(line) for line in QUESTIONS.read_text("utf-8").splitlines()]
    (tmp_path / "de.jsonl").write_text(
        "".join(json.dumps(one) + "\n" for one in items if one["language"] == "de")
    )
    (tmp_path / "mixed_de.yaml").write_text(
        "task: mixed_de\ndataset_path: json\n"
        f"dataset_kwargs: {{data_files: {{test: {tmp_path / 'de.jsonl'}}}}}\n"
        "output_type: multiple_choice\ntest_split: test\nfewshot_split: test\n"
        "fewshot_config: {sampler: first_n}\n"
        'doc_to_text: "{{context}}"\ndoc_to_choice: "{{choices}}"\ndoc_to_target: answer\n'
        "metric_list:\n  - {metric: acc, aggregation: mean, higher_is_better: true}\n"
    )
    manager = TaskManager(include_defaults=False, include_path=str(tmp_path))
    found = [
        simple_evaluate(
            model=one, tasks=["mixed_de"], num_fewshot=2, task_manager=manager, bootstrap_iters=0
        )["samples"]["mixed_de"]
        for one in both
    ]
    assert len(found[0]) == len(found[1]) > 3
    for ours, theirs in zip(*found, strict=True):
        assert ours["acc"] == theirs["acc"]
        for mine, other in zip(ours["filtered_resps"], theirs["filtered_resps"], strict=True):
            assert mine[0] == pytest.approx(other[0], rel=1e-5)
            assert mine[1] == other[1]


def test_whole_texts_in_windows_are_the_harness_s(checkpoint):
    from lm_eval.models.huggingface import HFLM
    from lm_eval_polylect import PolylectLM

    path, words = str(checkpoint.path), ["The", "quick", "brown", "fox", "jumps", "over"]
    texts = [" ".join(words[i % 6] for i in range(length)) for length in LENGTHS]
    for most in (16, 512):
        ours = PolylectLM(path, max_length=most, add_bos_token=False)
        theirs = HFLM(pretrained=path, device="cpu", dtype="float32", max_length=most,
                      add_bos_token=False)  # fmt: skip
        asked = instances("loglikelihood_rolling", [(one,) for one in texts])
        expected = theirs.loglikelihood_rolling(asked, disable_tqdm=True)
        assert ours.loglikelihood_rolling(asked) == pytest.approx(expected, rel=1e-5)


def test_what_generates_is_refused(both):
    from polylect.base import InputError

    with pytest.raises(InputError, match=r"ask to generate"):
        both[0].generate_until(instances("generate_until", [("a", {})]))
