"""checksums.json of a checkpoint, also when it is not what codax writes."""

import pytest
from codax.training import checksums


def test_what_is_damaged_is_named(tmp_path):
    (tmp_path / "a").write_text("a")
    assert checksums.problem(tmp_path) == ""
    checksums.write(tmp_path)
    assert checksums.problem(tmp_path) == ""
    (tmp_path / "a").write_text("b")
    assert checksums.problem(tmp_path) == "a is damaged"
    (tmp_path / "a").unlink()
    assert checksums.problem(tmp_path) == "a is missing"


@pytest.mark.parametrize(
    "content", [b"[]", b"[" * 100_000, b'{"a": NaN}', b'{"a": "\\ud800"}', b'{"a": 1, "a": 2}', b"\xff", b"", b"7"]
)
def test_checksums_that_are_none(tmp_path, content):
    (tmp_path / checksums.FILE).write_bytes(content)
    assert checksums.problem(tmp_path) == "checksums.json is damaged"


def test_files_that_were_never_there_are_missing(tmp_path):
    (tmp_path / checksums.FILE).write_text('{"../../etc/passwd": 7}')
    assert checksums.problem(tmp_path) == "../../etc/passwd is missing"
