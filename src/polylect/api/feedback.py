"""``feedback.pool``, ``score``, ``route``, ``pairs``, ``check``: preferences from many teachers."""

import re
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from polylect.api.feedback_options import (
    FeedbackCheckOptions,
    FeedbackPairsOptions,
    FeedbackRouteOptions,
    FeedbackScoreOptions,
)
from polylect.api.fields import Output
from polylect.api.results import Plan, Result, run_call
from polylect.api.text_tables import text_table
from polylect.api.verbs import verb
from polylect.base import InputError, numbered, read_json

if TYPE_CHECKING:
    import polars

    from polylect.runs import Input, StepContext


class ScoredPool(Result):
    """Rewards of the answers of a pool."""

    def __init__(self, path: Path, folders: list[Path]) -> None:
        """The rewards in these folders of a pool."""
        super().__init__(path)
        self.folders = folders

    @property
    def page(self) -> None:
        """None: routes and pairs have one."""
        return

    @cached_property
    def ledger(self) -> Any:
        """What was not scored, over all rewards."""
        from polylect.base import Ledger
        from polylect.runs import open_artifact

        return sum((open_artifact(folder).ledger for folder in self.folders), Ledger())

    def table(self) -> "polars.DataFrame":
        """A row per reward, language and teacher: answers and their mean reward."""
        import polars as pl

        from polylect.feedback import REWARD, REWARD_ABOUT

        parts = []
        for folder in self.folders:
            name = str(read_json(folder / REWARD_ABOUT)["name"])
            table = pl.read_parquet(folder / REWARD).group_by("language", "teacher").agg(
                pl.len().alias("answers"), pl.col("value").mean().alias("mean")
            ).sort("language", "teacher")  # fmt: skip
            parts.append(table.select(pl.lit(name).alias("reward"), pl.all()))
        return pl.concat(parts)

    def lines(self) -> list[str]:
        """Mean reward by reward and teacher, and what was counted."""
        import polars as pl

        table = self.table().group_by("reward", "teacher", maintain_order=True).agg(
            (pl.col("mean") * pl.col("answers")).sum() / pl.col("answers").sum(),
            pl.col("answers").sum(),
        )  # fmt: skip
        rows = [[name, teacher, f"{num:,}", f"{mean:.4f}"]
                for name, teacher, mean, num in table.rows()]  # fmt: skip
        lines = text_table(["reward", "teacher", "answers", "mean"], rows, "llrr")
        return [*lines, *self.ledger.lines(), *map(str, self.folders)]


class Route(Result):
    """Whose answer to each prompt is used, and what each router gains."""

    @cached_property
    def content(self) -> dict[str, Any]:
        """What was routed by what, as plain values."""
        from polylect.feedback import ROUTE

        return read_json(self.path / ROUTE)

    @property
    def matrix(self) -> "polars.DataFrame":
        """A row per language and teacher: share of prompts won and routed to, mean rewards."""
        import polars

        from polylect.feedback import MATRIX

        return polars.read_parquet(self.path / MATRIX)

    @property
    def choices(self) -> "polars.DataFrame":
        """A row per prompt: the chosen teacher, and of which part the prompt is."""
        import polars

        from polylect.feedback import CHOICES

        return polars.read_parquet(self.path / CHOICES)

    def table(self) -> "polars.DataFrame":
        """A row per router and language (empty for all): judged reward, gain, wins and cost."""
        import polars

        from polylect.feedback import GAINS

        return polars.read_parquet(self.path / GAINS)

    def lines(self) -> list[str]:
        """A line per router, who is best where, and what was counted."""
        from polylect.report import route_rows, route_sentences

        head, rows = route_rows(self.table().to_dicts())
        lines = text_table(head, rows, "l" + "r" * (len(head) - 1))
        lines += ["", *route_sentences(self.content)]
        return [*lines, *self.ledger.lines(), str(self.page)]


class Pairs(Result):
    """Preferences made of a pool."""

    @property
    def file(self) -> Path:
        """The preferences, for ``polylect train preference``."""
        from polylect.feedback import PAIRS_FILE

        return self.path / PAIRS_FILE

    def table(self) -> "polars.DataFrame":
        """A row per pair: teacher, origin, translator, license and digest of either side."""
        import polars

        from polylect.feedback import ORIGINS

        return polars.read_parquet(self.path / ORIGINS)

    def lines(self) -> list[str]:
        """Pairs by language, and what was counted."""
        from polylect.feedback import FORM, PAIRS_ABOUT

        about = read_json(self.path / PAIRS_ABOUT)
        wanted = about["wanted"]
        rows = [[tag, f"{num:,}", "all" if wanted.get(tag) is None else f"{wanted[tag]:,}"]
                for tag, num in about["by_language"].items()]  # fmt: skip
        lines = text_table(["language", "pairs", "wanted"], rows, "lrr")
        form = self.path / FORM
        more = [str(form)] if form.is_file() else []
        return [*lines, *self.ledger.lines(), str(self.file), *more]


