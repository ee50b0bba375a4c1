"""The page and the figures of ``judge_study.py``, from what its stages wrote."""

import json
from pathlib import Path

import polars as pl

from polylect.base import Ledger, language, read_json
from polylect.judging import (
    agreement,
    balanced,
    by_length,
    outcomes,
    pairs_of,
    rates,
    read_answers,
    read_judgments,
)
from polylect.judging.position_calibration import SUFFIX
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
    write_page(out / "study.html", "A weak judge in many languages", lead, [p for p in parts if p])
    print(out / "study.html", (out / "study.html").stat().st_size, "bytes")


def confusion(out: Path) -> Html:
    rows = []

    for path in sorted((out / "confusion").glob("*.parquet")):
        frame = pl.read_parquet(path)
        own = frame.filter(pl.col("metric") == "line_pass[benchmark]")
        other = frame.filter(pl.col("metric") == "line_pass[lingua]")
        looked, second = (one.filter(~pl.col("invalid")) for one in (own, other))
        by = looked.group_by("language").agg(pl.col("value").mean())
        mean = by["value"].mean() if by.height else None
        beside = second.group_by("language").agg(pl.col("value").mean())["value"].mean()
        rows.append((mean or 0.0, [path.stem, f"{own.height:,}", f"{own.height - looked.height:,}",
                                   f"{by.height}", percent(mean), percent(beside)]))  # fmt: skip
    rows.sort(key=lambda one: -one[0])
    for _, row in rows:
        print("confusion", *row)

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
    found: dict[tuple[str, str, str], float] = {}
    for name in names:
        path = out / "translation" / name / "eval.json"
        if not path.is_file():
            continue
        for row in read_json(path)["corpus"]:
            if row["metric"] == "chrf++":
                found[name, row["task"].partition("@")[0], row["language"]] = row["value"]
    tags = list(dict.fromkeys(tag_ for _, _, tag_ in found))
    if not tags:
        return Html("")
    columns = list(dict.fromkeys((name, task) for name, task, _ in found))
    rows = []
    for one in tags:
        rows.append([language_cell(language(one)),
                     *(number(found.get((*column, one)), 1) for column in columns)])  # fmt: skip
    means = []
    for column in columns:
        values = [v for (n, t, _), v in found.items() if (n, t) == column]
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
    pairs = pairs_of(*sides, Ledger())
    judged = {(one.id, one.language) for one in judgments}
    pairs = [one for one in pairs if (one.a.id, one.a.language) in judged]
    found = outcomes(judgments)
    rule = outcomes(by_length(pairs, (sides[0].model, sides[1].model), len))
    parts, dots = [], {}
    together = outcomes(balanced(judgments))
    for place, judge in enumerate(found["judge"].unique(maintain_order=True)):
        own = found.filter(pl.col("judge") == judge)
        mine = together.filter(pl.col("judge") == judge + SUFFIX)
        (whole,) = rates(own, "judge").iter_rows(named=True)
        (sums,) = rates(mine, "judge").iter_rows(named=True)
        both = agreement(pl.concat([mine, rule])).row(0, named=True)
        print(f"pair by {judge}:", told(whole), f"length rule {percent(both['equal'])}, kappa"
              f" {number(both['kappa'], 3)}")  # fmt: skip
        print("  both orders together:", told(sums))
        won = {row["language"]: row["win_rate"] for row in rates(mine, "language").iter_rows(
            named=True)}  # fmt: skip
        by = agreement(pl.concat([mine, rule]), "language")
        alike = {row["language"]: row["equal"] for row in by.iter_rows(named=True)}
        rows = []
        for row in rates(own, "language").iter_rows(named=True):
            known = language(row["language"])
            rows.append([language_cell(known), *cells(row), percent(won.get(row["language"])),
                         percent(alike.get(row["language"]))])  # fmt: skip
            if row["language"] in won:
                at = 100 * won[row["language"]]
                dots.setdefault(row["language"], (known, []))[1].append(
                    Dot(at, at, at, place, judge)
                )
        rows.append([tag("strong", "all"), *cells(whole), percent(sums["win_rate"]),
                     percent(both["equal"])])  # fmt: skip
        head = ["language", "pairs", "win", "tie", "loss", "win rate", "flips", "first preferred",
                "invalid", "orders together", "as longer"]  # fmt: skip
        parts.append(tag("h3", f"{judge} judges {gemma} against {smol}"))
        parts.append(table(head, rows, numbers=range(1, len(head))))
    two = agreement(together)
    for row in two.iter_rows(named=True):
        print("judges", row)
    return section(
        "Against each other",
        legend([f"judged by {one}" for one in found["judge"].unique(maintain_order=True)]),
        tag("figure", dot_plot(list(dots.values()),
                               f"win rate of {gemma}, both orders together, per cent")),
        *parts,
        tag("p", "; ".join(f"{row['judges']}: the same verdict on {percent(row['equal'])} of"
                           f" {row['cases']} pairs, kappa {number(row['kappa'], 3)}, ordinal alpha"
                           f" {number(row['ordinal'], 3)}" for row in two.iter_rows(named=True))),
        note="By the preset aya and the probability of A, B or C, in both orders; a flip is a tie."
        " Both judge answers of their own. Orders together: the log-odds of both added, so that"
        " what place and letter are worth cancels; as longer: how often that is the longer answer's"
        " verdict. The longer answer, in characters, is a rule"
        " without a model.",
    )  # fmt: skip


