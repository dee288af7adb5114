"""JSON from outside: what is refused, in little time and memory, and that no module reads it in another way."""

import ast
import re
from pathlib import Path

import pytest
from codax.errors import CodaxError, shown
from codax.storage import strict_json

ROOT = Path(__file__).parents[2]
# Modules that also read JSON which codax itself wrote: caches, journals, logs and the state of unfinished work.
OWN = {
    "data/shards/parts.py", "data/shards/plan.py", "data/sources/scan.py", "data/starter/corpus.py",
    "data/starter/debian.py", "evaluation/journal.py", "metrics/recognizers.py", "storage/tensors.py",
    "training/checkpoints.py", "training/logs.py",
}  # fmt: skip


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ('{"a": [1, {"b": NaN}]}', "NaN is not a number of JSON"),
        ('{"a": -Infinity}', "'a': -Infinity is not a number of JSON"),
        ('{"rate": [1, 1e999]}', "'rate': the number 1e999 is too large"),
        ('{"rate": ' + "9" * 5000 + "}", "'rate': a number of more than 100 characters"),
        ('{"rate": 0.' + "9" * 5000 + "}", "a number of more than 100 characters"),
        ("[" * 100_000, "nested deeper than 64 levels"),
        ('{"a":' * 100_000, "nested deeper than 64 levels"),
        ("[" * 65 + "]" * 65, "nested deeper than 64 levels"),
        ('{"a": 1, "b": 2, "a": 1}', "the key 'a' occurs twice"),
        ('{"a": "\\ud800.wav"}', "a lone surrogate"),
        ('{"\\uDFFF": 1}', "a lone surrogate"),
        (b'{"a": "\xff"}', "not text in UTF-8"),
        (b'"\xed\xa0\x80"', "not text in UTF-8"),
        ('"' + '\\"' * 200_000, "Unterminated string"),
        ("", "Expecting value"),
        ("[1] 2", "Extra data"),
        (" " * ((1 << 24) + 1), "longer than 16777216 bytes"),
    ],
)
def test_what_is_refused(text, reason):
    with pytest.raises(strict_json.JSONError, match=re.escape(reason)) as caught:
        strict_json.parse(text)
    assert "\n" not in str(caught.value) and len(str(caught.value)) < 200


def test_valid_texts_are_read():
    assert strict_json.parse(b'\xef\xbb\xbf {"a": [1, -2.5e3, true, null, "\\u00e9 \\ud83d\\ude00 \\\\ud800"]} ') == {
        "a": [1, -2500.0, True, None, "é 😀 \\ud800"]
    }
    assert strict_json.parse("[" * 64 + "]" * 64)
    assert strict_json.parse('["' + "[" * 1000 + '"]') == ["[" * 1000]  # brackets in strings do not nest
    assert strict_json.parse('"half \\ud800"', surrogates=True) == "half \ud800"


def test_files(tmp_path):
    path = tmp_path / "a.json"
    for content, reason in ((b"[]", "expected an object, got a list"), (b"{", "Expecting property name")):
        path.write_bytes(content)
        with pytest.raises(CodaxError, match=rf"a\.json: not a readable note \({reason}"):
            strict_json.read_object(path, "note")
    with path.open("wb") as file:
        file.truncate(1 << 40)
    for name, reason in (("a.json", "longer than"), ("b.json", "No such file"), (".", "not a regular file")):
        with pytest.raises(CodaxError, match=reason):
            strict_json.read(tmp_path / name, "note")
    with pytest.raises(CodaxError, match="not a regular file"):
        strict_json.read("/dev/zero", "note")


def test_whole_numbers():
    assert [strict_json.whole(value, 0, 10) for value in (3, 3.0, "3", " 3e0 ", 0, 10)] == [3, 3, 3, 3, 0, 10]
    for value in (-1, 11, 2.5, "2.5", float("nan"), "nan", "inf", "1e400", "9" * 5000, True, None, [1], "x", 10**400):
        with pytest.raises(ValueError, match="must be|could not convert"):
            strict_json.whole(value, 0, 10)


def test_values_in_messages_are_short():
    assert shown({"a": (1, "b")}) == "{'a': (1, 'b')}"
    assert len(shown([["x" * 10_000] * 10_000] * 10_000)) < 210


def test_no_module_has_a_parser_of_its_own():
    sources = {str(path.relative_to(ROOT / "codecs/codax")): path for path in (ROOT / "codecs").rglob("*.py")}
    sources |= {str(path.relative_to(ROOT)): path for path in (ROOT / "examples").rglob("*.py")}
    parsing = set()
    for name, path in sources.items():
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Attribute) and ast.unparse(node) in ("json.load", "json.loads", "json.JSONDecoder"):
                parsing.add(name)
    assert parsing == OWN | {"storage/strict_json.py"}
