"""Writes lm_eval_tasks.json: what lm-evaluation-harness 0.4.13's own code makes of our fixtures.

Prompts (0 and 2 shots, the first of the pool; plain and as a chat), what is scored after them, and
the verdicts of its three accuracies on made-up log-likelihoods. Offline, in an environment that has
lm_eval:

    HF_HUB_OFFLINE=1 python tests/golden/lm_eval_tasks.py
"""

import json
import random
from importlib.metadata import version
from pathlib import Path

import datasets
import lm_eval.tasks
from lm_eval.api.task import ConfigurableTask
from lm_eval.tasks._yaml_loader import load_yaml

HERE = Path(__file__).parent
FIXTURES = HERE.parent / "fixtures" / "tasks"
TASKS = Path(lm_eval.tasks.__file__).parent
METRICS = ("acc", "acc_norm", "acc_bytes")
SHOTS = (0, 2)
DATA_KEYS = (
    "dataset_name", "training_split", "validation_split", "filter_list", "unsafe_code",
    "process_results", "generation_kwargs", "repeats", "num_fewshot",
)  # fmt: skip
PASSAGES = "xcopa/data/it/test.it.jsonl", "xcopa/data/it/val.it.jsonl"


def lines(name):
    return [json.loads(line) for line in (FIXTURES / name).read_text("utf-8").splitlines()]


def tsv(name):
    return [line.split("\t") for line in (FIXTURES / name).read_text("utf-8").splitlines()]


def stories(split):
    rows = tsv(f"xstorycloze/spring2016.val.es.tsv.split_20_80_{split}.tsv")[1:]
    sentences = [f"input_sentence_{i}" for i in range(1, 5)]
    names = ["story_id", *sentences, "sentence_quiz1", "sentence_quiz2", "answer_right_ending"]
    return [dict(zip(names, [*row[:-1], int(row[-1])], strict=True)) for row in rows]


def squad():
    data = json.loads((FIXTURES / "xquad/xquad.el.json").read_text("utf-8"))["data"]
    return [
        {
            "id": one["id"],
            "context": paragraph["context"],
            "question": one["question"],
            "answers": {
                "text": [own["text"] for own in one["answers"]],
                "answer_start": [own["answer_start"] for own in one["answers"]],
            },
        }
        for article in data
        for paragraph in article["paragraphs"]
        for one in paragraph["qas"]
    ]


def sums(split):
    if split == "test":
        rows = [(q, None, int(a.replace(",", ""))) for q, a in tsv("mgsm/mgsm_ja.tsv")]
    else:
        data = json.loads((FIXTURES / "mgsm/exemplars.json").read_text("utf-8"))
        asked = data["MGSM_EXEMPLARS"]["ja"]
        numbers = data["EXEMPLAR_NUMBER_ANSWERS"]
        rows = [
            (asked[str(i)]["q"], asked[str(i)]["a"], one) for i, one in enumerate(numbers, start=1)
        ]
    return [{"question": q, "answer": a, "answer_number": n} for q, a, n in rows]


def programs(split):
    rows = lines("mbpp_text/mbpp.jsonl")
    if split == "prompt":
        return [{**row, "is_fewshot": True} for row in rows if row["task_id"] <= 10]
    return [row for row in rows if 11 <= row["task_id"] <= 510]


def okapi(split):
    return json.loads((FIXTURES / f"okapi_mmlu/ro_{split}.json").read_text("utf-8"))


def subject(split, name):
    return [row for row in lines(f"global_mmlu/tr/{split}.jsonl") if row["subject"] == name]


def mixed(tag):
    return [row for row in lines("mixed.jsonl") if row["language"] == tag]


