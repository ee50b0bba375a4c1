"""The run folder, its manifest, memoised steps, fan-out over processes, and progress."""

from polylect.runs.fanout import Fanout, Processes
from polylect.runs.progress import Display, Reporter, Silent, display, duration
from polylect.runs.run import RUN_MANIFEST, Run, list_runs, read_run
from polylect.runs.steps import (
    MANIFEST,
    VOLATILE,
    Artefact,
    Call,
    Files,
    Input,
    Step,
    StepContext,
    execute,
    execute_into,
    finished_at,
    join,
    load_file,
    open_artefact,
    step,
)

__all__ = [
    "MANIFEST",
    "RUN_MANIFEST",
    "VOLATILE",
    "Artefact",
    "Call",
    "Display",
    "Fanout",
    "Files",
    "Input",
    "Processes",
    "Reporter",
    "Run",
    "Silent",
    "Step",
    "StepContext",
    "display",
    "duration",
    "execute",
    "execute_into",
    "finished_at",
    "join",
    "list_runs",
    "load_file",
    "open_artefact",
    "read_run",
    "step",
]
