"""What a sweep found, in lines for the terminal."""

from collections.abc import Mapping
from typing import Any

from polylect.recipes.mixtures.claims import NOT_CHECKABLE


def summary_lines(findings: Mapping[str, Any], ended: str = "") -> list[str]:
    """A line per comparison, the ledger, and what was not measured.

    Args:
        findings: of ``findings.json``.
        ended: why no further seed was trained; empty where all were.
    """
    lines = []
    question = ""
    for line in findings["lines"]:
        if line["mean"] is None and line["verdict"] == NOT_CHECKABLE:
            continue
        if line["question"] != question:
            question = line["question"]
            lines.append(f"{question} ({line['before']} → {line['after']})")
        value = "" if line["mean"] is None else f"{figure(line)} {line['unit']}, "
        lines.append(f"  {value}{line['measure']}: {_verdict(line)}")
    ledger, tokens = findings["ledger"], findings["tokens"]
    lines += [
        f"ledger: {ledger['read']:,} tokens read of {ledger['planned']:,} planned in"
        f" {ledger['runs']} runs, at most {ledger['most_apart']} apart in a stream and stage",
        f"trained once: {tokens['trained']:,} tokens in place of {tokens['apart']:,}",
        *(f"not measured: {what}" for what in findings["not_measured"]),
    ]
    return [*lines, ended] if ended else lines


def figure(line: Mapping[str, Any]) -> str:
    """A line's mean and interval."""
    mean = f"{line['mean']:+.2f}"
    if line["lower"] is None:
        return mean
    return f"{mean} ({line['lower']:+.2f} to {line['upper']:+.2f})"


def _verdict(line: Mapping[str, Any]) -> str:
    paper = f"; the paper: {line['paper']}" if line["paper"] else ""
    stands = f" for {line['kind']}" if line.get("stands_in") else ""
    return f"{line['verdict']}{stands}{paper}"
