"""The command table: names, summaries and the module of each command, with nothing imported."""

COMMANDS: dict[str, tuple[str, str]] = {
    "run": ("polylect.cli.run", "run a recipe: one that ships (lifecycle) or FILE.py:function"),
    "runs": ("polylect.cli.runs", "list runs, or show one"),
    "train": ("polylect.cli.train", "fine-tune on conversations, or align with preferences"),
    "merge": ("polylect.cli.merge", "merge checkpoints: streamed, exact, resumable"),
    "quantize": ("polylect.cli.quantize", "fewer bits, calibrated by language; who pays for them"),
    "verify": ("polylect.cli.verify", "hold a checkpoint against its record and its inputs"),
    "eval": ("polylect.cli.eval", "score a checkpoint on tasks, language by language"),
    "generate": ("polylect.cli.generate", "answer prompts with a checkpoint or through a server"),
    "judge": ("polylect.cli.judge", "judge the answers of two models, always in both orders"),
    "winrate": ("polylect.cli.winrate", "win rates of judgments in files, arena-hard's among them"),
    "confusion": ("polylect.cli.confusion", "whether answers are in the language asked for"),
    "tasks": ("polylect.cli.tasks", "list the built-in tasks, or show one"),
    "compare": ("polylect.cli.compare", "who gained and who paid between two checkpoints"),
    "rank": ("polylect.cli.rank", "rank models by paired comparisons, with what the votes decide"),
    "audit": ("polylect.cli.audit", "audit a public board: what it shows, and what it hides"),
    "simulate": ("polylect.cli.simulate", "simulate rigging, retirement, sampling, sparse boards"),
    "languages": ("polylect.cli.languages", "list the languages with script, family and class"),
    "completion": ("polylect.cli.completion", "print the shell completion for bash, zsh or fish"),
}
