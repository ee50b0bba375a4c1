"""A real model, fine-tuned three ways and merged four: bits per sentence in 12 languages.

    python benchmarks/merge_real.py --model DIR --data ../shared/data --out DIR

DIR is SmolLM2-135M-Instruct in Hugging Face layout (research note 07, section 8, says how it is
made from the package). Three short fine-tunings with LoRA (rank 16) on news in Germanic, Romance,
and Polish, Czech and Turkish; their uniform average, SLERP of SLERP, TIES, and weights searched on
a validation part in ten languages. Shown on the test part, in two more languages too. The news is
NTREX-128, parallel: a sentence is the same in all languages.
"""

import argparse
import json
import os
import shutil
from dataclasses import dataclass
from pathlib import Path

from merge_real_page import write_real_page

from polylect.base import LANGUAGES, read_json
from polylect.checkpoints import Checkpoint, Lineage, Parent
from polylect.evals import BitsConfig, score_bits
from polylect.merging import MergeConfig, merge_models
from polylect.mixtures import (
    CollectConfig,
    FolderSource,
    TokenizeConfig,
    collect_text,
    tokenize_text,
)
from polylect.recipes.merge_search.scored_text import TokenizerInput
from polylect.recipes.merge_search.steps import (
    ARCHIVE,
    MODEL,
    SEARCHED,
    ExploreConfig,
    Items,
    explore,
)
from polylect.rows import Split
from polylect.runs import Call, Files, Run, display, step
from polylect.search import Archive, CmaConfig, FitnessConfig, ParetoConfig, SurrogateConfig
from polylect.training import ExamplesConfig, OptimConfig, SftConfig, sft

EXPERTS = {
    "germanic": ("de", "nl"),
    "romance": ("fr", "es", "it", "pt"),
    "pl-cs-tr": ("pl", "cs", "tr"),
}
NAMES = {
    "en": "eng", "de": "deu", "nl": "nld", "fr": "fra", "es": "spa", "it": "ita", "pt": "por",
    "pl": "pol", "cs": "ces", "tr": "tur", "ro": "ron", "id": "ind",
}  # fmt: skip
HELD_OUT = ("ro", "id")
SEARCHED_ON = tuple(tag for tag in NAMES if tag not in HELD_OUT)
NUM_EXAMPLES, FIRST_SCORED, NUM_SCORED = 96, 1500, 110


@dataclass(frozen=True, kw_only=True)
class RealConfig:
    """Budget."""

    evaluations: int = 18
    validation_bytes: int = 500
    test_bytes: int = 1_600
    learning_rate: float = 1e-3


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    for name in ("--model", "--data", "--out"):
        parser.add_argument(name, type=Path, required=True)
    options = parser.parse_args()
    config, before = RealConfig(), os.times()
    files = options.out.with_name(options.out.name + "-data")
    if not (files / "text").is_dir():
        make_files(options.data / "ntrex", files)
    with display() as shown:
        run = Run(options.out, "merge-real", config, display=shown)
        scores, weights, counts = study(run, config, options.model, files)
    run.finish(["index.html"])
    used = sum(os.times()[:4]) - sum(before[:4])
    write_real_page(options.out / "index.html", scores, weights, counts, EXPERTS, HELD_OUT)
    print(f"{used:.0f} CPU s of this try; {options.out / 'index.html'}")


def make_files(source, files):
    """Conversations for every expert, and the text that scores all of them."""
    (files / "text").mkdir(parents=True)
    lines = {}
    for tag, name in NAMES.items():
        files = [*source.glob(f"newstest2019-ref.{name}.txt"),
                 *source.glob(f"newstest2019-src.{name}.txt")]  # fmt: skip
        lines[tag] = files[0].read_text("utf-8").splitlines()
    for expert, tags in EXPERTS.items():
        rows = []
        for number in range(NUM_EXAMPLES):
            tag = tags[number % len(tags)]
            prompt = f"Write a sentence of the news in {LANGUAGES[tag].name}."
            rows.append({"language": tag, "messages": [
                {"role": "user", "content": prompt},
                {"role": "assistant", "content": lines[tag][number * 7]}]})  # fmt: skip
        text = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
        (files / f"{expert}.jsonl").write_text(text, "utf-8")
    rows = [
        {"language": tag, "text": texts[at], "parallel": f"ntrex-{at}", "id": f"{tag}-{at}"}
        for tag, texts in lines.items() for at in range(FIRST_SCORED, FIRST_SCORED + NUM_SCORED)
    ]  # fmt: skip
    text = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
    (files / "text" / "news.jsonl").write_text(text, "utf-8")


