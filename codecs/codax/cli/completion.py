"""`codax completion`: a script for a shell, generated from the parsers of the commands; it starts no Python."""

from __future__ import annotations

import dataclasses
import enum
import inspect
import typing
from typing import Annotated, Any

import typer


class Shell(enum.StrEnum):
    """Shells of `codax completion`."""

    bash = "bash"
    zsh = "zsh"
    fish = "fish"


@dataclasses.dataclass(frozen=True)
class Choice:
    """An option of a command: its names, its possible values (empty = files), its help."""

    names: tuple[str, ...]
    values: tuple[str, ...]
    takes_value: bool
    help: str


def completion_command(
    context: typer.Context,
    shell: Annotated[Shell, typer.Argument(metavar="bash|zsh|fish", help="The shell.")],
) -> None:
    """Print the completion script of a shell.

    bash: eval "$(codax completion bash)"; zsh the same; fish: codax completion fish | source.
    """
    root = context.find_root().command
    print(_fish(root) if shell is Shell.fish else _bash(root, zsh=shell is Shell.zsh))


def commands_of(root: Any) -> dict[str, tuple[Any, list[Choice]]]:
    """Returns every command and its options, by its words without "codax"; "" is the root."""
    table: dict[str, tuple[Any, list[Choice]]] = {}

    def visit(command: Any, words: str) -> None:
        foreign = _foreign_flags(words)
        table[words] = (command, [*_choices(command), *foreign])
        for name, child in getattr(command, "commands", {}).items():
            visit(child, f"{words} {name}".strip())

    visit(root, "")
    return table


def _words(command: Any) -> dict[str, str]:
    """The words that may follow a command, with their help: its subcommands, or the values of its argument."""
    children = {name: child.get_short_help_str(60) for name, child in getattr(command, "commands", {}).items()}
    arguments = [param for param in command.params if param.param_type_name == "argument"]
    return children | {value: "" for param in arguments for value in _values(command, param)}


def _values(command: Any, param: Any) -> tuple[str, ...]:
    """The values of a parameter that is an enumeration; empty for others."""
    hints = typing.get_type_hints(inspect.unwrap(command.callback)) if command.callback else {}
    hint = hints.get(param.name)
    enums = [kind for kind in (hint, *typing.get_args(hint)) if isinstance(kind, enum.EnumType)]
    return tuple(str(member) for kind in enums for member in kind)


def _choices(command: Any) -> list[Choice]:
    choices = [Choice(("-h", "--help"), (), False, "Show this message and exit.")]
    for param in command.params:
        if param.param_type_name != "option":
            continue
        names = (*param.opts, *param.secondary_opts)
        values = _shipped() if "--model" in names else _values(command, param)
        choices.append(Choice(names, values, not param.is_flag, (param.help or "").split(". ")[0]))
    return choices


def _shipped() -> tuple[str, ...]:
    from codax.codec import shipped

    return tuple(shipped.names())


def _foreign_flags(words: str) -> list[Choice]:
    """The absl flags of `codax train` and `codax eval`."""
    if words not in ("train", "eval"):
        return []
    import importlib

    from absl import flags

    from codax.config.recipe_files import packaged

    name = {"train": "codax.cli.train", "eval": "codax.cli.evaluate"}[words]
    importlib.import_module(name)
    known = {"config": tuple(packaged()), "model": _shipped()}
    choices = []
    for flag in flags.FLAGS.get_flags_for_module(name) + ([flags.FLAGS["config"]] if words == "train" else []):
        values = known.get(flag.name) or tuple(getattr(flag.parser, "enum_values", None) or ())
        takes_value = flag.flag_type() != "bool"
        choices.append(Choice((f"--{flag.name}",), values, takes_value, str(flag.help).split(". ")[0].split("\n")[0]))
    return choices


def _bash(root: Any, *, zsh: bool) -> str:
    """A function that finds the command in the words so far; zsh runs it through its own bashcompinit."""
    cases, table = [], commands_of(root)
    for words, (command, choices) in table.items():
        children = " ".join(_words(command))
        options = " ".join(name for choice in choices for name in choice.names)
        cases.append(f"    '{words}') children='{children}'; options='{options}' ;;")
    values = [
        f"    {'|'.join(_quoted(f'{words}:{name}') for name in choice.names)}) values='{' '.join(choice.values)}' ;;"
        for words, (_, choices) in table.items()
        for choice in choices
        if choice.values
    ]
    head = "autoload -U +X bashcompinit && bashcompinit\n" if zsh else ""
    return head + _BASH.replace("@CASES@", "\n".join(cases)).replace("@VALUES@", "\n".join(values))


def _quoted(text: str) -> str:
    return f"'{text}'"


_BASH = """_codax() {
  local word="${COMP_WORDS[COMP_CWORD]}" before="${COMP_WORDS[COMP_CWORD-1]}" path='' children='' options='' values=''
  local i
  # A word of the form --option=value is split at "=" by bash.
  if [[ "$word" == '=' ]]; then word=''; elif [[ "$before" == '=' ]]; then before="${COMP_WORDS[COMP_CWORD-2]}"; fi
  for ((i = 1; i <= COMP_CWORD; i++)); do
    case "$path" in
@CASES@
    esac
    if ((i < COMP_CWORD)) && [[ " $children " == *" ${COMP_WORDS[i]} "* ]]; then
      path="${path:+$path }${COMP_WORDS[i]}"
    fi
  done
  case "$path:$before" in
@VALUES@
  esac
  COMPREPLY=()
  if [[ -n "$values" ]]; then
    COMPREPLY=($(compgen -W "$values" -- "$word"))
  elif [[ "$word" == -* ]]; then
    COMPREPLY=($(compgen -W "$options" -- "$word"))
  elif [[ -n "$children" ]]; then
    COMPREPLY=($(compgen -W "$children" -- "$word"))
  fi
}
complete -o default -o bashdefault -F _codax codax"""


def _fish(root: Any) -> str:
    lines = ["complete -c codax -e"]
    groups = [name for name, child in root.commands.items() if hasattr(child, "commands")]
    for words, (command, choices) in commands_of(root).items():
        children = _words(command)
        # `encode` is a command, and one of `stream`.
        others = children or (groups if len(words.split()) == 1 else {})
        seen = [f"__fish_seen_subcommand_from {part}" for part in words.split()]
        unseen = [f"not __fish_seen_subcommand_from {' '.join(others)}"] if others else []
        condition = f" -n '{'; and '.join(seen + unseen)}'"
        for name, text in children.items():
            lines.append(f"complete -c codax{condition} -f -a {name} -d {_description(text)}")
        for choice in choices:
            names = " ".join(f"-l {n[2:]}" if n.startswith("--") else f"-s {n[1:]}" for n in choice.names)
            values = f" -x -a '{' '.join(choice.values)}'" if choice.values else " -r" if choice.takes_value else ""
            lines.append(f"complete -c codax{condition} {names}{values} -d {_description(choice.help)}")
    return "\n".join(lines)


def _description(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace("'", "\\'")
    return f"'{escaped}'"
