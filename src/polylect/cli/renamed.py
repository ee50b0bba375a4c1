"""Options that have a new name: a command that uses the old one is told so."""

RENAMED: dict[str, dict[str, str]] = {
    "train sft": {"--language": "--default-language", "--temperature": "--language-temperature"},
    "train preference": {
        "--language": "--default-language",
        "--temperature": "--language-temperature",
    },
    "train reward": {"--language": "--default-language", "--temperature": "--language-temperature"},
    "train online": {"--language": "--default-language", "--temperature": "--language-temperature"},
    "audit": {"--file": "--votes"},
    "rank": {"--file": "--votes", "--model": "--tie-model"},
    "simulate rigging": {"--level": "--false-flags"},
    "simulate retire": {"--target": "--targets"},
    "eval": {"--checkpoint": "--model", "--data": "--datasets"},
    "prompts": {"--data": "--datasets"},
    "run study": {"--data": "--datasets"},
    "run schemes": {"--data": "--datasets", "--floor": "--max-increase"},
    "run search": {
        "--data": "--datasets",
        "--held-out": "--held-out-languages",
        "--by": "--average-over",
        "--scale": "--normalize-aspects",
    },
    "run lifecycle": {"--temperature": "--language-temperature"},
    "run base": {"--temperature": "--language-temperature"},
    "run clusters": {"--data": "--conversations"},
    "run soups": {"--weights": "--expert-weights"},
    "confusion": {"--identifier": "--identifiers"},
    "judge": {"--judge": "--judges"},
    "grade": {"--judge": "--judges"},
    "merge": {"--set": "--NAME"},
    "verify": {"--checkpoint": "--model"},
    "compare": {
        "--metric": "--metrics",
        "--language": "--task-languages",
        "--name-a": "--name-before",
        "--name-b": "--name-after",
    },
}
"""Today's name of an option by its former one, by command. ``--NAME`` stands for an option of each
name in the ``NAME=VALUE`` of a former one."""
