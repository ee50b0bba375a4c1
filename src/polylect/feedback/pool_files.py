"""A pool on disk: answers, prompts, teachers; and rewards beside them."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from polylect.base import InputError, read_json
from polylect.rows import AnswerKey, PooledAnswer, read_rows

POOL, POOL_PROMPTS, TEACHERS = "pool.parquet", "prompts.parquet", "teachers.parquet"
REWARDS, REWARD, REWARD_ABOUT = "rewards", "rewards.parquet", "reward.json"
NO_ANSWER = frozenset({"refused", "failed", "filter"})
PromptKey = tuple[str, str]
"""Language and id of a prompt."""


@dataclass(frozen=True)
class PoolRewards:
    """Rewards of the answers of a pool.

    Attributes:
        name: of the reward.
        digest: of what decides it, whether its length is controlled or not.
        values: by answer; an answer without a reward is missing.
    """

    name: str
    digest: str
    values: Mapping[AnswerKey, float]


def pool_file(path: Path) -> Path:
    """The file of a pool's answers, from its folder or itself.

    Raises:
        InputError: there is none.
    """
    file = path / POOL if path.is_dir() else path
    if not file.is_file():
        raise InputError(f"{path}: no {POOL}", f"polylect feedback pool PROMPTS … --out {path}")
    return file


def read_pool(path: Path) -> list[PooledAnswer]:
    """The answers of a pool, by language, id, teacher and sample.

    Args:
        path: its folder, or a file of its rows.

    Raises:
        InputError: a row does not fit, or an answer is there twice.
    """
    file = pool_file(path)
    rows = list(read_rows(file, PooledAnswer))
    if not rows:
        raise InputError(f"{file}: no answer in it", "polylect feedback pool PROMPTS --teacher …")
    seen: set[AnswerKey] = set()
    for row in rows:
        if row.key in seen:
            raise InputError(f"{file}: {_named(row)} is there twice", "remove one of them")
        seen.add(row.key)
    return sorted(rows, key=lambda row: row.key)


def _named(row: PooledAnswer) -> str:
    return f"answer {row.sample} of {row.teacher!r} to prompt {row.id!r} in {row.language}"


def is_answer(row: PooledAnswer) -> bool:
    """Whether a row is an answer: not empty, and nobody refused to give one."""
    return bool(row.answer.strip()) and row.stopped not in NO_ANSWER


def by_prompt(rows: Iterable[PooledAnswer]) -> dict[PromptKey, list[PooledAnswer]]:
    """The answers to each prompt, in their order."""
    grouped: dict[PromptKey, list[PooledAnswer]] = defaultdict(list)
    for row in rows:
        grouped[row.language, row.id].append(row)
    return dict(grouped)


def teachers_of(rows: Iterable[PooledAnswer]) -> list[str]:
    """The names of the teachers, sorted."""
    return sorted({row.teacher for row in rows})


def write_rewards(
    path: Path, rows: Sequence[PooledAnswer], values: Mapping[AnswerKey, float]
) -> None:
    """Write the rewards of the answers that have one, in the order of the rows."""
    pl.DataFrame(
        [(*row.key, values[row.key]) for row in rows if row.key in values],
        {"language": pl.String, "id": pl.String, "teacher": pl.String, "sample": pl.Int64,
         "value": pl.Float64},
        orient="row",
    ).write_parquet(path, compression="zstd")  # fmt: skip


def reward_folder(pool: Path, name: str, option: str = "--reward") -> Path:
    """The folder of a reward of a pool, by the name that it was scored under, or by its path.

    Raises:
        InputError: there is none; names those that there are.
    """
    if (Path(name) / REWARD).is_file():
        return Path(name)
    root = (pool if pool.is_dir() else pool.parent) / REWARDS
    folders = sorted(file.parent for file in root.glob(f"*/{REWARD}"))
    names = {str(read_json(folder / REWARD_ABOUT)["name"]): folder for folder in folders}
    if name in names:
        return names[name]
    listed = f"scored are {', '.join(names)}" if names else "nothing is scored yet"
    raise InputError(f"{option} {name}: the pool has no such reward; {listed}",
                     f"polylect feedback score {pool} --reward {name}")  # fmt: skip


def read_rewards(folder: Path) -> PoolRewards:
    """The rewards in a folder of ``polylect feedback score``."""
    about = read_json(folder / REWARD_ABOUT)
    table = pl.read_parquet(folder / REWARD)
    values = {
        (language, id_, teacher, int(sample)): float(value)
        for language, id_, teacher, sample, value in table.iter_rows()
    }
    return PoolRewards(str(about["name"]), str(about["digest"]), values)
