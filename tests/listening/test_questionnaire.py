"""Questions of a test: a file sets them, the page and the manifest have them, and impossible ones are refused."""

import json
import re

import pytest
from codax.errors import CodaxError
from codax.listening.build import Plan, build
from codax.listening.manifest import read_manifest
from codax.listening.material import Rules
from codax.listening.questionnaire import DEFAULT, read_questions
from command import run  # noqa: F401  (a fixture)
from excerpts import systems_of

AGE = {"id": "age", "question": "Your age", "kind": "number", "optional": True}
ROOM = {"id": "room", "question": "The room is", "choices": ["quiet", "noisy"]}


def test_the_page_and_the_manifest_have_the_questions(material, tmp_path, run):  # noqa: F811
    (tmp_path / "q.json").write_text(json.dumps([AGE, ROOM]))
    systems = [f"{name}={folder}" for name, folder in systems_of(material).items()]
    arguments = ("mushra", "build", "--reference", material / "ref", *systems, "--out", tmp_path / "t")
    assert run(*arguments, "--questionnaire", tmp_path / "q.json")[0] == 0
    assert read_manifest(tmp_path / "t" / "manifest.json").questions == ("age", "room")
    page = (tmp_path / "t" / "index.html").read_text()
    content = json.loads(re.search(r'id="content">(.*?)</script>', page)[1])  # pyright: ignore[reportOptionalSubscript]
    assert content["questions"] == [AGE, ROOM]
    status, _, error = run(*arguments, "--overwrite", "--questionnaire", tmp_path / "none.json")
    assert (status, error.count("\n")) == (1, 1) and "none.json: not a readable questionnaire" in error


def test_no_question_names_a_system(material, tmp_path):
    plan = Plan(questions=[{"id": "x", "question": "Which is best", "choices": ["SecretOne", "another"]}])
    with pytest.raises(CodaxError, match="--questionnaire: names system secretone"):
        build(material / "ref", systems_of(material), tmp_path / "t", plan, Rules())


@pytest.mark.parametrize(
    ("questions", "reason"),
    [
        ({}, "must be a list of at most 40 questions"),
        ([AGE] * 41, "must be a list of at most 40 questions"),
        (["age"], "question 1: must be an object"),
        ([ROOM, AGE | {"type": "number"}], "question 2: unknown field 'type'"),
        ([AGE | {"id": "My age"}], "question 1: id 'My age'; must be of letters"),
        ([AGE | {"id": "listener"}], "question 1: id listener: the table of ratings has a column of this name"),
        ([AGE | {"id": "rating_score"}], "question 1: id rating_score: the table of ratings has a column"),
        ([AGE | {"question": " "}], "question 1: question must be a text"),
        ([AGE | {"question": "x" * 501}], "question 1: question must be a text"),
        ([AGE | {"optional": "no"}], "question 1: optional must be true or false"),
        ([AGE | ROOM], "question 1: must have either choices or kind"),
        ([{"id": "a", "question": "b"}], "question 1: must have either choices or kind"),
        ([AGE | {"kind": "date"}], "question 1: kind 'date'; must be text or number"),
        ([ROOM | {"choices": ["quiet"]}], "question 1: choices must be 2 to 40 texts"),
        ([ROOM | {"choices": ["quiet", 1]}], "question 1: choices must be 2 to 40 texts"),
        ([ROOM, AGE, ROOM], "the id room occurs twice"),
    ],
)
def test_impossible_questions(tmp_path, questions, reason):
    path = tmp_path / "q.json"
    path.write_text(json.dumps(questions))
    with pytest.raises(CodaxError, match=f"q.json: {reason}"):
        read_questions(path)


def test_valid_questions(tmp_path):
    path = tmp_path / "q.json"
    for questions in ([], [AGE, ROOM], DEFAULT):
        path.write_text(json.dumps(questions))
        assert read_questions(path) == questions
