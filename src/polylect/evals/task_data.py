"""The files that tasks read, as an input of a step: who edits an item makes its scores anew."""

from dataclasses import dataclass
from pathlib import Path

from polylect.base import digest_of, language
from polylect.evals.config import EvalConfig
from polylect.evals.sources import MissingTranslation, Source
from polylect.evals.tasks.from_file import SUFFIXES
from polylect.evals.tasks.registry import find_task
from polylect.runs import Files


@dataclass(frozen=True)
class TaskData:
    """What the tasks of a configuration read.

    Attributes:
        config: names of tasks, languages, and where the data lie.
    """

    config: EvalConfig

    @property
    def digest(self) -> str:
        """Digest of every task file, and of the datasets' files in the languages asked for.

        Raises:
            InputError: no such task or language, or the data are not at hand.
        """
        config = self.config
        source = Source.at(config.data, config.hub)
        wanted = [(name, language(name, "--languages").tag) for name in config.languages]
        files: dict[str, str] = {}
        for name in config.tasks:
            task = find_task(name)
            if name.endswith(SUFFIXES):
                files[f"task {name}"] = Files(Path(name)).digest
                continue
            tags = [given if given in task.languages else tag for given, tag in wanted]
            for tag in dict.fromkeys(tags or task.languages):
                try:
                    task.items(source, tag)
                    if config.shots:
                        task.shots(source, tag)
                except MissingTranslation:
                    continue  # the step counts it
        return digest_of(files | source.digests)