def study(run, config, model, files):
    start = Files(model)
    corpus = run.step(
        collect_text, "text",
        CollectConfig(languages=tuple(NAMES), validation_share=0.3, test_share=0.45,
                      min_identified_characters=10_000),
        {"text": FolderSource(files / "text")},
    )  # fmt: skip
    tokenizer = TokenizerInput(model, Checkpoint.open(model).tokenizer_digest)
    tokens = run.step(tokenize_text, "tokens", TokenizeConfig(),
                      {"corpus": corpus, "tokenizer": tokenizer})  # fmt: skip
    optim = OptimConfig(learning_rate=config.learning_rate, warmup=0.1, schedule="linear",
                        min_lr_ratio=0.0, weight_decay=0.0, beta2=0.999, lora_rank=16)  # fmt: skip
    examples = ExamplesConfig(batch_size=4, context_tokens=256, over_long="drop", probes=0)
    calls = [Call(sft, name, SftConfig(examples=examples, optim=optim),
                  {"model": start, "data": Files(files / f"{name}.jsonl")})
             for name in EXPERTS]  # fmt: skip
    experts = dict(zip(EXPERTS, run.steps(calls), strict=True))

    # Training writes the tokenizer's files anew; the start is written in the same way.
    start = run.step(saved, "start", RealConfig(), {"model": start})
    search = run.step(explore, "search", explored(config),
                     {MODEL + name: expert for name, expert in experts.items()}
                     | {MODEL + "start": start, "tokens": tokens})  # fmt: skip
    archive = Archive.read(search.path / ARCHIVE)
    summary = read_json(search.path / "search.json")
    weights = dict(zip(archive.labels, archive.entries[summary["named"][SEARCHED]].vector,
                       strict=True))  # fmt: skip
    models = {"start": start, **experts}
    models |= merged(run, experts, start, weights)
    calls = [
        Call(score_bits, f"bits-{name}",
             BitsConfig(name=name, split=Split.TEST, bytes_per_language=config.test_bytes),
             {"model": model, "tokens": tokens})
        for name, model in models.items()
    ]  # fmt: skip
    scored = dict(zip(models, run.steps(calls), strict=True))
    counts = {"merges scored by the search": len(archive)}
    return (
        {name: artifact.path / "scores.parquet" for name, artifact in scored.items()},
        weights,
        counts,
    )


@step(version=1)
def saved(config, inputs, context):
    """The same model as a checkpoint that training would have written."""
    from polylect.models import load_model, save_model
    from polylect.text import Tokenizer

    there = Checkpoint.open(inputs["model"].path)
    for name in ("chat_template.jinja", "generation_config.json"):
        if (there.path / name).is_file():
            shutil.copyfile(there.path / name, context.out / name)
    lineage = Lineage(method="saved", parents=(Parent(label="model", digest=there.digest),))
    save_model(load_model(there), Tokenizer.load(there.path), context.out, lineage)


def explored(config):
    return ExploreConfig(
        merge=MergeConfig(method="linear"),
        items=Items(languages=SEARCHED_ON, bytes_per_language=config.validation_bytes),
        by="language", groups={}, fitness=FitnessConfig(), map="softmax",
        cma=CmaConfig(num_evaluations=config.evaluations, sigma=0.7),
        pareto=ParetoConfig(num_evaluations=0), surrogate=SurrogateConfig(num_rounds=1, batch=3),
        top=(2,),
    )  # fmt: skip


def merged(run, experts, start, weights):
    """The four merges by name."""
    first, second, three = experts
    pair = run.step(merge_models, "slerp-of-two",
                    MergeConfig(method="slerp", base=first, options={"t": 0.5}),
                    {first: experts[first], second: experts[second]})  # fmt: skip
    model_options = {name: {"weight": weight} for name, weight in weights.items()}
    return {
        "linear": run.step(merge_models, "linear", MergeConfig(method="linear"), experts),
        "slerp": run.step(merge_models, "slerp",
                          MergeConfig(method="slerp", base="two", options={"t": 1 / 3}),
                          {"two": pair, three: experts[three]}),
        "ties": run.step(merge_models, "ties",
                         MergeConfig(method="ties", base="start", options={"density": 0.5}),
                         {"start": start, **experts}),
        "searched": run.step(merge_models, "searched",
                             MergeConfig(method="linear", model_options=model_options),
                             {**experts, "start": start}),
    }  # fmt: skip


if __name__ == "__main__":
    main()
