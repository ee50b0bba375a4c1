"""``polylect tasks``: the built-in tasks for ``polylect eval --tasks``."""

import sys
from collections.abc import Sequence

from polylect.base import InputError


def main(arguments: Sequence[str]) -> int:
    """Exit code of ``polylect tasks``: lists the built-in tasks, or shows one."""
    from polylect.evals import TASKS, find_task

    if {"-h", "--help"} & set(arguments):
        sys.stdout.write("usage: polylect tasks [NAME]\n\nList the built-in tasks, or show one.\n")
        return 0
    if len(arguments) > 1:
        raise InputError("tasks: one name at most", "polylect tasks NAME")
    if arguments:
        task = find_task(arguments[0])
        lines = [
            f"{task.label}: {task.summary}",
            f"languages: {' '.join(task.languages)}",
            f"scorer: {task.scorer}",
            f"first metric: {task.metric}",
        ]
        if task.data:
            lines += [f"license: {task.data.license}", f"data: {task.data.home}"]
            lines += [f"hub: {task.data.hub}"] if task.data.hub else []
    else:
        width = max(map(len, TASKS))
        lines = [
            f"{name:<{width}}  {len(task.languages):>3} languages  {task.summary}"
            for name, task in TASKS.items()
        ]
    sys.stdout.write("\n".join(lines) + "\n")
    return 0
