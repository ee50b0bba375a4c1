"""What a call gives back: a finished folder and what is read of it, or a plan."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import fields, replace
from functools import cached_property
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar

from polylect.api.fields import Output
from polylect.api.notices import is_quiet, notice
from polylect.base import InputError, Ledger

if TYPE_CHECKING:
    import polars

    from polylect.checkpoints import Lineage
    from polylect.runs import Call

R = TypeVar("R", bound="Result")
_KEY_DIGITS = 8
_SHOWN_ROWS = 50


class Result:
    """A finished result.

    It may be given wherever a path may: ``pl.compare(pl.evaluate(…), pl.evaluate(…))``.

    Attributes:
        path: its folder.
    """

    page_name: ClassVar[str] = "index.html"

    def __init__(self, path: Path) -> None:
        """The result in a finished folder."""
        self.path = path

    @property
    def refusal(self) -> str:
        """Why the data do not answer what was asked (exit code 3); empty where they do."""
        return ""

    @property
    def is_silent(self) -> bool:
        """Whether another process speaks for this one, too."""
        return False

    @property
    def page(self) -> Path | None:
        """The page to look at; None where there is none."""
        page = self.path / self.page_name
        return page if page.is_file() else None

    @cached_property
    def ledger(self) -> Ledger:
        """What was truncated, dropped, repeated or came out invalid."""
        from polylect.runs import open_artifact

        return open_artifact(self.path).ledger

    def table(self) -> "polars.DataFrame":
        """The result as rows: what ``--json`` prints."""
        raise NotImplementedError

    def rows(self) -> list[dict[str, Any]]:
        """The rows of ``table`` as dicts."""
        return self.table().to_dicts()

    def to_pandas(self) -> Any:
        """The rows of ``table`` as a data frame of pandas.

        Raises:
            InputError: pandas is not installed.
        """
        try:
            return self.table().to_pandas()
        except ModuleNotFoundError as error:
            raise InputError(
                f"{error.name} is not installed", f"pip install {error.name}"
            ) from None

    def lines(self) -> list[str]:
        """The result for a terminal, line by line."""
        raise NotImplementedError

    def __fspath__(self) -> str:
        return str(self.path)

    def __repr__(self) -> str:
        return "\n".join(self.lines())

    def _repr_html_(self) -> str:
        page = f'<p><a href="{escape(str(self.page))}">{escape(str(self.page))}</a></p>'
        return html_table(self.table()) + (page if self.page else "")


class Plan(Result):
    """What a dry run says: nothing was computed or written."""

    def __init__(self, lines: Iterable[str]) -> None:
        """A plan of these lines."""
        super().__init__(Path())
        self._lines = list(lines)

    @property
    def page(self) -> None:
        """None: there is no page yet."""
        return

    @cached_property
    def ledger(self) -> Ledger:
        """Empty."""
        return Ledger()

    def table(self) -> "polars.DataFrame":
        """A row per line."""
        import polars

        return polars.DataFrame({"line": self._lines}, schema={"line": polars.String})

    def lines(self) -> list[str]:
        """The plan."""
        return self._lines


def html_table(table: "polars.DataFrame") -> str:
    """The first rows of a table for a notebook; text runs in the direction of its script."""
    head = "".join(f"<th>{escape(name)}</th>" for name in table.columns)
    body = "".join(
        "<tr>" + "".join(f'<td dir="auto">{escape(_cell(value))}</td>' for value in row) + "</tr>"
        for row in table.head(_SHOWN_ROWS).iter_rows()
    )
    more = table.height - _SHOWN_ROWS
    rest = f"<p>and {more:,} rows more: .table()</p>" if more > 0 else ""
    return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>{rest}"


def _cell(value: object) -> str:
    if value is None:
        return "–"
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def settings_of(
    options: Any, leave_out: Sequence[str] = (), former: Mapping[str, str] | None = None
) -> dict[str, Any]:
    """The settings of a step that is a whole verb: its options without those of the output.

    Args:
        options: of the verb.
        leave_out: options that name an input, or do not change the result.
        former: names that manifests keep, so that a result made before a renaming is found again,
            by today's names.
    """
    names = former or {}
    return {
        names.get(field.name, field.name): getattr(options, field.name)
        for field in fields(options)
        if field.name not in {"output", *leave_out}
    }


def out_folder(output: Output, verb: str, key: str) -> Path:
    """Where a result goes: ``--out``, or ``runs/VERB-KEY``.

    Args:
        output: the options.
        verb: the command's name.
        key: digest of what decides the result.
    """
    return output.out or Path("runs") / f"{verb}-{key[:_KEY_DIGITS]}"


def check_room(out: Path, output: Output) -> None:
    """Refuse a folder that is taken by something that is no checkpoint of polylect.

    Raises:
        InputError: it holds something else, without ``force``.
    """
    from polylect.checkpoints import LINEAGE
    from polylect.runs import holds_result

    holds_result(out, LINEAGE, {}, force=output.force)


def is_there(out: Path, output: Output, lineage: "Callable[[], Lineage]") -> bool:
    """Whether a folder holds the checkpoint that would be made; the user is told so.

    Args:
        out: the folder.
        output: the options.
        lineage: of the checkpoint; asked where the folder holds one.

    Raises:
        InputError: the folder holds something else, without ``force``.
    """
    from polylect.checkpoints import LINEAGE
    from polylect.runs import holds_result

    if not holds_result(out, LINEAGE, {}, force=output.force):
        return False
    is_same = holds_result(out, LINEAGE, {"lineage": lineage()})
    if is_same:
        notice(f"{out}: this result is there already")
    return is_same


def run_call(
    call: "Call",
    output: Output,
    verb: str,
    result: Callable[[Path], R],
    plan: Callable[[Path], Iterable[str]] | None = None,
    watchers: Sequence[Callable[[int, Mapping[str, Any]], None]] = (),
) -> "R | Plan":
    """The result of a verb that is one step; a result that is there already is not made again.

    Args:
        call: the step; its label is the name of the result's folder.
        output: where the result goes, or whether only the plan is wanted.
        verb: the command's name.
        result: reads the finished folder.
        plan: the lines of a dry run, from where the result would go.
        watchers: called with the step number and the metrics of a training.

    Raises:
        InputError: the folder holds something else, without ``force``.
    """
    from polylect.runs import TaskReporter, display, execute_into, finished_at

    out = out_folder(output, verb, call.key)
    call = replace(call, label=out.name)
    is_there = finished_at(call, out, force=output.force) is not None
    if is_there:
        notice(f"{out}: this result is there already")
    if output.dry_run:
        assert plan is not None, verb
        return Plan([] if is_there else plan(out))
    with display(silent=is_quiet()) as progress:
        tables = [lambda _, row: progress.languages(row.get("by_language", {}))]
        report = TaskReporter(verb, progress.handle, [*tables, *watchers])
        return result(execute_into(call, out, report, force=output.force).path)
