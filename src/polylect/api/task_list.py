"""``tasks``: the built-in tasks, or one of them."""

from dataclasses import dataclass

from polylect.api.fields import Positional
from polylect.api.listings import Listing
from polylect.api.text_tables import text_table
from polylect.api.verbs import verb


@dataclass(frozen=True, kw_only=True)
class TasksOptions:
    """List the built-in tasks for 'polylect eval --tasks', or show one.

    Examples:
        polylect tasks
        polylect tasks xcopa
        polylect tasks --json
    """

    task: Positional[str | None] = None
    """Name of a task. Default: all are listed."""


@verb("tasks", TasksOptions)
def tasks(options: TasksOptions) -> Listing:
    """The built-in tasks, or one of them.

    Returns a list; ``.table()`` has a row per task, with its languages, scorer and license.

        pl.tasks().table()
        pl.tasks("xcopa").rows()[0]["languages"]
    """
    from polylect.evals import TASKS, find_task

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
