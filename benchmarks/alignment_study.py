"""Alignment on real preferences, small: four objectives, three rates, three seeds; and the claims.

    polylect run benchmarks/alignment_study.py:alignment_study --data DATA --out DIR

A base of four million parameters is trained on real text in fifteen languages, then fine-tuned on
what ten real systems answered, right language or not. From there, with equal pairs and updates:

1. DPO, IPO, SRPO and CoPG offline, each with the best of the same three rates (by the mean accuracy
   on half of the held-out prompts; the other half is reported).
2. As many pairs of eight languages, of two and of one (DPO): what the others gain.
3. Online DPO and CoPG in three rounds, rewarded by a reward model trained on the same pairs, behind
   a gate of language identification; beside offline DPO and CoPG.

Accuracy is the share of held-out pairs whose preferred answer gained more than the other; seen and
unseen languages apart. Answers to held-out prompts are labeled by lingua, which labeled no pair
that was learned from. Every training is a step of a run: killed, it goes on where it was.
"""

import json
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from scipy.special import stdtrit

sys.path.insert(0, str(Path(__file__).parent))
import alignment_data as pairs_of

from polylect.base import Ledger
from polylect.checkpoints import Checkpoint
from polylect.mixtures import (
    CollectConfig,
    FolderSource,
    Mixture,
    Stage,
    TokenizeConfig,
    TokenizerConfig,
    collect_text,
    tokenize_text,
    train_tokenizer,
    uniform_shares,
)
from polylect.models import BuildConfig, build
from polylect.recipes import find_reward
from polylect.rows import ScoreTable
from polylect.runs import Call, Files, Run, Silent, StepContext, StepInputs, step
from polylect.training import (
    ExamplesConfig,
    OnlineConfig,
    OptimConfig,
    PreferenceConfig,
    PretrainConfig,
    RewardConfig,
    SftConfig,
    online,
    preference,
    pretrain,
    reward,
    sft,
)

SEEDS = (0, 1, 2)
RATES = {"dpo": (3e-5, 1e-4, 3e-4), "ipo": (3e-5, 1e-4, 3e-4), "srpo": (3e-5, 1e-4, 3e-4),
         "copg": (3e-5, 1e-4, 3e-4)}  # fmt: skip
SEEN, UNSEEN = pairs_of.tags(pairs_of.SEEN), pairs_of.tags(pairs_of.UNSEEN)
STEP, CONTEXT = 10, 512


@dataclass(frozen=True, kw_only=True)
class StudyConfig:
    """Where the data are, and how much is learned.

    Attributes:
        data: folder of the data sets: NTREX, the Language Confusion Benchmark, MLQE-PE.
        pairs: preferences that each seed learns from.
        base_tokens: tokens that the base is trained on.
        num_parameters: of the base.
    """

    data: Path
    pairs: int = 300
    base_tokens: int = 2_500_000
    num_parameters: int = 4_000_000


@dataclass(frozen=True, kw_only=True)
class PairsConfig:
    """How many preferences there are."""

    pairs: int


@step(version=1)
def pairs(config: PairsConfig, inputs: StepInputs, context: StepContext) -> None:
    """Text, conversations, preferences and held-out rows, from the data at hand."""
    pairs_of.make(inputs["data"].path, context.out, config.pairs)
    parts = [context.out / "held.jsonl", *sorted(context.out.glob("held-edits-*.jsonl"))]
    text = "".join(part.read_text("utf-8") for part in parts)
    (context.out / "held-all.jsonl").write_text(text, "utf-8")


def alignment_study(run: Run, config: StudyConfig) -> None:
    """Four objectives, three rates and three seeds on real preferences; and the claims."""
    made = run.step(pairs, "data", PairsConfig(pairs=config.pairs), {"data": Files(config.data)})
    study(run, config, made.path)


def base_of(run: Run, config: StudyConfig, files: Path):
    corpus = run.step(collect_text, "text", CollectConfig(), {"text": FolderSource(files / "text")})
    tokenizer = run.step(train_tokenizer, "tokenizer", TokenizerConfig(vocab_size=12_288),
                         {"corpus": corpus})  # fmt: skip
    tokens = run.step(tokenize_text, "tokens", TokenizeConfig(),
                      {"corpus": corpus, "tokenizer": tokenizer})  # fmt: skip
    shape = BuildConfig(num_parameters=config.num_parameters, context_tokens=CONTEXT)
    init = run.step(build, "init", shape, {"tokens": tokens})
    shares = uniform_shares(sorted(pairs_of.tags(pairs_of.NTREX)))
    mixture = Mixture(stages=(Stage(tokens=config.base_tokens, shares=shares),))
    base = run.step(pretrain, "base", PretrainConfig(mixture=mixture),
                    {"tokens": tokens, "model": init})  # fmt: skip
    examples = ExamplesConfig(batch_size=16, context_tokens=CONTEXT, over_long="drop",
                              probes=0)  # fmt: skip
    tuned = SftConfig(examples=examples, optim=tuning(1e-3))
    return run.step(sft, "instruct", tuned, {"model": base, "data": Files(files / "chats.jsonl")})