class CheckedPairs(Result):
    """How far people agree with preferences."""

    def table(self) -> "polars.DataFrame":
        """A row per language (empty for all): pairs, agreement and its interval."""
        import polars

        return polars.read_parquet(self.path / _AGREEMENT)

    def lines(self) -> list[str]:
        """A line per language, and what was left open."""
        rows = [[row["language"] or "all", f"{row['pairs']:,}", f"{row['agreement']:.1%}",
                 f"{row['lower']:.1%} to {row['upper']:.1%}"] for row in self.rows()]  # fmt: skip
        head = ["language", "pairs", "people agree", "95 %"]
        return [*text_table(head, rows, "lrrr"), *self.ledger.lines(), str(self.path)]


_AGREEMENT = "agreement.parquet"


@verb("feedback score", FeedbackScoreOptions, name="feedback.score")
def feedback_score(options: FeedbackScoreOptions) -> ScoredPool | Plan:
    """Score the answers of a pool with one or several rewards.

    Returns a ``ScoredPool``: ``.table()`` has the mean reward of every teacher in every language.

        pl.feedback.score("runs/pool", reward=["language", "quality=runs/reward"]).table()
    """
    from polylect.base import Ledger
    from polylect.feedback import REWARDS, ScoreConfig, pool_file, score
    from polylect.recipes import find_reward
    from polylect.runs import Call, Files

    file = pool_file(options.pool)
    root = file.parent / REWARDS
    sources = {}
    for typed in options.reward:
        name, value = _named(typed)
        source = find_reward(value)
        name = name or _reward_name(value, options.length_controlled)
        if name in sources:
            raise InputError(f"two rewards are called {name!r}", f"--reward NAME={value}")
        sources[name] = source
    if not sources:
        raise InputError("feedback score: no reward", "--reward language")
    folders = []
    for name, source in sources.items():
        config = ScoreConfig(
            name=name, length_controlled=options.length_controlled, template=options.template,
            micro_batch_tokens=options.micro_batch_tokens, identifier=options.identifier,
        )  # fmt: skip
        source.open(config.template, config.micro_batch_tokens, Ledger(),
                    identifier=config.identifier, is_planned=True)  # fmt: skip
        call = Call(score, "score", config, {"pool": Files(file), "reward": source})
        folders.append(root / file_name(name))
        output = Output(out=folders[-1], force=options.force, dry_run=options.dry_run)
        run_call(call, output, f"score {name}", Result, lambda _: [])
    if options.dry_run:
        return Plan([f"would write {folder}" for folder in folders])
    return ScoredPool(options.pool, folders)


def _named(typed: str) -> tuple[str, str]:
    """Name and value of NAME=VALUE; the name is empty where there is none, as in a path."""
    name, equals, value = typed.partition("=")
    if equals and value and not Path(typed).exists() and "/" not in name:
        return name, value
    return "", typed


def _reward_name(value: str, is_controlled: bool) -> str:
    file, colon, function = value.rpartition(":")
    name = function if colon and file.endswith(".py") else Path(value).name or value
    return f"{name}-length-controlled" if is_controlled else name


def file_name(name: str) -> str:
    """A name as a folder's: of plain letters, and different for different names."""
    from polylect.base import digest_of

    plain = re.sub(r"[^\w.-]+", "_", name).strip("._")
    return plain if plain == name else f"{plain or 'name'}-{digest_of(name)[:8]}"


