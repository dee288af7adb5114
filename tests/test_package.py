"""The source distribution and the wheel: complete, of one version, and with the extras that messages and pages name."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import tarfile
import tomllib
import typing
import venv
import zipfile
from pathlib import Path

import codax
import pytest
from codax import errors

ROOT = Path(__file__).parents[1]
EXTRAS = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["optional-dependencies"]
BUILD = "import sys; from setuptools import build_meta; build_meta.build_sdist(sys.argv[1])"
PIP = ("-m", "pip", "--disable-pip-version-check", "--quiet")
OFFLINE = ("--no-deps", "--no-index")


@pytest.fixture(scope="module")
def tracked() -> list[str]:
    try:
        done = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("not a git checkout")
    return [name for name in done.stdout.rstrip("\0").split("\0") if (ROOT / name).is_file()]


@pytest.fixture(scope="module")
def built(tracked: list[str], tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """The source distribution of a copy of the checkout, and the wheel of that."""
    pytest.importorskip("setuptools", reason="setuptools is not installed")
    folder = tmp_path_factory.mktemp("package")
    for name in tracked:
        (folder / "checkout" / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, folder / "checkout" / name)
    run(sys.executable, "-c", BUILD, folder, cwd=folder / "checkout")
    (source,) = folder.glob("*.tar.gz")
    run(sys.executable, *PIP, "wheel", *OFFLINE, "--no-build-isolation", "-w", folder, source, cwd=folder)
    (wheel,) = folder.glob("*.whl")
    return source, wheel


def run(*command: object, cwd: Path) -> None:
    done = subprocess.run(list(map(str, command)), cwd=cwd, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_source_distribution_has_the_repository(built: tuple[Path, Path], tracked: list[str]) -> None:
    with tarfile.open(built[0]) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    assert [name for name in tracked if name not in names and not name.startswith(".")] == []


def test_the_wheel_has_every_file_of_the_package_and_the_recipes(built: tuple[Path, Path], tracked: list[str]) -> None:
    homes = {"codecs/": "", "configs/": "codax/recipes/"}
    expected = {home + name.removeprefix(start) for start, home in homes.items() for name in tracked if start in name}
    with zipfile.ZipFile(built[1]) as archive:
        names = {name for name in archive.namelist() if ".dist-info/" not in name}
    assert names == {name for name in expected if name.startswith("codax/")}


def test_the_version_is_that_of_the_package(built: tuple[Path, Path]) -> None:
    assert built[1].name.startswith(f"codax-{codax.__version__}-py3")
    assert f"\nversion: {codax.__version__}\n" in (ROOT / "CITATION.cff").read_text(encoding="utf-8")


@pytest.mark.nightly
def test_an_installed_wheel_codes_trains_and_evaluates(built: tuple[Path, Path], tmp_path: Path) -> None:
    """In an environment of its own, which reads the other packages from this one."""
    venv.create(tmp_path / "env")
    python = tmp_path / "env" / "bin" / "python"
    (site,) = (tmp_path / "env").glob("lib/python*/site-packages")
    paths = [path for path in sys.path if path.endswith(("site-packages", "dist-packages"))]
    (site / "others.pth").write_text("\n".join(paths), encoding="utf-8")
    run(sys.executable, *PIP, "--python", python, "install", *OFFLINE, "--ignore-installed", built[1], cwd=tmp_path)
    run(python, "-I", ROOT / "tests" / "first_use.py", tmp_path / "files", cwd=tmp_path)


def test_messages_name_extras_that_exist() -> None:
    """`codax.errors.install` makes every message that names an extra, with a name that the type checker knows."""
    assert set(typing.get_args(errors.Extra)) <= EXTRAS.keys()
    others = [
        path for path in (ROOT / "codecs").rglob("*.py") if re.search(r"pip install.*\[", path.read_text("utf-8"))
    ]
    assert others == [ROOT / "codecs" / "codax" / "errors.py"]


def test_the_command_of_a_message_installs_from_a_checkout_too(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    assert errors.install("wer") == f"pip install -e '{ROOT}[wer]'"
    monkeypatch.setattr(errors, "__file__", str(tmp_path / "site-packages" / "codax" / "errors.py"))
    assert errors.install("wer") == "pip install 'codax[wer]'"
    (tmp_path / "pyproject.toml").touch()  # of a project that has its packages in a folder of its own
    assert errors.install("wer") == "pip install 'codax[wer]'"


def test_pages_name_extras_that_exist() -> None:
    pages = [ROOT / "Makefile", *ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")]
    pages += [path for name in ("benchmarks", "examples", "tests") for path in (ROOT / name).rglob("*.*")]
    named = set()
    for path in pages:
        if path.suffix in ("", ".md", ".py", ".ipynb"):
            text = path.read_text(encoding="utf-8")
            named |= {
                extra
                for names in re.findall(r"['\"](?:codax|\.)\[([a-z,]+)\]['\"]", text)
                for extra in names.split(",")
            }
    assert {"wer", "tpu", "hub"} <= named <= EXTRAS.keys()
