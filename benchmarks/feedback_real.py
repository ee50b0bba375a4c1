"""Ten systems of the Language Confusion Benchmark as ten teachers: a pool, its rewards, its routes.

The prompts are the benchmark's (15 languages, some drawn of each), the answers its published ones,
so that nothing is generated. Rewards: language verification by two identifiers, which judge each
other; a reward model fitted to the comparisons of PandaLM (English, hashed n-grams, so a weak one)
and the same without what follows from length. Prints Markdown.

    python benchmarks/feedback_real.py --datasets DATA --out runs/feedback-real
"""

import argparse
import json
from pathlib import Path

import polylect as pl
from polylect.base import generator, parts_of
from polylect.evals.confusion.read import read_completions
from polylect.rows import Prompt, read_rows, write_rows

ROUTES = (
    ("by-fasttext", "by-lingua"),
    ("by-lingua", "by-fasttext"),
    ("pandalm", "by-lingua"),
    ("pandalm-lc", "pandalm"),
)


def main() -> None:
    """Make pool, rewards, routes and pairs; print what came out."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--datasets", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--prompts", type=int, default=100, help="of each language")
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    out = arguments.out
    out.mkdir(parents=True, exist_ok=True)
    prompts = drawn_prompts(arguments.datasets, out, arguments.prompts, arguments.seed)
    stored = out / "answers.jsonl"
    write_answers(arguments.datasets, prompts, stored)
    pool = pl.feedback.pool(out / "prompts.jsonl", teacher=[str(stored)], out=out / "pool")
    print("\n".join(pool.lines()))
    fitted = pl.people.fit(
        pandalm(arguments.datasets),
        schema="pandalm", method="pooled", out=out / "pandalm",
    )  # fmt: skip
    pl.feedback.score(pool, reward=["by-fasttext=language"])
    judge = Path(__file__).with_name("feedback_rewards.py")
    pl.feedback.score(pool, reward=[f"by-lingua={judge}:lingua_agrees"])
    pl.feedback.score(pool, reward=[f"pandalm=people:{fitted.path}"])
    scored = pl.feedback.score(
        pool, reward=[f"pandalm-lc=people:{fitted.path}"], length_controlled=True
    )
    print("\n".join(scored.lines()))
    for reward, judge in ROUTES:
        route = pl.feedback.route(
            pool,
            reward=reward,
            judged_by=judge,
            same_judge=True,
            out=out / f"route-{reward}-{judge}",
        )
        print(f"\n## chosen by {reward}, compared by {judge}\n")
        print("\n".join(route.lines()))
    for kind in ("best-worst", "language-verified"):
        pairs = pl.feedback.pairs(
            pool, kind=kind, reward="pandalm-lc", sample=60, out=out / f"pairs-{kind}"
        )
        print(f"\n## pairs: {kind}\n")
        print("\n".join(pairs.lines()))


def pandalm(datasets: Path) -> Path:
    """The file of PandaLM's comparisons."""
    return next(path for path in sorted((datasets / "pandalm").rglob("*.json*")))


def drawn_prompts(datasets: Path, out: Path, num: int, seed: int) -> list[Prompt]:
    """Some prompts of each language, drawn."""
    every = pl.prompts("language_confusion", datasets=datasets, out=out / "all-prompts")
    by_language: dict[str, list[Prompt]] = {}
    for prompt in read_rows(every.file, Prompt):
        by_language.setdefault(prompt.language, []).append(prompt)
    kept = []
    for language, rows in sorted(by_language.items()):
        order = generator(seed, "prompts", language).permutation(len(rows))[:num]
        kept += [rows[i] for i in sorted(order)]
    write_rows(out / "prompts.jsonl", Prompt, kept)
    return kept


def write_answers(datasets: Path, prompts: list[Prompt], path: Path) -> None:
    """The published answers to these prompts, as rows with id, language, model and answer."""
    tags = {parts_of(prompt.language)[0]: prompt.language for prompt in prompts}
    asked = {(prompt.language, prompt.id) for prompt in prompts}
    with open(path, "w", encoding="utf-8") as file:
        for table in sorted((datasets / "language-confusion" / "outputs").glob("*.csv")):
            for row in read_completions(table):
                task, number = row.id.rsplit("-", 1)
                key = (tags[parts_of(row.language)[0]], f"{task}-{row.source}-{number}")
                if key in asked:
                    line = {"language": key[0], "id": key[1], "model": row.model,
                            "answer": row.text}  # fmt: skip
                    file.write(json.dumps(line, ensure_ascii=False) + "\n")


if __name__ == "__main__":
    main()