def systems(out: Path, gemma: str) -> Html:
    rows, everything = [], []
    for folder in sorted((out / "judged").iterdir()):
        if folder.name in {"pair", "people"} or not (folder / "judgments.parquet").is_file():
            continue
        judgments = read_judgments(folder)
        sides = [read_answers(out / "systems" / folder.name), read_answers(out / "answers" / gemma)]
        judged = {(one.id, one.language) for one in judgments}
        pairs = [one for one in pairs_of(*sides, Ledger()) if (one.a.id, one.a.language) in judged]
        found = outcomes(judgments)
        rule = outcomes(by_length(pairs, (sides[0].model, sides[1].model), len))
        mine = outcomes(balanced(judgments))
        (row,) = rates(found, "judge").iter_rows(named=True)
        (sums,) = rates(mine, "judge").iter_rows(named=True)
        (plain,) = rates(rule, "judge").iter_rows(named=True)
        both = agreement(pl.concat([mine, rule])).row(0, named=True)
        rows.append([folder.name, *cells(row), percent(sums["win_rate"]), percent(both["equal"]),
                     percent(plain["win_rate"])])  # fmt: skip
        everything.append(pl.concat([found, mine, rule]).with_columns(
            id=pl.format("{}/{}", pl.lit(folder.name), "id")))  # fmt: skip
    if not rows:
        return Html("")
    whole = pl.concat(everything)
    (row,) = rates(whole.filter(pl.col("judge") == gemma), "judge").iter_rows(named=True)
    (sums,) = rates(whole.filter(pl.col("judge") == gemma + SUFFIX), "judge").iter_rows(named=True)
    both = agreement(whole.filter(pl.col("judge") != gemma)).row(0, named=True)
    print(f"{gemma} against {len(rows)} systems:", told(row), "; orders together", told(sums),
          f"length rule {percent(both['equal'])}, kappa {number(both['kappa'], 3)}")  # fmt: skip
    for one in rows:
        print(" ", *one)
    head = ["against", "pairs", "win", "tie", "loss", "win rate", "flips", "first preferred",
            "invalid", "orders together", "as longer", "by length alone"]  # fmt: skip
    last = [
        tag("strong", "all"),
        *cells(row),
        percent(sums["win_rate"]),
        percent(both["equal"]),
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
    pairs = pairs_of(*(read_answers(out / "people" / one) for one in models), Ledger())
    found = pl.concat([outcomes([*balanced(judgments), *votes]),
                       outcomes(by_length(pairs, models, len))])  # fmt: skip
    rows = []
    mine = [one for one in found["judge"].unique() if not one.startswith("annotator")]
    for row in agreement(found, beside=mine).iter_rows(named=True):
        rows.append([row["judges"], f"{row['cases']:,}", percent(row["equal"]),
                     number(row["kappa"], 3), number(row["ordinal"], 3)])  # fmt: skip
        print("people", *rows[-1])
    own = rates(outcomes(judgments), "judge")
    for row in own.iter_rows(named=True):
        print("people, judge", row["judge"], told(row))
    return section(
        "Beside people",
        table(["who", "pairs", "same verdict", "kappa", "alpha"], rows, numbers=(1, 2, 3, 4)),
        tag("p", "; ".join(f"{row['judge']}: flips {percent(row['flip'])}, first preferred"
                           f" {percent(row['first'])}" for row in own.iter_rows(named=True))),
        note="48 English pairs of two models with the verdicts of three annotators each (PandaLM).",
    )  # fmt: skip


def cost(out: Path) -> Html:
    rows = []
    total = 0.0
    for line in (out / "cpu.jsonl").read_text("utf-8").splitlines():
        row = json.loads(line)
        total += row["cpu_seconds"]
        words = [Path(one).name if "/" in one else one for one in row["command"]]
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
    shares = [percent(row[one] / valid if valid else None) for one in ("wins", "ties", "losses")]
    return [f"{row['pairs']:,}", *shares, percent(row["win_rate"]), percent(row["flip"]),
            percent(row["first"]), percent(row["invalid"])]  # fmt: skip


def told(row: dict) -> str:
    names = ("pairs", "win", "tie", "loss", "win rate", "flips", "first preferred", "invalid")
    return ", ".join(f"{a} {b}" for a, b in zip(names, cells(row), strict=True))
