"""``audit``: what the public can and cannot know about a board."""

from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from polylect.api.fields import Group, Mark, Output, Positional
from polylect.api.results import Plan, Result, run_call, settings_of
from polylect.api.verbs import verb
from polylect.base import Count, Ledger, Seed, Share, one_blas_thread, read_json, write_json

if TYPE_CHECKING:
    import polars

    from polylect.auditing import Audit
    from polylect.runs import Input, StepContext

_FILES = ("votes", "boards", "registry")


@dataclass(frozen=True, kw_only=True)
class AuditOptions:
    """Audit a public board of models: what it shows, and what it hides.

    Writes audit.json and audit.html.

    Examples:
        polylect audit votes.parquet
        polylect audit votes.parquet --registry models.json --cap 2
        polylect audit --boards boards.csv --registry models.json --out runs/audit
    """

    votes: Positional[Annotated[Path | None, Mark(metavar="[VOTES]")]] = None
    """Votes (.parquet, .jsonl): model_a, model_b, verdict; optionally count, language, voter, time,
    prompt. LMArena's form is read too."""
    boards: Path | None = None
    """Dated boards: date, model, rating, battles (so far); optionally provider, license."""
    registry: Path | None = None
    """Models and private variants: model, provider, license (proprietary, open-weight,
    open-source), private, tested_from, tested_to, score, added, retired."""
    cap: Count = 3
    """Private variants that a provider may test at a time."""
    floor: Share = 0.9
    """Least fraction of an equal share of the votes that a license or provider must get."""
    window: Count = 52
    """Days over which a model's activity is measured."""
    seed: Seed = 0
    """Seed of the simulated honest voters."""
    output: Group[Output] = field(default_factory=Output)


class AuditResult(Result):
    """What a board shows and hides: a verdict and a reason per recommendation."""

    page_name = "audit.html"

    @cached_property
    def audit(self) -> dict[str, Any]:
        """The value of audit.json."""
        return read_json(self.path / "audit.json")

    def table(self) -> "polars.DataFrame":
        """A row per recommendation: number, title, verdict, reason."""
        import polars

        names = ("number", "title", "verdict", "reason")
        rows = [{name: row[name] for name in names} for row in self.audit["recommendations"]]
        return polars.DataFrame(rows)

    def lines(self) -> list[str]:
        """The page, the recommendations, and what was counted."""
        lines = [str(self.page)]
        for advice in self.audit["recommendations"]:
            lines += [f"{advice['number']}. {advice['title']}: {advice['verdict']}"]
            lines += [f"   {advice['reason']}"]
        return [*lines, *Ledger.from_json(self.audit["ledger"]).summary()]


@verb("audit", AuditOptions)
def audit(options: AuditOptions) -> AuditResult | Plan:
    """Audit a public board of models: what it shows, and what it hides.

    Returns an ``AuditResult``: ``.table()`` has a row per recommendation.

        pl.audit("votes.parquet", registry="models.json").page
    """
    with one_blas_thread():
        return _audit(options)


def _audit(options: AuditOptions) -> AuditResult | Plan:
    from polylect.report import write_audit_page
    from polylect.runs import Call, Files, Step

    files = {name: path for name in _FILES if (path := getattr(options, name)) is not None}

    def write(_: object, inputs: object, context: "StepContext") -> None:
        board_audit = _board_audit(options, [path.name for path in files.values()])
        write_json(context.out / "audit.json", board_audit.to_json())
        write_audit_page(context.out / "audit.html", board_audit)

    def plan(out: Path) -> list[str]:
        audited = _board_audit(options, [path.name for path in files.values()])
        return [*audited.ledger.lines(), f"would write audit.json and audit.html into {out}"]

    # The input keeps the name that manifests have.
    inputs: dict[str, Input] = {
        "file" if name == "votes" else name: Files(path) for name, path in files.items()
    }
    settings = settings_of(options, _FILES)
    call = Call(Step("polylect audit", 5, write), "audit", settings, inputs)
    return run_call(call, options.output, "audit", AuditResult, plan)


def _board_audit(options: AuditOptions, names: list[str]) -> "Audit":
    from polylect.auditing import AuditSettings, Registry, audit_board, read_battles, read_boards

    return audit_board(
        None if options.votes is None else read_battles(options.votes),
        () if options.boards is None else read_boards(options.boards),
        None if options.registry is None else Registry.read(options.registry),
        AuditSettings(
            cap=options.cap, floor=options.floor, window_days=options.window, seed=options.seed
        ),
        names,
    )