PLAIN = {
    "output_type": "multiple_choice",
    "doc_to_text": "{{context}}",
    "doc_to_choice": "{{choices}}",
    "doc_to_target": "{{answer}}",
}
# Name, its file there, the rows that are scored, the pool; None for the rows themselves.
CASES = [
    ("xcopa", "xcopa/default_it.yaml", lines(PASSAGES[0]), lines(PASSAGES[1])),
    ("xstorycloze", "xstorycloze/default_es.yaml", stories("eval"), stories("train")),
    ("xwinograd", "xwinograd/xwinograd_fr.yaml", lines("xwinograd/test/fr.jsonl"), None),
    ("belebele:de", "belebele/belebele_deu_Latn.yaml", lines("belebele/deu_Latn.jsonl"), None),
    ("belebele:pt", "belebele/belebele_por_Latn.yaml", lines("belebele/por_Latn.jsonl"), None),
    *(
        (f"global_mmlu:{one}", "global_mmlu/full/tr/_tr_template_yaml",
         subject("test", one), subject("dev", one))
        for one in ("anatomy", "astronomy")
    ),
    ("okapi_mmlu", "okapi/mmlu_multilingual/m_mmlu_ro.yaml", okapi("test"), okapi("dev")),
    ("xquad", "xquad/xquad_el.yaml", squad(), None),
    ("mgsm", "mgsm/direct/mgsm_direct_ja.yaml", sums("test"), sums("train")),
    ("gsm8k", "gsm8k/gsm8k.yaml", lines("gsm8k/test.jsonl"), lines("gsm8k/train.jsonl")),
    ("mbpp_text", "mbpp/mbpp.yaml", programs("test"), programs("prompt")),
    *((f"mixed:{one}", PLAIN, mixed(one), None) for one in ("de", "ja", "ar")),
]  # fmt: skip


def build(there, rows, pool):
    """lm_eval's task on our rows: its prompt and its rules, its data replaced."""
    # The functions of these two are for generated text, and want the network or an older package.
    heavy = isinstance(there, str) and there.startswith(("mbpp", "xquad"))
    own = isinstance(there, dict)
    config = dict(there) if own else load_yaml(TASKS / there, resolve_func=not heavy)
    for name in DATA_KEYS:
        config.pop(name, None)
    kind = config["output_type"]
    names = METRICS if kind == "multiple_choice" else ("perplexity",)
    config["output_type"] = kind if kind == "multiple_choice" else "loglikelihood"
    config["metric_list"] = [
        {"metric": name, "aggregation": "mean", "higher_is_better": True} for name in names
    ]
    data = {"test": datasets.Dataset.from_list(rows)}
    if pool is not None:
        data["pool"] = datasets.Dataset.from_list(pool)
    split = "test" if pool is None else "pool"
    config |= {
        "task": "golden",
        "dataset_path": "ours",
        "custom_dataset": lambda **_: data,
        "test_split": "test",
        "fewshot_split": split,
        "fewshot_config": {"sampler": "first_n", "split": split},
    }
    return ConfigurableTask(config=config)


def show(messages, add_generation_prompt):
    """Stands for a chat template: the messages themselves."""
    assert add_generation_prompt
    return json.dumps(messages, ensure_ascii=False)


def main():
    draw = random.Random(4)
    found = {}
    for name, there, rows, pool in CASES:
        task = build(there, rows, pool)
        cases = []
        for doc in task.eval_docs:
            case = {"requests": {}, "verdicts": []}
            for shots in SHOTS:
                context = task.fewshot_context(doc, shots)
                if name == "mbpp_text":  # its target is the tests; the gold program is ours
                    asked = [(context, doc["code"])]
                elif task.OUTPUT_TYPE == "multiple_choice":
                    asked = [one.arguments for one in task.construct_requests(doc, context)]
                else:
                    target = task.doc_to_target(doc)
                    asked = [(context, f"{task.config.target_delimiter}{target}")]
                case["requests"][str(shots)] = asked
            if task.OUTPUT_TYPE == "multiple_choice":
                chat = {"chat_template": show, "apply_chat_template": True}
                context = task.fewshot_context(doc, 2, fewshot_as_multiturn=True, **chat)
                asked = task.construct_requests(doc, context, **chat)
                case["chat"] = [one.arguments for one in asked]
            number = len(case["requests"]["0"])
            for turn in range(6 if number > 1 else 0):
                lls = [draw.uniform(-60, -1) for _ in range(number)]
                if turn > 3:  # whole numbers tie now and then
                    lls = [float(draw.randint(-4, -2)) for _ in range(number)]
                verdict = task.process_results(doc, [(one, False) for one in lls])
                found_here = {one: verdict[one] for one in METRICS}
                case["verdicts"].append({"log_likelihoods": lls} | found_here)
            cases.append(case)
        found[name] = cases
    text = json.dumps({"lm_eval": version("lm_eval"), "tasks": found}, ensure_ascii=False, indent=1)
    (HERE / "lm_eval_tasks.json").write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
