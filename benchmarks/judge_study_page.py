"""The page and the figures of ``judge_study.py``, from what its stages wrote."""

import json
from collections.abc import Sequence
from pathlib import Path

import polars as pl

from polylect.base import Ledger, language, read_json
from polylect.judging import (
    CALIBRATED_SUFFIX,
    ModelAnswers,
    calibrated_judgments,
    longer_answer_judgments,
    outcome_table,
    pair_answers,
    read_answers,
    read_judgments,
    verdict_agreement,
    win_rate_table,
)
from polylect.report import (
    Dot,
    Html,
    dot_plot,
    language_cell,
    legend,
    section,
    table,
    tag,
    write_page,
)
from polylect.rows import Judgment


def percent(value: float | None) -> str:
    return "–" if value is None else f"{value:.1%}"


def number(value: float | None, digits: int = 2) -> str:
    return "–" if value is None else f"{value:.{digits}f}".replace("-", "−")


def write(out: Path, gemma: str, smol: str) -> None:
    """Write ``study.html`` and print what it says."""
    parts = [confusion(out), translation(out, (gemma, smol)), pair(out, gemma, smol)]
    parts += [systems(out, gemma), people(out), cost(out)]
    lead = tag(
        "p",
        "Two small real models answer, translate and judge; ten published systems answered the same"
        " prompts. The point is what a weak judge is worth: how often it flips when the two answers"
        " change places, and how far it agrees with a rule that only looks at length. Gemma-3-270m"
        " is a base model asked in plain turns; SmolLM2-135M-Instruct is an English chat model.",
        class_="lead",
    )
    write_page(
        out / "study.html", "A weak judge in many languages", lead, [part for part in parts if part]
    )
    print(out / "study.html", (out / "study.html").stat().st_size, "bytes")


def confusion(out: Path) -> Html:
    rows = []
    for path in sorted((out / "confusion").glob("*.parquet")):
        frame = pl.read_parquet(path)
        counted, by_language, means = {}, {}, {}
        for name in ("benchmark", "lingua"):
            answers = frame.filter(pl.col("metric") == f"line_pass[{name}]")
            valid = answers.filter(~pl.col("invalid"))
            by_language[name] = valid.group_by("language").agg(pl.col("value").mean())
            means[name] = by_language[name]["value"].mean()
            counted[name] = (answers.height, answers.height - valid.height)
        num, skipped = counted["benchmark"]
        languages = by_language["benchmark"].height
        rows.append((means["benchmark"] or 0.0, [
            path.stem, f"{num:,}", f"{skipped:,}", f"{languages}", percent(means["benchmark"]),
            percent(means["lingua"]),
        ]))  # fmt: skip
    rows.sort(key=lambda row: -row[0])
    for _, cells_of_row in rows:
        print("confusion", *cells_of_row)

    return section(
        "Language confusion",
        table(["system", "answers", "skipped", "languages", "line pass", "lingua"],
              [row for _, row in rows], numbers=(1, 2, 3, 4, 5)),
        note="Share of answers all of whose lines of five words or more are in the asked language,"
        " mean over languages, by the benchmark's identifier and by lingua; eight short monolingual"
        " prompts a language. Answers without such a line are skipped by the benchmark's rule, so a"
        " model that says little loses little. Ours are cut at 48 tokens, the published at 100.",
    )  # fmt: skip


def translation(out: Path, names: tuple[str, ...]) -> Html:
    chrf: dict[tuple[str, str, str], float] = {}
    for name in names:
        path = out / "translation" / name / "eval.json"
        if not path.is_file():
            continue
        for row in read_json(path)["corpus"]:
            if row["metric"] == "chrf++":
                chrf[name, row["task"].partition("@")[0], row["language"]] = row["value"]
    tags = list(dict.fromkeys(tag_ for _, _, tag_ in chrf))
    if not tags:
        return Html("")
    columns = list(dict.fromkeys((name, task) for name, task, _ in chrf))
    rows = []
    for language_tag in tags:
        rows.append([language_cell(language(language_tag)),
                     *(number(chrf.get((*at, language_tag)), 1) for at in columns)])  # fmt: skip
    means = []
    for column in columns:
        values = [v for (n, t, _), v in chrf.items() if (n, t) == column]
        means.append(number(sum(values) / len(values), 1) if values else "–")
    print("translation chrF++ means", list(zip(columns, means, strict=True)), len(tags))
    head = ["language", *(f"{name}, {'from' if 'from' in task else 'into'} English"
                          for name, task in columns)]  # fmt: skip
    return section(
        "Translation of news, chrF++",
        table(head, [*rows, [tag("strong", "mean"), *means]], numbers=range(1, len(head))),
        note="NTREX-128, three examples before each, three sentences a language:"
        " too few for a ranking, enough to see that one of the two cannot.",
    )


