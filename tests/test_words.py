"""The retired phrases and names of CONTRIBUTING.md ("Vocabulary") do not come back."""

from __future__ import annotations

import ast
import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]

PHRASES = (
    r"so many",
    r"anew",
    r"at hand",
    r"by (?:itself|themselves)",
    r"of which",
    r"(?:go|goes|gone|going|went) on",
    r"comes? and goe?s?",
    r"there and back",
    r"what is left",
    r"never heard",
    r"left (?:alone|in peace)",
    r"put (?:right|back)",
    r"(?:is|are) there already",
    r"(?:if|unless|until|where) (?:it|they|there) (?:is|are) there",
    r"can be had",
    r"have a part in",
    r"no number",
    r"for people",
    r"rates? of learning",
    r"(?:is|are) not there",
    r"whatever comes",
    r"to begin with",
    r"as it comes",
    r"(?:there|where|here)(?:of|in|upon|from)",
    r"whence|hitherto|lest|thither|aforesaid",
)
NAMES = {
    "again",
    "begun",
    "dog",
    "found",
    "gone",
    "judge",
    "nothing",
    "said",
    "shy",
    "slope",
    "stuff",
    "taken",
    "told",
    "wanted",
}
_PATTERN = re.compile(rf"\b(?:{'|'.join(PHRASES)})\b", re.IGNORECASE)


def _files(*suffixes: str) -> list[Path]:
    """The tracked files with these suffixes, without this one."""
    try:
        listing = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=True).stdout
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("not a git checkout")
    names = listing.decode().rstrip("\0").split("\0")
    return [ROOT / name for name in names if name.endswith(suffixes) and name != "tests/test_words.py"]


def _new_names(tree: ast.AST) -> list[tuple[int, str]]:
    """(line, name) of everything that a module assigns or defines."""
    return [
        (node.lineno, name)
        for node in ast.walk(tree)
        for name in (
            [node.id]
            if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)
            else [node.arg]
            if isinstance(node, ast.arg)
            else [node.name]
            if isinstance(node, ast.FunctionDef | ast.ClassDef)
            else []
        )
    ]


def test_retired_phrases() -> None:
    hits = []
    for path in _files(".py", ".md", ".ipynb"):
        # The list of these phrases is in CONTRIBUTING.md, between two comments.
        text = re.sub(
            r"<!-- retired -->.*?<!-- /retired -->", lambda m: "\n" * m[0].count("\n"), path.read_text(), flags=re.S
        )
        for match in _PATTERN.finditer(text):
            line = text.count("\n", 0, match.start()) + 1
            hits.append(f"{path.relative_to(ROOT)}:{line}: {match[0]!r}")
    assert not hits, "\n".join(hits)


def test_retired_names() -> None:
    hits = []
    for path in _files(".py"):
        for line, name in _new_names(ast.parse(path.read_text())):
            if name.strip("_") in NAMES:
                hits.append(f"{path.relative_to(ROOT)}:{line}: {name}")
    assert not hits, "\n".join(hits)
