"""``polylect completion``: a completion script for the shell, made from the command table."""

import sys
from collections.abc import Sequence
from itertools import chain

from polylect.api.catalog import COMMANDS as VERBS
from polylect.api.catalog import find_call
from polylect.api.option_fields import option_names
from polylect.base import InputError, did_you_mean
from polylect.cli.table import COMMANDS

SHELLS = ("bash", "zsh", "fish")


def main(arguments: Sequence[str]) -> int:
    """Exit code of ``polylect completion SHELL``."""
    if arguments and arguments[0] in {"-h", "--help"}:
        sys.stdout.write(
            "usage: polylect completion bash|zsh|fish\n\n"
            "bash: polylect completion bash > ~/.local/share/bash-completion/completions/polylect\n"
            'zsh:  polylect completion zsh > "${fpath[1]}/_polylect"\n'
            "fish: polylect completion fish > ~/.config/fish/completions/polylect.fish\n"
        )
        return 0
    if len(arguments) != 1 or arguments[0] not in SHELLS:
        shell = arguments[0] if arguments else ""
        hint = did_you_mean(shell, SHELLS) or f"known are {', '.join(SHELLS)}"
        raise InputError(f"completion: no shell {shell!r}", hint)
    sys.stdout.write({"bash": _bash, "zsh": _zsh, "fish": _fish}[arguments[0]]())
    return 0


def options_by_command() -> dict[str, list[str]]:
    """The options of every command, in order; for ``run``, those of all recipes that ship."""
    from polylect.api.recipe_runs import recipe_verb
    from polylect.recipes import SHIPPED

    options: dict[str, list[str]] = {}
    for command in COMMANDS:
        verbs = [
            find_call(call).verb.options
            for words, call in VERBS.items()
            if words.split()[0] == command
        ]
        if command == "run":
            verbs = [recipe_verb(name).options for name in SHIPPED]
        options[command] = list(dict.fromkeys(chain.from_iterable(map(option_names, verbs))))
    return options


def _words() -> dict[str, list[str]]:
    from polylect.recipes import SHIPPED

    words = options_by_command()
    words["run"] = [*SHIPPED, *words["run"]]
    for verb in VERBS:
        command, _, kind = verb.partition(" ")
        if kind:
            words[command].insert(0, kind)
    words["completion"] = list(SHELLS)
    return words


def _bash() -> str:
    cases = "\n".join(
        f'    {name}) words="{" ".join(words)}" ;;' for name, words in _words().items()
    )
    return f"""_polylect() {{
  local words
  if [ "$COMP_CWORD" -eq 1 ]; then
    COMPREPLY=($(compgen -W "{" ".join(COMMANDS)} --help --version" -- "$2"))
    return
  fi
  case "${{COMP_WORDS[1]}}" in
{cases}
  esac
  COMPREPLY=($(compgen -W "$words --help" -- "$2") $(compgen -f -- "$2"))
}}
complete -o filenames -F _polylect polylect
"""


def _zsh() -> str:
    commands = "\n".join(f"    '{name}:{text}'" for name, text in COMMANDS.items())
    cases = "\n".join(f"    {n}) _alternative 'w:word:({' '.join(w)} --help)' 'f:file:_files' ;;"
                      for n, w in _words().items())  # fmt: skip
    return f"""#compdef polylect
local -a commands
commands=(
{commands}
)
if (( CURRENT == 2 )); then
  _describe command commands
else
  case "$words[2]" in
{cases}
  esac
fi
"""


def _fish() -> str:
    lines = [
        f"complete -c polylect -n __fish_use_subcommand -f -a {name} -d '{text}'"
        for name, text in COMMANDS.items()
    ]
    for name, words in _words().items():
        for word in words:
            kind = f"-l {word[2:]}" if word.startswith("--") else f"-a {word}"
            lines.append(f"complete -c polylect -n '__fish_seen_subcommand_from {name}' {kind}")
    return "\n".join(lines) + "\n"
