"""Alignment of heard words with the text."""

import random

import pytest
from codax.evaluation.words import align


def marked(reference, heard):
    return [(step.reference, step.heard, step.kind) for step in align(reference, heard)]


def test_each_kind():
    assert marked("Press the pound key, please.", "press a pound key now please") == [
        ("Press", "press", "hit"),
        ("the", "a", "substitution"),
        ("pound", "pound", "hit"),
        ("key,", "key", "hit"),
        ("", "now", "insertion"),
        ("please.", "please", "hit"),
    ]
    assert marked("one two - three", "One three") == [
        ("one", "One", "hit"),
        ("two", "", "deletion"),
        ("three", "three", "hit"),
    ]
    assert marked("Straße 4", "STRASSE vier")[1][2] == "substitution"


def test_empty_texts():
    assert align("", "") == []
    assert marked("", "so") == [("", "so", "insertion")]
    assert marked("so", " ... ") == [("so", "", "deletion")]


def test_long_texts_are_not_aligned():
    assert align("a " * 300, "b " * 300) is None


def test_errors_are_as_few_as_those_of_jiwer():
    jiwer = pytest.importorskip("jiwer")
    rng = random.Random(0)
    for _ in range(50):
        texts = [" ".join(rng.choices("abcd", k=rng.randint(1, 12))) for _ in range(2)]
        steps = marked(*texts)
        out = jiwer.process_words(*texts)
        assert sum(kind != "hit" for *_, kind in steps) == out.substitutions + out.deletions + out.insertions
        assert [" ".join(filter(None, words)) for words in list(zip(*steps, strict=True))[:2]] == texts
