"""The pages of the documentation, and the commands and Python code in them.

A comment `<!-- not run: REASON -->` above a block excludes it from what tests and tools/newcomer.py execute;
`<!-- run: NAME -->` marks one that a test of its own executes.
"""

from __future__ import annotations

import dataclasses
import re
import shlex
from pathlib import Path

ROOT = Path(__file__).parents[1]
_FENCE = re.compile(
    r"(?:^<!-- (?P<mark>(?:not )?run): [^\n]*? -->\n)?^ *```(?P<language>\w*)\n(?P<text>.*?)^ *```$",
    re.DOTALL | re.MULTILINE,
)
_INDENTED = re.compile(r"(?:^ {4,}\S.*\n?)+", re.MULTILINE)
_SPAN = re.compile(r"`([^`\n]+)`")
OPERATORS = ("|", "||", "&", "&&", ";")


@dataclasses.dataclass(frozen=True)
class Block:
    """A fenced block: its language ("" for commands), its text, and the words "run" or "not run" above it."""

    page: Path
    language: str
    text: str
    mark: str


def markdown() -> list[Path]:
    """Returns README.md and all pages of docs/."""
    return [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]


def documents() -> list[Path]:
    """Returns every file with commands for users: Markdown, and the headers of recipes."""
    others = [ROOT / "CONTRIBUTING.md", *ROOT.glob("examples/*/README.md"), *ROOT.glob("benchmarks/*.md")]
    cards = ROOT.glob("codecs/codax/codec/models/*/README.md")
    return [*markdown(), *others, *sorted(cards), *sorted(ROOT.glob("configs/*.py"))]


def blocks(page: Path) -> list[Block]:
    """Returns the fenced blocks of a page."""
    return [
        Block(page, match["language"], match["text"], match["mark"] or "")
        for match in _FENCE.finditer(page.read_text(encoding="utf-8"))
    ]


def spans(page: Path) -> list[str]:
    """Returns the inline code of a page."""
    return _SPAN.findall(_FENCE.sub("", page.read_text(encoding="utf-8")))


def links(text: str) -> list[str]:
    """Returns the files that a text links to, without anchors and addresses."""
    return [path for path in re.findall(r"\]\(([^)\s#:]+)(?:#[^)\s]*)?\)", text) if path]


def command_texts(page: Path) -> list[str]:
    """Returns the texts of blocks of commands: fenced without a language, or indented."""
    text = page.read_text(encoding="utf-8")
    if page.suffix == ".py":
        text = text.split('"""')[1].replace("\\\\\n", "\\\n")
    fenced = [match["text"] for match in _FENCE.finditer(text) if match["language"] in ("", "sh")]
    return fenced + _INDENTED.findall(_FENCE.sub("", text))


def commands(text: str) -> list[list[str]]:
    """Splits a block into commands, each a list of words; redirections and comments are left out."""
    split = []
    for line in text.replace("\\\n", " ").splitlines():
        try:
            words = shlex.split(line, comments=True)
        except ValueError:  # an apostrophe of a sentence
            continue
        command: list[str] = []
        redirected = False
        for word in [*words, ";"]:
            if redirected or word in ("<", ">", ">>", "2>"):
                redirected = not redirected
            elif word in OPERATORS:
                split.append(command)
                command = []
            else:
                command.append(word)
    return [command for command in split if command]