def tuning(rate: float) -> OptimConfig:
    return OptimConfig(learning_rate=rate, warmup=0.1, schedule="linear", min_lr_ratio=0.0,
                       weight_decay=0.0, beta2=0.999)  # fmt: skip


def examples_of(seed: int, epochs: float = 1.0) -> ExamplesConfig:
    return ExamplesConfig(epochs=epochs, batch_size=STEP, context_tokens=CONTEXT,
                          over_long="drop", seed=seed, probes=0)  # fmt: skip


def study(run: Run, config: StudyConfig, files: Path) -> None:
    start = base_of(run, config, files)
    held = {"held_out": Files(files / "held-all.jsonl")}

    def offline(label: str, objective: str, rate: float, seed: int, data: str) -> Call:
        made = PreferenceConfig(objective=objective, examples=examples_of(seed), optim=tuning(rate))
        inputs = {"model": start, "data": Files(files / f"{data}-{seed}.jsonl"), **held}
        return Call(preference, label, made, inputs)

    grid = {
        (objective, rate, seed): offline(f"{objective}-{rate:g}-{seed}", objective, rate, seed,
                                         "pairs")
        for seed in SEEDS for objective, rates in RATES.items() for rate in rates
    }  # fmt: skip
    calls = list(grid.values())
    found = dict(zip(grid, run.steps(calls), strict=True))
    best = {
        objective: max(rates, key=lambda rate: np.mean([
            accuracy(found[objective, rate, seed].path, "choose", SEEN + UNSEEN)
            for seed in SEEDS]))
        for objective, rates in RATES.items()
    }  # fmt: skip
    print("\n| objective | rate | seen | unseen | post-edits | margin seen | unseen |\n"
          "|---|---|---|---|---|---|---|")  # fmt: skip
    for objective, rates in RATES.items():
        for rate in rates:
            own = [found[objective, rate, seed].path for seed in SEEDS]
            mark = " (best)" if rate == best[objective] else ""
            cells = [spread([accuracy(one, "report", which) for one in own])
                     for which in (SEEN, UNSEEN, "edits")]  # fmt: skip
            cells += [spread([accuracy(one, "report", which, "margin") for one in own])
                      for which in (SEEN, UNSEEN)]  # fmt: skip
            print(f"| {objective} | {rate:g}{mark} | {' | '.join(cells)} |", flush=True)
    by_language(found, best)

    calls = [offline(f"{name}-{seed}", "dpo", best["dpo"], seed, name)
             for name in ("eight", "two", "one") for seed in SEEDS]  # fmt: skip
    done = run.steps(calls)
    print("\n| DPO on 240 pairs of | seen by eight | unseen by any |\n|---|---|---|")
    wide = {name: [one.path for one in done[3 * i : 3 * i + 3]]
            for i, name in enumerate(("eight", "two", "one"))}  # fmt: skip
    for name, own in wide.items():
        others = [tag for tag in SEEN if tag not in ("de", "ar")]
        cells = [spread([accuracy(one, "report", which) for one in own])
                 for which in (others, UNSEEN)]  # fmt: skip
        print(f"| {name} | {' | '.join(cells)} |")
    for few in ("two", "one"):
        print(f"eight − {few}, unseen, paired by seed: " + spread([
            accuracy(a, "report", UNSEEN) - accuracy(b, "report", UNSEEN)
            for a, b in zip(wide["eight"], wide[few], strict=True)]), flush=True)  # fmt: skip

    judges = run.steps([
        Call(reward, f"judge-{seed}", RewardConfig(examples=examples_of(seed, 2.0),
                                                   optim=tuning(3e-4)),
             {"model": start, "data": Files(files / f"pairs-{seed}.jsonl"), **held})
        for seed in SEEDS
    ])  # fmt: skip
    right = [spread([accuracy(one.path, "report", which) for one in judges])
             for which in (SEEN, UNSEEN)]  # fmt: skip
    print(f"\nreward models, held-out accuracy seen {right[0]}, unseen {right[1]}", flush=True)
    kinds = [(objective, seed) for objective in ("dpo", "copg") for seed in SEEDS]
    calls = [
        Call(online, f"online-{objective}-{seed}",
             OnlineConfig(objective=objective, examples=examples_of(seed, 1.0),
                          optim=tuning(best[objective]), num_samples=4, max_new_tokens=40,
                          prompts_per_round=80),
             {"model": start, "data": Files(files / f"prompts-{seed}.jsonl"),
              "reward": find_reward(str(judges[seed].path))})
        for objective, seed in kinds
    ]  # fmt: skip
    lived = dict(zip(kinds, run.steps(calls), strict=True))
    models = {"start": [start.path]}
    for objective in ("dpo", "copg"):
        models[f"offline {objective}"] = [found[objective, best[objective], seed].path
                                          for seed in SEEDS]  # fmt: skip
        models[f"online {objective}"] = [lived[objective, seed].path for seed in SEEDS]
    for objective in ("ipo", "srpo"):
        models[f"offline {objective}"] = [found[objective, best[objective], seed].path
                                          for seed in SEEDS]  # fmt: skip
    print("\n| model | other language, seen | unseen | reward, seen | unseen |\n"
          "|---|---|---|---|---|")  # fmt: skip
    seen_rates: dict[str, list[dict[str, float]]] = {}
    for name, own in models.items():
        rates = [answers(one, files, judges[i % 3].path) for i, one in enumerate(own)]
        seen_rates[name] = rates
        cells = [spread([one[key] for one in rates]) for key in TOLD]
        print(f"| {name} | {' | '.join(cells)} |", flush=True)
    for objective in ("dpo", "copg"):
        for key in TOLD:
            a, b = seen_rates[f"online {objective}"], seen_rates[f"offline {objective}"]
            gain = spread([x[key] - y[key] for x, y in zip(a, b, strict=True)])
            print(f"online − offline {objective}, {key}, paired by seed: {gain}", flush=True)
    run.finish()


