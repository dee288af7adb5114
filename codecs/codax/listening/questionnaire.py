"""The questions that a listener answers before the test, from a JSON file; the page draws them."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from codax.errors import CodaxError, shown
from codax.listening.results import RESERVED
from codax.storage import strict_json

MOST = 40  # questions of a test, and choices of a question
MOST_CHARACTERS = 500  # of a text
KINDS = ("text", "number")
_ID = re.compile(r"[a-z][a-z0-9_]{0,39}")
DEFAULT: list[dict[str, Any]] = [
    {
        "id": "playback",
        "question": "You listen with",
        "choices": ["closed headphones", "open headphones", "in-ear headphones", "loudspeakers", "something else"],
    },
    {
        "id": "experience",
        "question": "Listening tests that you took part in",
        "choices": ["none", "1 to 5", "more than 5"],
    },
]


def read_questions(path: Path) -> list[dict[str, Any]]:
    """Reads a list of questions: each has `id`, `question`, and `choices` or `kind`; `optional` is true or false.

    Raises:
      CodaxError: naming the file, the question and the reason.
    """
    questions = strict_json.read(path, "questionnaire")
    if not isinstance(questions, list) or len(questions) > MOST:
        raise CodaxError(f"{path}: must be a list of at most {MOST} questions")
    for number, question in enumerate(questions, 1):
        try:
            _check(question)
        except ValueError as error:
            raise CodaxError(f"{path}: question {number}: {error}") from error
    names = [question["id"] for question in questions]
    for name in names:
        if names.count(name) > 1:
            raise CodaxError(f"{path}: the id {name} occurs twice")
    return questions


def texts(questions: list[dict[str, Any]]) -> list[str]:
    """Everything that a listener reads of the questions."""
    return [text for question in questions for text in (question["question"], *question.get("choices", ()))]


def _check(question: Any) -> None:
    """Raises ValueError if a question cannot be asked."""
    if not isinstance(question, dict):
        raise ValueError("must be an object")
    if unknown := sorted(question.keys() - {"id", "question", "choices", "kind", "optional"}):
        raise ValueError(f"unknown field {shown(unknown[0])}")
    name = question.get("id")
    if not isinstance(name, str) or not _ID.fullmatch(name):
        raise ValueError(f"id {shown(name)}; must be of letters a to z, digits and _, and begin with a letter")
    if name in RESERVED:
        raise ValueError(f"id {name}: the table of ratings has a column of this name")
    if not _is_text(question.get("question")):
        raise ValueError(f"question must be a text of 1 to {MOST_CHARACTERS} characters")
    if not isinstance(question.get("optional", False), bool):
        raise ValueError("optional must be true or false")
    if ("choices" in question) == ("kind" in question):
        raise ValueError(f"must have either choices or kind ({' or '.join(KINDS)})")
    if "kind" in question and question["kind"] not in KINDS:
        raise ValueError(f"kind {shown(question['kind'])}; must be {' or '.join(KINDS)}")
    choices = question.get("choices", ["a", "b"])
    if not isinstance(choices, list) or not 2 <= len(choices) <= MOST or not all(map(_is_text, choices)):
        raise ValueError(f"choices must be 2 to {MOST} texts")


def _is_text(value: object) -> bool:
    return isinstance(value, str) and bool(value.strip()) and len(value) <= MOST_CHARACTERS
