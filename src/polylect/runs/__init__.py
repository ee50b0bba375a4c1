"""The run folder, its manifest, memoized steps, fan-out over processes, and progress."""

from typing import TYPE_CHECKING

from polylect.base import face

if TYPE_CHECKING:
    from polylect.runs.commands import Invocation, current_invocation, invocation, without_word
    from polylect.runs.confined import Limits, require_sandbox, run_program
    from polylect.runs.durations import duration
    from polylect.runs.estimate import Estimate
    from polylect.runs.execution import (
        MANIFEST,
        Recorded,
        execute,
        execute_into,
        finished_at,
        join,
        open_artifact,
    )
    from polylect.runs.fanout import Fanout, Processes
    from polylect.runs.folders import NOT_CONTENT, VOLATILE, kept_folder
    from polylect.runs.inspection import RunDescription, describe_run, removable, remove_run
    from polylect.runs.listing import RunInfo, list_runs
    from polylect.runs.packages import package_versions
    from polylect.runs.progress import Display, Reporter, Silent, TaskReporter, display
    from polylect.runs.records import LOG, headline, unfinished
    from polylect.runs.results import differences, holds_result, read_manifest
    from polylect.runs.run import Run, read_run
    from polylect.runs.steps import (
        Artifact,
        Call,
        FileInput,
        Files,
        Input,
        Step,
        StepContext,
        StepInputs,
        load_file,
        step,
    )
    from polylect.runs.user_errors import users_code
else:
    __all__, __getattr__, __dir__ = face(__name__, __file__)
