"""Writes lm_eval_logs/: what lm-evaluation-harness 0.4.13 logs of two small random models.

Two tasks of choice (German, Japanese), with ``--log_samples``; the results are cut down to what
says nothing of the machine. Offline, in an environment that has lm_eval and polylect:

    HF_HUB_OFFLINE=1 python tests/golden/lm_eval_logs.py
"""

import json
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parent / "support"))

from small_models import TEXT, write_checkpoint  # noqa: E402

from polylect.text import train_bpe  # noqa: E402

QUESTIONS = HERE.parent / "fixtures" / "tasks" / "mixed.jsonl"
TAGS = ("de", "ja")
KEPT = (
    "model_name", "lm_eval_version", "n-shot", "higher_is_better", "chat_template_sha",
    "system_instruction",
)  # fmt: skip


def main() -> None:
    items = [json.loads(line) for line in QUESTIONS.read_text("utf-8").splitlines()]
    tokenizer = train_bpe({"en": [TEXT, QUESTIONS.read_text("utf-8")]}, vocab_size=600)
    out = HERE / "lm_eval_logs"
    shutil.rmtree(out, ignore_errors=True)
    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder)
        for tag in TAGS:
            own = [one for one in items if one["language"] == tag]
            file = work / f"{tag}.jsonl"
            file.write_text("".join(json.dumps(one) + "\n" for one in own), "utf-8")
            (work / f"mixed_{tag}.yaml").write_text(
                f"task: mixed_{tag}\ndataset_path: json\n"
                f"dataset_kwargs: {{data_files: {{test: {file}}}}}\n"
                "output_type: multiple_choice\ntest_split: test\n"
                'doc_to_text: "{{context}}"\ndoc_to_choice: "{{choices}}"\n'
                "doc_to_target: answer\nmetric_list:\n"
                "  - {metric: acc, aggregation: mean, higher_is_better: true}\n"
                "  - {metric: acc_norm, aggregation: mean, higher_is_better: true}\n"
            )
        for seed, name in enumerate(("before", "after")):
            write_checkpoint(work / name, tokenizer, seed=seed)
            tasks = ",".join(f"mixed_{tag}" for tag in TAGS)
            words = ["run", "--model", "hf", "--model_args", f"pretrained={work / name}",
                     "--tasks", tasks, "--include_path", folder, "--device", "cpu",
                     "--output_path", str(work / f"out-{name}"), "--log_samples"]  # fmt: skip
            subprocess.run([sys.executable, "-m", "lm_eval", *words], check=True, cwd=folder)
            keep(work / f"out-{name}", out / name, name)


def keep(made: Path, out: Path, name: str) -> None:
    """The samples as they are; of the results, what names no machine."""
    out.mkdir(parents=True)
    for path in made.rglob("samples_*.jsonl"):
        (out / path.name).write_text(path.read_text("utf-8"), "utf-8")
    for path in made.rglob("results_*.json"):
        whole = json.loads(path.read_text("utf-8"))
        small = {key: whole[key] for key in KEPT if key in whole} | {"model_name": name}
        small["config"] = {"model_args": f"pretrained={name}", "limit": whole["config"]["limit"]}
        (out / path.name).write_text(json.dumps(small, indent=1) + "\n", "utf-8")


if __name__ == "__main__":
    main()
