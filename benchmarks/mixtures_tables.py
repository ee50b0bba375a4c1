"""Markdown tables of a finished recipe of mixtures, and its table of runs as CSV.

Usage: python benchmarks/mixtures_tables.py runs/code [--csv FILE.csv]

Prints what was asked and the answers, bits per byte of every run by stream, who gained and who paid
in each comparison, and what a language pays for a per cent of code. All figures are read from the
run's findings; nothing is computed anew.
"""

import argparse
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import polars as pl

from polylect.base import read_json
from polylect.runs import read_run

MOST_NAMED = 4


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("run", type=Path)
    parser.add_argument("--csv", type=Path)
    options = parser.parse_args()
    step = options.run / read_run(options.run)["steps"]["findings"]["folder"]
    found = read_json(step / "findings.json")
    print(f"Seeds: {' '.join(map(str, found['seeds']))}.")
    if "ledger" in found:
        ledger, tokens = found["ledger"], found["tokens"]
        print(
            f"Ledger: {ledger['read']:,} tokens read of {ledger['planned']:,} planned in"
            f" {ledger['runs']} runs, at most {ledger['most_apart']} apart in a stream and stage;"
            f" trained once: {tokens['trained']:,} in place of {tokens['apart']:,}."
        )
    print_table(
        ["runs", "question", "measure", "here, %", "seeds", "the paper", ""],
        [claim_row(line) for line in found["lines"] if line["mean"] is not None],
    )
    left = Counter(
        f"{line['kind']}, {line['verdict']}: {line['note']}"
        for line in found["lines"]
        if line["mean"] is None
    )
    for words, num in left.items():
        print(f"- {num} × {words}")
    print_bits(pl.read_parquet(step / "bits.parquet"))
    name = "breadth.parquet" if (step / "breadth.parquet").is_file() else "changes.parquet"
    print_changes(pl.read_parquet(step / name))
    if (step / "price.parquet").is_file():
        print_prices(pl.read_parquet(step / "price.parquet"))
    if options.csv is not None:
        table = pl.read_parquet(options.run / "runs.parquet")
        table.write_csv(options.csv, float_precision=5)


def print_table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    print()
    print(f"| {' | '.join(head)} |")
    print(f"|{'---|' * len(head)}")
    for row in rows:
        print(f"| {' | '.join(row)} |")
    print()


def bounded(mean: float, lower: float | None, upper: float | None, digits: int = 1) -> str:
    value = f"{mean:+.{digits}f}"
    return (
        value if lower is None or upper is None
        else f"{value} ({lower:+.{digits}f} to {upper:+.{digits}f})"
    )  # fmt: skip


def claim_row(line: Mapping[str, Any]) -> list[str]:
    stands = f" (for {line['kind']})" if line["stands_in"] else ""
    return [
        f"{line['before']} → {line['after']}", line["question"], line["measure"] + stands,
        bounded(line["mean"], line["lower"], line["upper"]),
        ", ".join(f"{value:+.1f}" for value in line["seeds"]), line["paper"] or "–",
        line["verdict"],
    ]  # fmt: skip


def print_bits(bits: pl.DataFrame) -> None:
    streams = bits["stream"].unique(maintain_order=True).to_list()
    rows = []
    for (model, scale), part in bits.group_by(["model", "scale"], maintain_order=True):
        cells = []
        for stream in streams:
            of_stream = part.filter(stream=stream)
            whole = of_stream.filter(language="") if of_stream.height > 1 else of_stream
            row = whole.row(0, named=True) if whole.height else None
            cells.append("" if row is None else f"{row['bits']:.3f}")
        rows.append([str(model), f"{scale:g}", *cells])
    print("Bits per byte of held-out text (a mean over languages):")
    print_table(["run", "scale", *streams], rows)


def print_changes(changes: pl.DataFrame) -> None:
    rows = []
    for (scale, before, after), part in changes.group_by(
        ["scale", "before", "after"], maintain_order=True
    ):
        counts = {said: part.filter(verdict=said) for said in ("gained", "paid")}
        worst = [
            f"{row['language']} {bounded(row['gain'], row['lower'], row['upper'])}"
            for row in part.sort("gain").head(MOST_NAMED).iter_rows(named=True)
        ]
        rows.append([f"{before} → {after}", f"{scale:g}", str(counts["gained"].height),
                     str(counts["paid"].height), str(part.height), ", ".join(worst)])  # fmt: skip
    print("Who gained and who paid; intervals hold for all cells of a row at once:")
    print_table(["runs", "scale", "gained", "paid", "of", "worst off, %"], rows)


def print_prices(prices: pl.DataFrame) -> None:
    if not prices.height:
        return
    rows = []
    for (scale, before, after), part in prices.group_by(
        ["scale", "before", "after"], maintain_order=True
    ):
        order = part.sort("price", descending=True)
        most = [bounded_price(row) for row in order.head(3).iter_rows(named=True)]
        least = [bounded_price(row) for row in order.tail(2).iter_rows(named=True)]
        rows.append([f"{before} → {after}", f"{scale:g}", f"{part['price'].mean():.2f}",
                     ", ".join(most), ", ".join(least)])  # fmt: skip
    print("What a language pays for 1 % fewer bits of code, in % more bits of its own:")
    print_table(["runs", "scale", "mean", "most", "least"], rows)


def bounded_price(row: Mapping[str, Any]) -> str:
    return f"{row['language']} {bounded(row['price'], row['lower'], row['upper'], 2)}"


if __name__ == "__main__":
    main()
