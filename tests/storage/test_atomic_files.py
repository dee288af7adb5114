"""Files that appear whole or not at all, and the cache folder."""

import os
from pathlib import Path

import pytest
from codax.errors import CodaxError
from codax.storage import files


def test_the_old_file_is_replaced_and_readable_as_the_umask_says(tmp_path):
    target = tmp_path / "note.json"
    target.write_text("old")
    before = os.umask(0o027)
    try:
        files.write_whole(target, "nèw")
    finally:
        os.umask(before)
    assert target.read_bytes() == "nèw".encode()
    assert target.stat().st_mode & 0o777 == 0o640
    assert os.listdir(tmp_path) == ["note.json"]


def test_a_failure_leaves_the_old_file_and_nothing_else(tmp_path, monkeypatch):
    target = tmp_path / "note.json"
    target.write_text("old")

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", full)
    with pytest.raises(OSError, match="No space"):
        files.write_whole(target, b"new")
    assert target.read_text() == "old" and os.listdir(tmp_path) == ["note.json"]


def test_a_part_refuses_what_is_not_a_file_and_follows_links(tmp_path):
    with pytest.raises(CodaxError, match="not a regular file"):
        files.open_part(tmp_path, CodaxError)
    with pytest.raises(CodaxError, match="does not exist"):
        files.open_part(tmp_path / "absent" / "x", CodaxError)
    (tmp_path / "link").symlink_to(tmp_path / "real")
    part = files.open_part(tmp_path / "link", CodaxError)
    part.publish()
    part.discard()  # of what has its name already: nothing happens
    assert (tmp_path / "link").is_symlink() and (tmp_path / "real").is_file()
    files.write_whole(tmp_path / "link", "new")
    assert (tmp_path / "link").is_symlink() and (tmp_path / "real").read_text() == "new"


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="Linux tells the mask there")
def test_the_mask_of_new_files_is_read_without_changing_it(monkeypatch):
    monkeypatch.setattr(os, "umask", lambda _: pytest.fail("the mask was changed for all threads"))
    files.file_mask()


def test_cache_folder(monkeypatch):
    monkeypatch.setenv("CODAX_CACHE", "~/elsewhere")
    assert files.cache_folder() == Path.home() / "elsewhere"
    assert files.cache_folder("here") == Path("here")
    monkeypatch.delenv("CODAX_CACHE")
    assert files.cache_folder() == Path.home() / ".cache" / "codax"
    monkeypatch.setattr(os.path, "expanduser", lambda path: path)  # of a user without a home directory
    with pytest.raises(CodaxError, match=r"^~/\.cache/codax: there is no such home directory"):
        files.cache_folder()
