"""The page of benchmarks/merge_real.py: bits per sentence, language by language, and who pays."""

import numpy as np

from polylect.base import LANGUAGES
from polylect.comparison import compare
from polylect.report import Dot, dot_plot, language_cell, legend, section, table, tag, write_page
from polylect.report.formats import signed
from polylect.rows import ScoreTable

MERGES = ("linear", "slerp", "ties", "searched")
_KINDS = {"paid": "worse", "gained": "better", "not separable": "level"}


def write_real_page(path, scores, weights, counts, experts, held_out):
    """Write the page; also prints the table of means."""
    tables = {name: ScoreTable.read(path) for name, path in scores.items()}
    bits, num = {}, {}
    for name, table_ in tables.items():
        frame = table_.frame
        for language in frame["language"].unique():
            rows_ = frame.filter(frame["language"] == language)
            bits.setdefault(language, {})[name] = float((rows_["value"] * rows_["weight"]).mean())
            num[language] = len(rows_)
    order = [tag_ for tags in experts.values() for tag_ in tags]
    order = ["en", *order, *held_out]
    pairs = {name: compare(tables["start"], tables[name], groups={"all": order})
             for name in [*experts, *MERGES]}  # fmt: skip
    gains = {name: {row["language"]: row for row in pair.languages.iter_rows(named=True)}
             for name, pair in pairs.items()}  # fmt: skip
    names = ["start", *experts, *MERGES]
    best = {language: min(bits[language].values()) for language in order}
    rows = []
    for language in order:
        mark = " held out" if language in held_out else ""
        cells = [
            tag("span", f"{bits[language][name]:.1f}",
                class_="best" if bits[language][name] == best[language] else None)
            for name in names
        ]  # fmt: skip
        shown = tag("span", language_cell(LANGUAGES[language]), tag("small", mark))
        rows.append([shown, num[language], *cells])
    means = [float(np.mean([bits[language][name] for language in order])) for name in names]
    rows.append([tag("b", "mean"), "", *[f"{mean:.1f}" for mean in means]])
    print("| | " + " | ".join(names) + " |\n|---|" + "---|" * len(names))
    print("| bits per sentence, mean of 12 | " + " | ".join(f"{mean:.1f}" for mean in means) + " |")

    damage = []
    for language in order:
        cells = []
        for name in gains:
            row = gains[name][language]
            words = (
                f"{signed(row['gain'], 3)} ({signed(row['lower'], 3)} to {signed(row['upper'], 3)})"
            )
            cells.append(tag("span", words, class_=_KINDS[row["verdict"]]))
        damage.append([language_cell(LANGUAGES[language]), *cells])
    plot = [
        (LANGUAGES[language],
         [Dot(gains[name][language]["gain"], gains[name][language]["lower"],
              gains[name][language]["upper"], at, f"{name}: {gains[name][language]['gain']:+.3f}")
          for at, name in enumerate(MERGES)])
        for language in order
    ]  # fmt: skip
    by_weight = sorted(weights.items(), key=lambda pair: -pair[1])
    shares = [[name, f"{weight:.3f}"] for name, weight in by_weight]
    experts_text = ", ".join(f"{name} ({' '.join(tags)})" for name, tags in experts.items())
    lead = tag(
        "p",
        "SmolLM2-135M-Instruct, an English model, fine-tuned three times for a few minutes on news:"
        f" {experts_text}; and merged four ways. News sentences of NTREX-128 that"
        " none of them saw, the same sentences in every"
        " language.",
        class_="lead",
    )
    sentences = [tag("li", pairs[name].sentence()) for name in MERGES]
    write_page(
        path, "Four merges of three fine-tunings of a real model", lead,
        [
            section("Bits per sentence", table(["language", "sentences", *names], rows,
                    numbers=range(1, len(names) + 2)),
                    note="Mean over sentences; fewer is better; the best of a row is bold."),
            section("What each merge gained over the model it came from",
                    legend(MERGES), dot_plot(plot, "gain, bits per byte", zero=True),
                    tag("ul", *sentences),
                    note="Paired on the same sentences; above zero is better; 95 %, for all"
                    " languages of a merge at once."),
            section("Who pays, in figures", table(["language", *gains], damage),
                    note="Bits per byte gained over the start; experts and merges."),
            section("Searched weights", table(["checkpoint", "weight"], shares, numbers=(1,)),
                    note=f"{counts['merges scored by the search']} merges were scored on a"
                    " validation part in ten languages; Romanian and Indonesian were held out."),
            section("How it was made", tag("p", tag("code",
                    "python benchmarks/merge_real.py --model DIR --data DATA --out DIR"))),
        ],
    )  # fmt: skip
