"""``tasks``: the built-in tasks, or one of them."""

from dataclasses import dataclass

from polylect.api.fields import Positional, Switch
from polylect.api.listings import Listing
from polylect.api.text_tables import text_table
from polylect.api.verbs import verb


@dataclass(frozen=True, kw_only=True)
class TasksOptions:
    """List the built-in tasks for 'polylect eval --tasks', or show one; or the suites.

    Examples:
        polylect tasks
        polylect tasks xcopa
        polylect tasks --suites
        polylect tasks aya23 --suites
    """

    task: Positional[str | None] = None
    """Name of a task, or of a suite. Default: all are listed."""
    suites: Switch = False
    """Suites for 'polylect eval --suite' in place of tasks."""


@verb("tasks", TasksOptions)
def tasks(options: TasksOptions) -> Listing:
    """The built-in tasks, or one of them.

    Returns a list; ``.table()`` has a row per task, with its languages, scorer and license. Of
    suites it has a row per task of each, with shots and metric.

        pl.tasks().table()
        pl.tasks("xcopa").rows()[0]["languages"]
        pl.tasks("aya23", suites=True).table()
    """
    from polylect.evals import TASKS, find_task

    if options.suites:
        return _suites(options.task)

    chosen = list(TASKS.values()) if options.task is None else [find_task(options.task)]
    rows = [
        {
            "name": task.name, "label": task.label, "summary": task.summary,
            "languages": list(task.languages), "scorer": task.scorer, "metric": task.metric,
            "license": task.data.license if task.data else None,
            "data": task.data.home if task.data else None,
            "hub": (task.data.hub or None) if task.data else None,
        }
        for task in chosen
    ]  # fmt: skip
    if options.task is None:
        cells = [
            (row["name"], f"{len(row['languages'])} languages", row["summary"]) for row in rows
        ]
        return Listing(rows, text_table(("task", "", ""), cells, "lrl"))
    (row,) = rows
    lines = [
        f"{row['label']}: {row['summary']}",
        f"languages: {' '.join(row['languages'])}",
        f"scorer: {row['scorer']}",
        f"first metric: {row['metric']}",
        *(f"{name}: {row[name]}" for name in ("license", "data", "hub") if row[name]),
    ]
    return Listing(rows, lines)


def _suites(name: str | None) -> Listing:
    """The suites, or one of them."""
    from polylect.evals import SUITES, find_suite, suite_rows

    chosen = list(SUITES.values()) if name is None else [find_suite(name)]
    rows = [row for suite in chosen for row in suite_rows(suite)]
    if name is None:
        cells = [(suite.name, f"{len(suite.parts)} tasks", suite.summary) for suite in chosen]
        return Listing(rows, text_table(("suite", "", ""), cells, "lrl"))
    (suite,) = chosen
    cells = [
        (row["label"], f"{row['shots']} shots", row["metric"], f"{len(row['languages'])}",
         " ".join(row["languages"]))
        for row in rows
    ]  # fmt: skip
    lines = [
        f"{suite.label}: {suite.summary}",
        suite.source,
        *text_table(("task", "", "metric", "", "languages"), cells, "lrlrl"),
        *(f"not in the suite: {what}: {how}" for what, how in suite.without.items()),
    ]
    return Listing(rows, lines)