def pair(out: Path, gemma: str, smol: str) -> Html:
    folder = out / "judged" / "pair"
    if not folder.is_dir():
        return Html("")
    judgments = read_judgments(folder)
    sides = [read_answers(out / "answers" / name) for name in (smol, gemma)]
    outcomes, calibrated, length_rule = outcomes_of(judgments, sides)
    parts, dots = [], {}
    judges = outcomes["judge"].unique(maintain_order=True).to_list()
    for series, judge in enumerate(judges):
        by_judge = outcomes.filter(pl.col("judge") == judge)
        both_orders = calibrated.filter(pl.col("judge") == judge + CALIBRATED_SUFFIX)
        with_rule = pl.concat([both_orders, length_rule])
        whole, sums = overall(by_judge), overall(both_orders)
        agreed = verdict_agreement(with_rule).row(0, named=True)
        print(f"pair by {judge}:", summary(whole), rule_summary(agreed))
        print("  both orders together:", summary(sums))
        won = column_by_language(win_rate_table(both_orders, "language"), "win_rate")
        equal = column_by_language(verdict_agreement(with_rule, "language"), "equal")
        rows = []
        for row in win_rate_table(by_judge, "language").iter_rows(named=True):
            name = row["language"]
            rows.append([language_cell(language(name)), *cells(row), percent(won.get(name)),
                         percent(equal.get(name))])  # fmt: skip
            if name in won:
                at = 100 * won[name]
                of_language = dots.setdefault(name, (language(name), []))[1]
                of_language.append(Dot(at, at, at, series, judge))
        rows.append([tag("strong", "all"), *cells(whole), percent(sums["win_rate"]),
                     percent(agreed["equal"])])  # fmt: skip
        head = ["language", "pairs", "win", "tie", "loss", "win rate", "flips", "first preferred",
                "invalid", "orders together", "as longer"]  # fmt: skip
        parts.append(tag("h3", f"{judge} judges {gemma} against {smol}"))
        parts.append(table(head, rows, numbers=range(1, len(head))))
    between = verdict_agreement(calibrated).to_dicts()
    for row in between:
        print("judges", row)
    sentences = [
        f"{row['judges']}: the same verdict on {percent(row['equal'])} of {row['cases']} pairs,"
        f" kappa {number(row['kappa'], 3)}, ordinal alpha {number(row['ordinal'], 3)}"
        for row in between
    ]
    return section(
        "Against each other",
        legend([f"judged by {judge}" for judge in judges]),
        tag("figure", dot_plot(list(dots.values()),
                               f"win rate of {gemma}, both orders together, per cent")),
        *parts,
        tag("p", "; ".join(sentences)),
        note="By the preset aya and the probability of A, B or C, in both orders; a flip is a tie."
        " Both judge answers of their own. Orders together: the log-odds of both added, so that"
        " what place and letter are worth cancels; as longer: how often that is the longer answer's"
        " verdict. The longer answer, in characters, is a rule"
        " without a model.",
    )  # fmt: skip


def outcomes_of(
    judgments: Sequence[Judgment], sides: Sequence[ModelAnswers]
) -> tuple[pl.DataFrame, pl.DataFrame, pl.DataFrame]:
    """Outcomes as judged, with both orders together, and by the length of the answers."""
    judged = {(judgment.id, judgment.language) for judgment in judgments}
    pairs = [
        answers
        for answers in pair_answers(sides[0], sides[1], Ledger())
        if (answers.a.id, answers.a.language) in judged
    ]
    names = (sides[0].model, sides[1].model)
    return (
        outcome_table(judgments),
        outcome_table(calibrated_judgments(judgments)),
        outcome_table(longer_answer_judgments(pairs, names, len)),
    )


def overall(outcomes: pl.DataFrame) -> dict:
    """The rates of a single judge in all languages."""
    return win_rate_table(outcomes, "judge").row(0, named=True)


def column_by_language(frame: pl.DataFrame, column: str) -> dict[str, float]:
    return dict(frame.select("language", column).rows())


def rule_summary(row: dict) -> str:
    return f"length rule {percent(row['equal'])}, kappa {number(row['kappa'], 3)}"


