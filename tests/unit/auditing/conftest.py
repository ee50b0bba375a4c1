import json
from pathlib import Path

import numpy as np
import pytest

from polylect.ranking import PairCounts


def random_world(
    seed: int, num_models: int = 8, num_votes: int = 2000, tie: float = 0.3
) -> PairCounts:
    """Votes of a random world with ties that keep the expected score."""
    rng = np.random.default_rng(seed)
    strength = rng.normal(0, 0.6, num_models)
    a = rng.integers(0, num_models, num_votes)
    b = (a + rng.integers(1, num_models, num_votes)) % num_models
    win = 1 / (1 + np.exp(strength[b] - strength[a]))
    tied = rng.random(num_votes) < 2 * tie * np.minimum(win, 1 - win)
    share = np.where(win > 0.5, (win - tie * (1 - win)) / (1 - 2 * tie * (1 - win)), 0.0)
    share = np.where(win > 0.5, share, (win - tie * win) / (1 - 2 * tie * win))
    outcome = np.where(rng.random(num_votes) < share, 0, 1)
    outcome = np.where(tied, 2 + rng.integers(0, 2, num_votes), outcome)
    return PairCounts.from_cells([f"m{i}" for i in range(num_models)], a, b, outcome)


@pytest.fixture
def world():
    return random_world


_START = 1735689600.0  # 2025-01-01 UTC


def planted_battles(num_votes: int = 12000, seed: int = 0) -> list[dict]:
    """An arena of 12 models over 90 days with planted unfairness.

    Provider ``big`` has half of the seats; ``old-1`` and ``old-2`` stop being shown after 30 days;
    forty accounts ``r…`` push the lead of ``mid-1`` over the model above it in every battle; a
    quarter of the prompts repeat.
    """
    rng = np.random.default_rng(seed)
    names = [f"big-{i}" for i in range(4)] + [f"mid-{i}" for i in range(4)]
    names += ["old-1", "old-2", "free-1", "free-2"]
    strength = np.linspace(0.7, -0.7, len(names))
    weight = np.array([6.0] * 4 + [2.0] * 4 + [2.0] * 2 + [0.2] * 2)
    helped = _potential_of_a_lead(strength, weight, names.index("mid-1"), names.index("mid-0"))
    rows = []
    for k in range(num_votes):
        day = 90 * k // num_votes
        alive = weight * np.where((day >= 30) & np.char.startswith(names, "old"), 0.0, 1.0)
        a, b = rng.choice(len(names), 2, replace=False, p=alive / alive.sum())
        win = 1 / (1 + np.exp(strength[b] - strength[a]))
        rigger = k % 15 == 0
        tie = rng.random() < 0.25 and not rigger
        first = rng.random() < win
        if rigger:
            first = helped[a] > helped[b]
        rows.append(
            {
                "model_a": names[a],
                "model_b": names[b],
                "verdict": "TIE" if tie else "A" if first else "B",
                "voter": f"r{k % 40}" if rigger else f"u{rng.integers(0, 500)}",
                "time": _START + 86400.0 * day + k % 1000,
                "language": ["en", "en", "ru", "zh", "fa"][int(rng.integers(0, 5))],
                "prompt": f"p{rng.integers(0, 200)}" if rng.random() < 0.25 else f"q{k}",
            }
        )
    return rows


def _potential_of_a_lead(
    strength: np.ndarray, weight: np.ndarray, target: int, rival: int
) -> np.ndarray:
    """(M,) whom a vote must help to move the target's lead: H⁺ (e_target − e_rival)."""
    win = 1 / (1 + np.exp(strength[None] - strength[:, None]))
    meetings = weight[:, None] * weight[None] * win * (1 - win)
    np.fill_diagonal(meetings, 0.0)
    contrast = np.zeros(len(strength))
    contrast[[target, rival]] = 1.0, -1.0
    return np.linalg.pinv(np.diag(meetings.sum(1)) - meetings) @ contrast


def planted_registry() -> list[dict]:
    """Licenses and providers of the planted arena, and private variants of ``big``."""
    rows = []
    for name, provider, license, num in (
        ("big", "Big Lab", "proprietary", 4),
        ("mid", "Middle", "open-weight", 4),
    ):
        rows += [
            {"model": f"{name}-{i}", "provider": provider, "license": license} for i in range(num)
        ]
    rows += [
        {"model": m, "provider": "University", "license": "open-source"}
        for m in ("old-1", "old-2", "free-1", "free-2")
    ]
    for i in range(7):
        rows.append(
            {
                "model": f"anonymous-{i}",
                "provider": "Big Lab",
                "license": "proprietary",
                "private": True,
                "tested_from": f"2025-02-{1 + i:02}",
                "tested_to": "2025-02-20",
                "score": 1200.0 if i == 0 else None,
            }
        )
    return rows


@pytest.fixture(scope="session")
def planted(tmp_path_factory) -> Path:
    """Folder with battles.jsonl, registry.jsonl and boards.jsonl of the planted arena."""
    folder = tmp_path_factory.mktemp("planted")
    battles = planted_battles()
    boards = []
    for date, until in (("2025-01-31", 30), ("2025-03-31", 90)):
        shown = [r for r in battles if r["time"] < _START + 86400.0 * until]
        for row in planted_registry():
            if row.get("private"):
                continue
            num = sum(row["model"] in (r["model_a"], r["model_b"]) for r in shown)
            boards.append({"date": date, "model": row["model"], "rating": 1000.0, "battles": num})
    for name, rows in (
        ("battles", battles),
        ("registry", planted_registry()),
        ("boards", boards),
    ):
        text = "\n".join(json.dumps(row) for row in rows) + "\n"
        (folder / f"{name}.jsonl").write_text(text, encoding="utf-8")
    return folder
