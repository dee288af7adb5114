"""Which Python `make install` takes, of those on PATH and of pyenv's and uv's."""

import subprocess
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[1] / "tools" / "newest_python.sh"
RUNS = "#!/bin/sh\nexit 0\n"
FAILS = "#!/bin/sh\nexit 1\n"  # a shim of a version that is not chosen, or a Python without ensurepip


def put(path: Path, text: str = RUNS, mode: int = 0o755) -> str:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    path.chmod(mode)
    return str(path)


def actual(home: Path, *versions: str, **environment: str) -> subprocess.CompletedProcess[str]:
    env = {"HOME": str(home), "PATH": f"{home / 'shims'}:{home / 'bin dir'}"} | environment
    command = ["/bin/sh", str(SCRIPT), *versions]
    return subprocess.run(command, env=env, capture_output=True, text=True, check=False)


@pytest.mark.parametrize(
    "place", ["bin dir", ".pyenv/versions/3.13.0/bin", ".local/share/uv/python/cpython-3.13.1-linux/bin"]
)
def test_one_that_runs_is_found(tmp_path: Path, place: str) -> None:
    put(tmp_path / "shims" / "python3.13", FAILS)
    put(tmp_path / "bin dir" / "python3.12")
    expected = put(tmp_path / place / "python3.13")
    assert actual(tmp_path, "3.13", "3.12").stdout == expected + "\n"


def test_an_older_one_is_taken_where_the_newer_does_not_run(tmp_path: Path) -> None:
    put(tmp_path / "shims" / "python3.13", FAILS)
    put(tmp_path / "bin dir" / "python3.13", mode=0o644)
    expected = put(tmp_path / "bin dir" / "python3.12")
    assert actual(tmp_path, "3.13", "3.12").stdout == expected + "\n"
    assert actual(tmp_path, "3.12", "3.13").stdout == expected + "\n"


def test_other_folders_of_pyenv_and_uv(tmp_path: Path) -> None:
    pyenv = put(tmp_path / "a" / "versions" / "3.13.9" / "bin" / "python3.13")
    uv = put(tmp_path / "b" / "cpython-3.12" / "bin" / "python3.12")
    folders = {"PYENV_ROOT": str(tmp_path / "a"), "UV_PYTHON_INSTALL_DIR": str(tmp_path / "b")}
    assert actual(tmp_path, "3.13", "3.12", **folders).stdout == pyenv + "\n"
    assert actual(tmp_path, "3.12", "3.13", **folders).stdout == uv + "\n"


def test_none_is_one_line(tmp_path: Path) -> None:
    put(tmp_path / "shims" / "python3.13", FAILS)
    done = actual(tmp_path, "3.13", "3.12")
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (1, "", 1)
    assert "make PYTHON=" in done.stderr
