"""The files that tasks read, as an input of a step: who edits an item makes its scores anew."""

from dataclasses import dataclass
from pathlib import Path

from polylect.base import digest_of, language
from polylect.evals.sources import MissingTranslation, Source
from polylect.evals.task_languages import task_language
from polylect.evals.tasks.from_file import SUFFIXES
from polylect.evals.tasks.registry import find_task
from polylect.runs import Files


@dataclass(frozen=True)
class TaskData:
    """What the tasks of a configuration read.

    Attributes:
        tasks: their names, or files.
        languages: the tags asked for; none are all that a task has.
        shots: whether examples are read too.
        data: folder of the datasets; None is the one of ``POLYLECT_DATA``.
        hub: whether they may be downloaded.
    """

    tasks: tuple[str, ...]
    languages: tuple[str, ...]
    shots: bool
    data: Path | None
    hub: bool

    @property
    def digest(self) -> str:
        """Digest of every task file, and of the datasets' files in the languages asked for.

        Raises:
            InputError: no such task or language, or the data are not at hand.
        """
        source = Source.at(self.data, self.hub)
        wanted = [(name, language(name, "--languages").tag) for name in self.languages]
        files: dict[str, str] = {}
        for name in self.tasks:
            task = find_task(name)
            if name.endswith(SUFFIXES):
                files[f"task {name}"] = Files(Path(name)).digest
                continue
            tags = [task_language(task.languages, given, tag) for given, tag in wanted]
            for tag in dict.fromkeys(tags or task.languages):
                try:
                    task.items(source, tag)
                    if self.shots:
                        task.shots(source, tag)
                except MissingTranslation:
                    continue  # the step counts it
        return digest_of(files | source.digests)
