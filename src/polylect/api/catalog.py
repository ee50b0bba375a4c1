"""All verbs: where each is defined; imports nothing."""

from importlib import import_module
from typing import Any

CALLS: dict[str, str] = {
    "languages": "language_list",
    "list_runs": "run_lists",
    "describe_run": "run_lists",
    "remove_runs": "run_lists",
    "evaluate": "evaluation",
    "compare": "comparison",
    "generate": "generation",
    "rank": "ranking",
    "audit": "auditing",
    "simulate.rigging": "simulation",
    "simulate.sampling": "simulation",
    "simulate.retire": "simulation",
    "simulate.task_mix": "simulation",
    "simulate.sparse_graph": "simulation",
    "judge": "judgments",
    "grade": "grading",
    "agreement": "agreements",
    "win_rates": "winning",
    "prompts": "prompt_sets",
    "tasks": "task_list",
    "merge": "merging",
    "verify": "verification",
    "quantize": "quantization",
    "confusion": "language_confusion",
    "people.describe": "people",
    "people.fit": "people",
    "people.score": "people",
    "people.study": "people_study",
    "people.adapt": "people_users",
    "people.forget": "people_users",
    "experts.upcycle": "experts",
    "experts.extend": "experts",
    "experts.remove": "experts",
    "experts.clusters": "experts_clusters",
    "experts.export": "experts",
    "experts.report": "experts_report",
    "mixture.plan": "mixture",
    "mixture.fit": "mixture",
    "mixture.instructions": "instructions",
    "train.pretrain": "training",
    "train.sft": "training",
    "train.preference": "training",
    "train.reward": "training",
    "train.online": "training",
}
"""The module of ``polylect.api`` of every call, by its name in Python."""

COMMANDS: dict[str, str] = {
    "languages": "languages",
    "runs": "list_runs",
    "runs show": "describe_run",
    "runs rm": "remove_runs",
    "eval": "evaluate",
    "compare": "compare",
    "generate": "generate",
    "rank": "rank",
    "audit": "audit",
    "simulate rigging": "simulate.rigging",
    "simulate sampling": "simulate.sampling",
    "simulate retire": "simulate.retire",
    "simulate task-mix": "simulate.task_mix",
    "simulate sparse-graph": "simulate.sparse_graph",
    "judge": "judge",
    "grade": "grade",
    "agreement": "agreement",
    "winrate": "win_rates",
    "prompts": "prompts",
    "tasks": "tasks",
    "merge": "merge",
    "verify": "verify",
    "quantize": "quantize",
    "confusion": "confusion",
    "people describe": "people.describe",
    "people fit": "people.fit",
    "people score": "people.score",
    "people study": "people.study",
    "people adapt": "people.adapt",
    "people forget": "people.forget",
    "experts upcycle": "experts.upcycle",
    "experts extend": "experts.extend",
    "experts remove": "experts.remove",
    "experts clusters": "experts.clusters",
    "experts export": "experts.export",
    "experts report": "experts.report",
    "mixture plan": "mixture.plan",
    "mixture fit": "mixture.fit",
    "mixture instructions": "mixture.instructions",
    "train pretrain": "train.pretrain",
    "train sft": "train.sft",
    "train preference": "train.preference",
    "train reward": "train.reward",
    "train online": "train.online",
}
"""The name in Python of every verb, by its words on the command line."""


FUNCTIONS: dict[str, str] = {
    "run": "recipe_runs",
    "open_run": "run_lists",
    "load_checkpoint": "loading",
}
"""The module of every call that is not a verb with options of its own."""


def find_call(name: str) -> Any:
    """The call of a name in Python, ``train.sft``; its ``verb`` has its options."""
    return getattr(import_module(f"polylect.api.{CALLS[name]}"), name.replace(".", "_"))