def accuracy(folder: Path, part: str, which, metric: str = "acc") -> float:
    """Macro-average over languages; even items choose the rate, odd ones are reported."""
    frame = ScoreTable.read(folder / "scores.parquet").only(metric=metric).frame
    values: dict[str, list[float]] = {}
    for row in frame.iter_rows(named=True):
        number = int(row["item"])
        if (number % 2 == 0) != (part == "choose"):
            continue
        edited = number >= NUM_VERIFIED
        if edited != (which == "edits"):
            continue
        values.setdefault(row["language"], []).append(row["value"])
    tags = sorted(values) if which == "edits" else which
    return float(np.mean([np.mean(values[tag]) for tag in tags]))


NUM_VERIFIED = 14 * pairs_of.HELD
TOLD = ("wrong seen", "wrong unseen", "reward seen", "reward unseen")


def spread(values: list[float]) -> str:
    """Mean and half the 95 % interval over seeds."""
    if len(values) < 2:
        return f"{values[0]:.3f}"
    half = stdtrit(len(values) - 1, 0.975) * np.std(values, ddof=1) / np.sqrt(len(values))
    return f"{np.mean(values):.3f} ± {half:.3f}"


def by_language(found, best) -> None:
    print("\n| language | " + " | ".join(best) + " |\n|---|" + "---|" * len(best))
    for tag in SEEN + UNSEEN:
        cells = [spread([accuracy(found[o, rate, seed].path, "report", [tag]) for seed in SEEDS])
                 for o, rate in best.items()]  # fmt: skip
        print(f"| {tag}{'' if tag in SEEN else ' (unseen)'} | {' | '.join(cells)} |")


def answers(model: Path, files: Path, judge: Path) -> dict[str, float]:
    """Share of greedy answers that lingua calls another language, and their mean reward."""
    import torch

    from polylect.engine import Generator, Question, Sampling, TokenPrompt
    from polylect.models import load_model
    from polylect.rows import read_prompts
    from polylect.text import Tokenizer
    from polylect.text.turns import style_of

    torch.set_num_threads(1)
    checkpoint = Checkpoint.open(model)
    tokenizer = Tokenizer.load(model)
    style = style_of(model, tokenizer, "plain")
    rows = [one for one in read_prompts(files / "held-prompts.jsonl")
            if one.language in SEEN + UNSEEN and len(style.prompt(one.messages)) < 400]  # fmt: skip
    generator = Generator(load_model(checkpoint), tokenizer, 1 << 30)
    asked = [TokenPrompt(style.prompt(one.messages), str(i)) for i, one in enumerate(rows)]
    found = generator.answer(
        asked, Sampling(max_new_tokens=40), Silent(), Ledger(), ends=style.ends()
    )
    texts = [own[0].text for own in found]
    said = pairs_of.second_labels(texts)
    questions = [Question(one.messages, one.language, [text])
                 for one, text in zip(rows, texts, strict=True)]  # fmt: skip
    rewards = [
        one[0] for one in find_reward(str(judge)).open("plain", 4096, Ledger())(questions, Ledger())
    ]
    told = {}
    for name, tags in (("seen", SEEN), ("unseen", UNSEEN)):
        told[f"wrong {name}"] = float(np.mean([
            np.mean([label != tag for label, one in zip(said, rows, strict=True)
                     if one.language == tag]) for tag in tags]))  # fmt: skip
        told[f"reward {name}"] = float(np.mean([
            np.mean([r for r, one in zip(rewards, rows, strict=True) if one.language == tag])
            for tag in tags]))  # fmt: skip
    print(json.dumps({"model": model.name, **told}), file=sys.stderr)
    return told
