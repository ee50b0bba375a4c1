"""Rows for 'polylect feedback translationese' from NTREX-128 and MLQE-PE, read under POLYLECT_DATA.

python benchmarks/translation_texts.py mlqe OUT.jsonl: machine translation against its post-edit.
python benchmarks/translation_texts.py apertium OUT.jsonl RUN: people's translations into Spanish
against Apertium's in RUN (of 'polylect feedback translate').
"""

import json
import os
import sys
import tarfile
from pathlib import Path

DATA = Path(os.environ.get("POLYLECT_DATA", "data"))
PAIRS = ("en-de", "en-zh", "ro-en", "ru-en")


def mlqe():
    """The development sets: the post-edit stands for native, of one source with its raw output."""
    for pair in PAIRS:
        target = pair.partition("-")[2]
        with tarfile.open(DATA / f"mlqe-pe/post-editing/dev/{pair}-dev.tar.gz") as archive:
            texts = {}
            for member in archive:
                for ending in ("src", "mt", "pe"):
                    if member.isfile() and member.name.endswith(f".{ending}"):
                        texts[ending] = archive.extractfile(member).read().decode().splitlines()
        for number, (source, raw, edited) in enumerate(zip(texts["src"], texts["mt"], texts["pe"],
                                                           strict=True)):  # fmt: skip
            tag = "en-x-fromru" if pair == "ru-en" else target  # apart from what was Romanian
            place = {"id": f"{pair}-{number}", "language": tag, "source_text": source}
            if raw.split() != edited.split():
                yield place | {"text": edited, "origin": "native"}
                yield place | {"text": raw, "origin": "translated"}


def apertium(run):
    """NTREX-128 in Spanish, by people and by Apertium; of each sentence both."""
    people = (DATA / "ntrex/newstest2019-ref.spa.txt").read_text(encoding="utf-8").split("\n")
    for line in (Path(run) / "translated.jsonl").read_text(encoding="utf-8").splitlines():
        row = json.loads(line)
        place = {"id": row["id"], "language": "es"}
        yield place | {"text": row["prompt"], "origin": "translated"}
        yield place | {"text": people[int(row["id"])], "origin": "native"}


if __name__ == "__main__":
    kind, out, *more = sys.argv[1:]
    rows = mlqe() if kind == "mlqe" else apertium(*more)
    Path(out).write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows))
