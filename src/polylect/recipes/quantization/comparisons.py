"""Step that compares quantized variants with full precision and with each other."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from polylect.base import InputError, Seed, check_settings, read_json, write_json
from polylect.comparison import compare_many, stack_tables
from polylect.judging import outcome_table, win_rate_table
from polylect.quantization import RECORD
from polylect.rows import Judgment, ScoreTable, read_rows
from polylect.runs import VOLATILE, StepContext, StepInputs, step

FULL = "full"
"""What the full-precision checkpoint is called."""

CONTRASTS: tuple[tuple[str, str, str], ...] = (
    ("group-wise for column-wise, nearest", "w4", "w4-g128"),
    ("group-wise for column-wise, GPTQ", "w4-gptq", "w4-g128-gptq"),
    ("GPTQ for nearest, column-wise", "w4", "w4-gptq"),
    ("GPTQ for nearest, group-wise", "w4-g128", "w4-g128-gptq"),
    ("AWQ's scaling for none, group-wise", "w4-g128", "awq"),
    ("SmoothQuant on", "w8a8", "w8a8-smooth"),
)
"""Pairs of schemes that differ in one thing."""

_RATES = ("language", "wins", "ties", "losses", "win_rate", "lower", "upper", "num_prompts")


@dataclass(frozen=True, kw_only=True)
class SchemeComparisonConfig:
    """How the variants are compared.

    Attributes:
        variants: scheme by label.
        people: names of judges that are people.
        note: shown at the top of the page.
        seed: of the bootstrap.
    """

    variants: Mapping[str, str]
    people: tuple[str, ...] = ()
    note: str = ""
    seed: Seed = 0

    def __post_init__(self) -> None:
        check_settings(self)


@step(version=6, uses_languages=True)
def compare_schemes(
    config: SchemeComparisonConfig, inputs: StepInputs, context: StepContext
) -> None:
    """Writes ``scores``, ``cells``, ``languages``, ``groups``, ``gaps`` (Parquet), ``damage.json``.

    Inputs: ``score-LABEL`` of full precision and every variant (``score_tasks``), ``model-LABEL``
    of every variant, and files of judgments, ``judged-0``, ``judged-1`` ….

    Raises:
        InputError: a judgment is of other models.
    """
    tables = {name.removeprefix("score-"): ScoreTable.read(scored.path / "scores.parquet")
              for name, scored in inputs.items() if name.startswith("score-")}  # fmt: skip
    ScoreTable.concat(list(tables.values())).write(context.out / "scores.parquet")
    pairs = [(FULL, label, "damage") for label in config.variants] + _contrasts(config.variants)
    compared = compare_many(tables, pairs, seed=config.seed, reporter=context.report)
    for name in ("cells", "languages", "groups", "gaps"):
        table = stack_tables(compared, name)
        table.write_parquet(context.out / f"{name}.parquet", compression="zstd")
    write_json(
        context.out / "damage.json",
        {
            "note": config.note,
            "told": [pair.described() for pair in compared],
            "variants": [_about(label, scheme, inputs)
                         for label, scheme in config.variants.items()],
            "full": _cost(inputs[f"score-{FULL}"].path),
            "preferences": _preferences(config, inputs),
        },
    )  # fmt: skip


def _contrasts(variants: Mapping[str, str]) -> list[tuple[str, str, str]]:
    """Pairs of labels that differ in one thing, and in what."""
    pairs = []
    for what, first, second in CONTRASTS:
        for after in (label for label, scheme in variants.items() if scheme == second):
            quota = after.partition(".")[2]
            before = next(
                (label for label, scheme in variants.items()
                 if scheme == first and label.partition(".")[2] in ("", quota)), None,
            )  # fmt: skip
            if before is not None:
                pairs.append((before, after, f"{what}{f' ({quota})' if quota else ''}"))
    for label, scheme in variants.items():
        other = f"{scheme}.uniform"
        if label == f"{scheme}.english" and other in variants:
            pairs.append((label, other, f"mixed for English calibration, {scheme}"))
    return pairs


def _about(label: str, scheme: str, inputs: StepInputs) -> dict[str, Any]:
    """A variant's definition, size, cost in seconds, and divergence by language."""
    folder = inputs[f"model-{label}"].path
    record = read_json(folder / RECORD)
    return {
        "label": label,
        "scheme": scheme,
        "definition": definition_of(record["definitions"], scheme),
        "read_by": record["read_by"],
        "group_sizes": record["group_sizes"],
        "calibration": record["calibration"],
        "bytes": sum(path.stat().st_size for path in folder.glob("*.safetensors")),
        "quantize": _cost(folder),
        "score": _cost(inputs[f"score-{label}"].path),
        "damage": record["damage"],
        "ledger": record["ledger"],
    }


def definition_of(definitions: Mapping[str, str], scheme: str) -> str:
    """The scheme's definition, or those of the schemes the mixture uses."""
    listed = (f"{name}: {definition}" for name, definition in definitions.items())
    return definitions.get(scheme) or "; ".join(listed)


def _cost(folder: Path) -> dict[str, float]:
    spent = read_json(folder / VOLATILE)
    return {"cpu_seconds": spent["cpu_seconds"], "wall_seconds": spent["wall_seconds"]}


def _preferences(config: SchemeComparisonConfig, inputs: StepInputs) -> list[dict[str, Any]]:
    """Wins, ties and losses of every variant against full precision, by language and kind of judge.

    The paper does not say how its figure counts, so both readings are given:
    (wins + ties/2)/n and (wins − losses)/n.

    Raises:
        InputError: a judgment is of other models.
    """
    judgments: list[Judgment] = []
    for name, file in inputs.items():
        if name.startswith("judged-"):
            judgments += read_rows(file.path, Judgment)
    for judgment in judgments:
        if judgment.model_a != FULL or judgment.model_b not in config.variants:
            raise InputError(
                f"a judgment of {judgment.model_a!r} and {judgment.model_b!r}",
                f"model_a is {FULL!r}, model_b one of {', '.join(sorted(config.variants))}",
            )
    rows = []
    for by in ("judge", "people"):
        chosen = [judgment for judgment in judgments
                  if (judgment.judge in config.people) is (by == "people")]  # fmt: skip
        for label in sorted({judgment.model_b for judgment in chosen}):
            of_label = [judgment for judgment in chosen if judgment.model_b == label]
            for row in win_rate_table(outcome_table(of_label), "language").iter_rows(named=True):
                num = row["wins"] + row["ties"] + row["losses"]
                net = (row["wins"] - row["losses"]) / num if num else None
                rows.append({"label": label, "by": by, "net": net}
                            | {key: _finite(row[key]) for key in _RATES})  # fmt: skip
    return rows


def _finite(value: object) -> object:
    return None if isinstance(value, float) and not math.isfinite(value) else value
