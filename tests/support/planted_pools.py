"""Pools of answers with planted best teachers, and their files."""

import json

import numpy as np

from polylect.rows import PooledAnswer, write_rows

TEXTS = {
    "th": "ภาษาไทยไม่มีช่องว่างระหว่างคำ และเป็นภาษาที่มีวรรณยุกต์",
    "ja": "日本語では単語の間に空白を入れません。とても面白いです。",
    "ar": "اللغة العربية تكتب من اليمين إلى اليسار وهي جميلة",
    "yo": "Èdè Yorùbá jẹ́ èdè tí àwọn ènìyàn ń sọ ní Nàìjíríà",
    "de": "Die deutsche Sprache hat viele lange Wörter und drei Geschlechter.",
    "en": "The English language has borrowed words from many other languages.",
}
"""A sentence of each language."""
NAMES = ("mosaïque/8x7b", "command-r+ (08-24)", "معلّم")
"""Names of teachers, with odd characters."""


def pooled(language, number, teacher, answer="", sample=0, **more):
    return PooledAnswer(**{
        "id": f"p{number}", "language": language, "teacher": teacher, "sample": sample,
        "answer": answer or f"{TEXTS[language]} {teacher} {number} {sample}",
        "prompt": f"{TEXTS[language]} {number}?", "identified": language,
        "model_digest": teacher, "license": f"license of {teacher}", "answer_origin": "native",
    } | more)  # fmt: skip


def planted_pool(languages, num, names=NAMES, best=None, noise=0.0, seed=0, samples=1):
    """Answers, and rewards in which one teacher of each language is the best."""
    random = np.random.default_rng(seed)
    rows, rewards = [], {}
    for k, language in enumerate(languages):
        for number in range(num):
            for j, teacher in enumerate(names):
                for sample in range(samples):
                    row = pooled(language, number, teacher, sample=sample)
                    is_best = (best or (lambda k, _: k % len(names)))(k, number) == j
                    rows.append(row)
                    rewards[row.key] = float(is_best) + noise * random.standard_normal()
    return sorted(rows, key=lambda row: row.key), rewards


def write_pool(folder, rows, **rewards):
    """A pool's folder with rewards by name."""
    from polylect.base import digest_of, write_json
    from polylect.feedback import POOL, REWARD, REWARD_ABOUT, REWARDS, write_rewards

    folder.mkdir(parents=True, exist_ok=True)
    write_rows(folder / POOL, PooledAnswer, rows)
    for name, values in rewards.items():
        place = folder / REWARDS / name
        place.mkdir(parents=True)
        write_rewards(place / REWARD, rows, values)
        write_json(place / REWARD_ABOUT, {"name": name, "digest": digest_of(name)})
    return folder


def write_lines(path, rows):
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), "utf-8")
    return path