def systems(out: Path, gemma: str) -> Html:
    rows, tables = [], []
    for folder in sorted((out / "judged").iterdir()):
        if folder.name in {"pair", "people"} or not (folder / "judgments.parquet").is_file():
            continue
        sides = [read_answers(out / "systems" / folder.name), read_answers(out / "answers" / gemma)]
        outcomes, calibrated, length_rule = outcomes_of(read_judgments(folder), sides)
        agreed = verdict_agreement(pl.concat([calibrated, length_rule])).row(0, named=True)
        rows.append([
            folder.name, *cells(overall(outcomes)), percent(overall(calibrated)["win_rate"]),
            percent(agreed["equal"]), percent(overall(length_rule)["win_rate"]),
        ])  # fmt: skip
        tables.append(pl.concat([outcomes, calibrated, length_rule]).with_columns(
            id=pl.format("{}/{}", pl.lit(folder.name), "id")))  # fmt: skip
    if not rows:
        return Html("")
    everything = pl.concat(tables)
    row = overall(everything.filter(pl.col("judge") == gemma))
    sums = overall(everything.filter(pl.col("judge") == gemma + CALIBRATED_SUFFIX))
    agreed = verdict_agreement(everything.filter(pl.col("judge") != gemma)).row(0, named=True)
    print(f"{gemma} against {len(rows)} systems:", summary(row), "; orders together",
          summary(sums), rule_summary(agreed))  # fmt: skip
    for system in rows:
        print(" ", *system)
    head = ["against", "pairs", "win", "tie", "loss", "win rate", "flips", "first preferred",
            "invalid", "orders together", "as longer", "by length alone"]  # fmt: skip
    last = [
        tag("strong", "all"),
        *cells(row),
        percent(sums["win_rate"]),
        percent(agreed["equal"]),
        "",
    ]
    return section(
        f"{gemma} against {len(rows)} of the ten published systems, judged by {gemma}",
        table(head, [*rows, last], numbers=range(1, len(head))),
        note="One short prompt in each of ten languages and every system: its own answers against"
        " theirs, so that it judges itself. Two of the files are short and join fewer prompts.",
    )


def people(out: Path) -> Html:
    folder = out / "judged" / "people"
    if not folder.is_dir():
        return Html("")
    votes = read_judgments(out / "people" / "votes.jsonl")
    judgments = read_judgments(folder)
    models = (judgments[0].model_a, judgments[0].model_b)
    sides = [read_answers(out / "people" / name) for name in models]
    outcomes, calibrated, length_rule = outcomes_of(judgments, sides)
    everyone = pl.concat([calibrated, outcome_table(votes), length_rule])
    rows = []
    judges = [name for name in everyone["judge"].unique() if not name.startswith("annotator")]
    for row in verdict_agreement(everyone, beside=judges).iter_rows(named=True):
        rows.append([row["judges"], f"{row['cases']:,}", percent(row["equal"]),
                     number(row["kappa"], 3), number(row["ordinal"], 3)])  # fmt: skip
        print("people", *rows[-1])
    rates = win_rate_table(outcomes, "judge").to_dicts()
    for row in rates:
        print("people, judge", row["judge"], summary(row))
    sentences = [
        f"{row['judge']}: flips {percent(row['flip'])}, first preferred {percent(row['first'])}"
        for row in rates
    ]
    return section(
        "Beside people",
        table(["who", "pairs", "same verdict", "kappa", "alpha"], rows, numbers=(1, 2, 3, 4)),
        tag("p", "; ".join(sentences)),
        note="48 English pairs of two models with the verdicts of three annotators each (PandaLM).",
    )


def cost(out: Path) -> Html:
    rows = []
    total = 0.0
    for line in (out / "cpu.jsonl").read_text("utf-8").splitlines():
        row = json.loads(line)
        total += row["cpu_seconds"]
        words = [Path(word).name if "/" in word else word for word in row["command"]]
        rows.append([tag("code", "polylect " + " ".join(words)), f"{row['cpu_seconds']:.0f}",
                     f"{row['peak_kib'] / 1024:.0f}"])  # fmt: skip
    print(f"CPU seconds {total:.0f}")
    return section(
        "What it cost",
        table(["command", "CPU seconds", "peak MiB so far"], rows, numbers=(1, 2)),
        note=f"{total / 60:.1f} CPU minutes in all, one thread each.",
    )


def cells(row: dict) -> list[str]:
    valid = row["pairs"] - row["invalid_pairs"]
    shares = [percent(row[name] / valid if valid else None) for name in ("wins", "ties", "losses")]
    return [f"{row['pairs']:,}", *shares, percent(row["win_rate"]), percent(row["flip"]),
            percent(row["first"]), percent(row["invalid"])]  # fmt: skip


def summary(row: dict) -> str:
    names = ("pairs", "win", "tie", "loss", "win rate", "flips", "first preferred", "invalid")
    return ", ".join(f"{a} {b}" for a, b in zip(names, cells(row), strict=True))
