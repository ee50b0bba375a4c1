"""Write the two tables of languages that the package carries, from their published sources.

    python benchmarks/language_tables.py LANGUAGES.csv CLASSES.json

``LANGUAGES.csv`` is Glottolog's table of languoids (glottolog-cldf 5.1, ``cldf/languages.csv``,
CC BY 4.0): the top-level family of every ISO 639-3 code. ``CLASSES.json`` has the published list of
Joshi et al. 2020 (lang2tax.txt, languages by English name): ``{"0": [{"lang_name": …}, …], …}``. A
name is taken where it is CLDR's or the registry's English name of one language; where the list has
two classes for one language, it is left out.
"""

import csv
import json
import sys
from collections import defaultdict
from pathlib import Path

import langcodes
from babel import Locale

FOLDER = Path(__file__).parent.parent / "src/polylect/base"
NO_FAMILY = {"Bookkeeping", "Unattested", "Unclassifiable", "Speech Register"}


def base_tag(code: str) -> str:
    return langcodes.standardize_tag(code, macro=True).split("-")[0]


def families(path: Path) -> dict[str, set[str]]:
    rows = list(csv.DictReader(path.open(encoding="utf-8", newline="")))
    names = {row["ID"]: row["Name"] for row in rows}
    codes: dict[str, set[str]] = defaultdict(set)
    for row in rows:
        family = names[row["Family_ID"]] if row["Family_ID"] else row["Name"]
        if row["ISO639P3code"] and family not in NO_FAMILY:
            codes[family].add(base_tag(row["ISO639P3code"]))
    return codes


def classes(path: Path) -> dict[str, set[str]]:
    english = Locale.parse("en").languages
    by_tag: dict[str, set[str]] = defaultdict(set)
    for level, rows in json.loads(path.read_text(encoding="utf-8")).items():
        for row in rows:
            name = row["lang_name"].strip().casefold()
            try:
                tag = langcodes.find(name).to_tag()
            except LookupError:
                continue
            names = {english.get(tag, ""), langcodes.Language.get(tag).display_name("en")}
            if "-" not in tag and name in {known.casefold() for known in names}:
                by_tag[tag].add(level)
    result: dict[str, set[str]] = defaultdict(set)
    for tag, levels in by_tag.items():
        if len(levels) == 1:
            result[levels.pop()].add(tag)
    return result


def write(path: Path, lead: list[str], groups: dict[str, set[str]]) -> None:
    lines = [f"# {line}" for line in lead]
    lines += [f"{name}\t{' '.join(sorted(groups[name]))}" for name in sorted(groups)]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")


if __name__ == "__main__":
    write(
        FOLDER / "language_families.txt",
        [
            "Top-level family of languages, by BCP-47 tag. From Glottolog 5.1 (Hammarström,",
            "Forkel, Haspelmath & Bank 2024, https://glottolog.org), CC BY 4.0; codes made BCP-47.",
        ],
        families(Path(sys.argv[1])),
    )
    write(
        FOLDER / "language_classes.txt",
        [
            "Resource class of languages, by BCP-47 tag: Joshi et al. 2020, The State and Fate of",
            "Linguistic Diversity and Inclusion in the NLP World, 0 (left behind) to 5 (winners).",
        ],
        classes(Path(sys.argv[2])),
    )