@verb("feedback route", FeedbackRouteOptions, name="feedback.route")
def feedback_route(options: FeedbackRouteOptions) -> Route | Plan:
    """Choose whose answer to each prompt is used, and compare the ways of choosing.

    Returns a ``Route``: ``.table()`` has a row per router and language, ``.matrix`` one per
    language and teacher, ``.choices`` one per prompt.

        pl.feedback.route("runs/pool", by="learned", reward="quality", judged_by="other").matrix
    """
    from polylect.api.paths import file_in
    from polylect.feedback import (
        RouteConfig,
        check_judge,
        pool_file,
        read_rewards,
        reward_folder,
        run_route,
    )
    from polylect.runs import Call, Files, Step

    config = RouteConfig(
        by=options.by, gate=options.gate, calibration=options.calibration_share,
        temperature=options.target_temperature, penalty=options.penalty, encoder=options.encoder,
        seed=options.seed, same_judge=options.same_judge,
    )  # fmt: skip
    reward = reward_folder(options.pool, options.reward)
    if not options.judged_by and not options.same_judge:
        raise InputError(
            f"feedback route: {options.reward} would judge its own choices",
            "score another reward and give --judged-by NAME, or --same-judge",
        )
    judge = reward_folder(options.pool, options.judged_by or options.reward, "--judged-by")
    check_judge(read_rewards(reward), read_rewards(judge), config)
    inputs: dict[str, Input] = {
        "pool": Files(pool_file(options.pool)), "reward": Files(reward), "judged_by": Files(judge),
    }  # fmt: skip
    if options.prompts is not None:
        inputs["prompts"] = Files(file_in(options.prompts, "prompts.jsonl"))

    def write(settings: Any, given: Any, context: "StepContext") -> None:
        from polylect.report import write_route_page

        run_route(settings, given, context)
        write_route_page(context.out, context.ledger)

    def plan(out: Path) -> list[str]:
        return [f"would route {options.pool} by {options.by}", f"would write into {out}"]

    call = Call(Step("polylect feedback route", 1, write), "feedback-route", config, inputs)
    return run_call(call, options.output, "feedback-route", Route, plan)


@verb("feedback pairs", FeedbackPairsOptions, name="feedback.pairs")
def feedback_pairs(options: FeedbackPairsOptions) -> Pairs | Plan:
    """Write preferences from the answers of a pool, with the origin of both sides.

    Returns ``Pairs``: ``.file`` is what ``train.preference`` reads, ``.table()`` the origins.

        pl.feedback.pairs("runs/pool", kind="best-worst", reward="quality").file
    """
    from dataclasses import fields

    from polylect.api.paths import file_in
    from polylect.feedback import (
        HELD_OUT_INPUT,
        PairsConfig,
        pairs,
        pool_file,
        reward_folder,
        wanted_pairs,
    )
    from polylect.runs import Call, Files

    if options.kind == "margin" and not options.min_margin:
        raise InputError("--kind margin without --min-margin", "--min-margin 0.5")
    if not options.reward and options.kind in ("best-worst", "margin", "homogeneous"):
        raise InputError(
            f"--kind {options.kind} needs a reward",
            f"polylect feedback score {options.pool} --reward R, then --reward R",
        )
    wanted_pairs(options.pair_preset, options.total_pairs, options.languages, ["en"])
    config = PairsConfig(**{field.name: getattr(options, field.name)
                            for field in fields(PairsConfig)})  # fmt: skip
    inputs: dict[str, Input] = {"pool": Files(pool_file(options.pool))}
    if options.reward:
        inputs["reward"] = Files(reward_folder(options.pool, options.reward))
    for number, path in enumerate(options.not_in):
        inputs[f"{HELD_OUT_INPUT}{number}"] = Files(file_in(path, "prompts.jsonl"))

    def plan(out: Path) -> list[str]:
        return [f"would make {options.kind} pairs of {options.pool}", f"would write into {out}"]

    call = Call(pairs, "feedback-pairs", config, inputs)
    return run_call(call, options.output, "feedback-pairs", Pairs, plan)


@verb("feedback check", FeedbackCheckOptions, name="feedback.check")
def feedback_check(options: FeedbackCheckOptions) -> CheckedPairs | Plan:
    """How far people agree with preferences, from the form that they filled in.

    Returns ``CheckedPairs``: ``.table()`` has a row per language.

        pl.feedback.check("runs/pairs", "filled.csv").table()
    """
    from polylect.feedback import KEY, read_form
    from polylect.runs import Call, Files, Step

    key = options.pairs / KEY
    checked, counts = read_form(options.file, key)
    if not checked:
        raise InputError(f"{options.file}: nobody decided a pair", "write 1, 2 or = into 'better'")

    def write(_: object, inputs: object, context: "StepContext") -> None:
        import polars

        from polylect.feedback import agreement_rows

        context.ledger.count("open: nobody wrote who is better", counts["open"])
        context.ledger.count("undecided: people could not say", counts["undecided"])
        polars.DataFrame(agreement_rows(checked)).write_parquet(context.out / _AGREEMENT)

    def plan(out: Path) -> list[str]:
        return [f"would read {numbered(len(checked), 'judgment')}", f"would write into {out}"]

    files = {"form": Files(options.file), "key": Files(key)}
    call = Call(Step("polylect feedback check", 1, write), "feedback-check", {}, files)
    return run_call(call, options.output, "feedback-check", CheckedPairs, plan)
