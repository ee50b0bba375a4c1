"""The command table: summaries by name; imports nothing."""

COMMANDS: dict[str, str] = {
    "run": "run a recipe: a built-in one (lifecycle) or FILE.py:function",
    "runs": "list runs, or show one run",
    "train": "pretrain further, fine-tune, align with preferences, train a reward model",
    "merge": "merge checkpoints: streamed, exact, resumable",
    "quantize": "quantize with calibration by language, and see who pays",
    "verify": "verify a checkpoint against its manifest and its inputs",
    "eval": "score a checkpoint on tasks, language by language",
    "prompts": "write a published set of open prompts, for generate",
    "generate": "answer prompts with a checkpoint or a server",
    "judge": "judge the answers of two models, in both orders",
    "grade": "grade answers one at a time by a rubric",
    "agreement": "agreement of judges and people, by language",
    "winrate": "win rates of existing judgments, also arena-hard's",
    "confusion": "measure whether answers are in the requested language",
    "tasks": "list the built-in tasks, or show one task",
    "compare": "who gained and who paid between two checkpoints",
    "rank": "rank models by paired comparisons, with intervals",
    "audit": "audit a public board: what it shows, and what it hides",
    "simulate": "simulate rigging, retirement, sampling, sparse boards",
    "experts": "one mixture of experts of several models, which grows by one command",
    "mixture": "what a plan will read, what trained runs recommend; rows into instructions",
    "people": "describe people who disagree, fit a reward to each, score as they would",
    "languages": "list languages, or say what can be done in some of them",
    "completion": "print the shell completion for bash, zsh or fish",
}
"""What each command does; ``polylect.cli.NAME`` runs it."""
