"""Downloads and unpacks Debian packages with apt, without root and without installing anything.

`apt-get download` verifies packages against the signed package lists. If the machine has no lists (a fresh container)
or stale ones, they are downloaded to a private folder. Complete files are not downloaded again.
"""

from __future__ import annotations

import dataclasses
import io
import json
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from codax.errors import CodaxError
from codax.runtime.progress import Progress
from codax.storage.digests import file_sha256
from codax.storage.files import write_whole

_STATE = "packages.json"


@dataclasses.dataclass(frozen=True)
class Package:
    """A downloaded package; `sha256` is of the file."""

    name: str
    version: str
    path: Path
    sha256: str


@dataclasses.dataclass(frozen=True)
class _Candidate:
    version: str
    sha256: str
    size: int  # bytes


def have_client() -> bool:
    """Whether this machine can download Debian packages."""
    return shutil.which("apt-get") is not None and shutil.which("apt-cache") is not None


def fetch(names: Sequence[str], folder: Path) -> list[Package]:
    """Downloads packages into `folder`; complete ones are not downloaded again.

    Args:
      names: binary package names.
      folder: cache folder; created. Holds the .deb files and `packages.json` with their versions and checksums.

    Raises:
      CodaxError: no client, no network, unknown package, wrong checksum, full disk.
    """
    folder.mkdir(parents=True, exist_ok=True)
    state = _load_state(folder)
    packages = {name: package for name in names if (package := _cached(name, state, folder)) is not None}
    missing = [name for name in names if name not in packages]
    if missing:
        if not have_client():
            raise CodaxError(f"cannot download the Debian packages {', '.join(missing)}: apt-get is not installed")
        for name, package in _download(missing, folder, state):
            packages[name] = package
        for temporary in ("partial", "apt"):
            shutil.rmtree(folder / temporary, ignore_errors=True)
    return [packages[name] for name in names]


def _load_state(folder: Path) -> dict[str, dict[str, str]]:
    try:
        state = json.loads((folder / _STATE).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return state if isinstance(state, dict) else {}


def _cached(name: str, state: dict[str, dict[str, str]], folder: Path) -> Package | None:
    entry = state.get(name)
    if not isinstance(entry, dict) or not {"file", "version", "sha256"} <= entry.keys():
        return None
    path = folder / entry["file"]
    if not path.is_file() or file_sha256(path) != entry["sha256"]:
        return None
    return Package(name, entry["version"], path, entry["sha256"])


def _download(names: Sequence[str], folder: Path, state: dict[str, dict[str, str]]):
    """Yields (name, package) as downloads complete, and records each one in the state file."""
    options: list[str] = []
    candidates = {name: _candidate(name, options) for name in names}
    if not all(candidates.values()):
        options, candidates = _own_lists(names, folder)
    total = sum(candidate.size for candidate in candidates.values() if candidate)
    with Progress("download", total, unit="bytes") as progress:
        for name in names:
            candidate = candidates[name]
            assert candidate is not None
            try:
                path = _get(name, candidate, options, folder, progress)
            except CodaxError:
                if options:
                    raise
                options, fresh = _own_lists(names, folder)  # stale lists name files that mirrors have deleted
                candidate = fresh[name]
                assert candidate is not None
                path = _get(name, candidate, options, folder, progress)
            state[name] = {"file": path.name, "version": candidate.version, "sha256": candidate.sha256}
            write_whole(folder / _STATE, json.dumps(state, indent=1))
            yield name, Package(name, candidate.version, path, candidate.sha256)


def _get(name: str, candidate: _Candidate, options: list[str], folder: Path, progress: Progress) -> Path:
    """Downloads one package to a temporary folder and moves it to `folder` if its checksum is right."""
    partial = folder / "partial" / name
    partial.mkdir(parents=True, exist_ok=True)
    _run(["apt-get", "download", *options, name], cwd=partial, progress=progress)
    files = [path for path in partial.glob("*.deb") if path.stat().st_size == candidate.size]
    if not files or file_sha256(files[0]) != candidate.sha256:
        shutil.rmtree(partial, ignore_errors=True)
        raise CodaxError(f"Debian package {name}: the download is incomplete or has the wrong checksum")
    target = folder / files[0].name
    os.replace(files[0], target)
    shutil.rmtree(partial, ignore_errors=True)
    return target


def _own_lists(names: Sequence[str], folder: Path) -> tuple[list[str], dict[str, _Candidate | None]]:
    """Downloads package lists into `folder`; returns the apt options that use them, and the candidates of `names`."""
    root = folder / "apt"
    for part in ("state/lists/partial", "cache/archives/partial"):
        (root / part).mkdir(parents=True, exist_ok=True)
    options = ["-o", f"Dir::State={root / 'state'}", "-o", f"Dir::Cache={root / 'cache'}"]
    # Lists in a private folder need neither root nor apt's unprivileged user, who could not write there.
    user = os.environ.get("USER") or "root"
    options += ["-o", f"APT::Sandbox::User={'root' if os.geteuid() == 0 else user}", "-o", "Acquire::Languages=none"]
    status = Path("/var/lib/dpkg/status")
    if status.exists():
        options += ["-o", f"Dir::State::status={status}"]
    print("fetching Debian package lists", file=sys.stderr, flush=True)
    _run(["apt-get", "update", "-o", "APT::Update::Error-Mode=any", *options], cwd=root)
    candidates = {name: _candidate(name, options) for name in names}
    unknown = [name for name, candidate in candidates.items() if candidate is None]
    if unknown:
        raise CodaxError(
            f"the package lists of this machine do not have {', '.join(unknown)}; do its apt sources include 'main' "
            "(on Ubuntu: 'universe')?"
        )
    return options, candidates


def _candidate(name: str, options: list[str]) -> _Candidate | None:
    result = subprocess.run(
        ["apt-cache", "show", "--no-all-versions", *options, name],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "LC_ALL": "C"},
    )
    if result.returncode != 0:
        return None
    fields = dict(line.split(": ", 1) for line in result.stdout.splitlines() if ": " in line and line[0] != " ")
    if not {"Version", "SHA256", "Size"} <= fields.keys():
        return None
    return _Candidate(fields["Version"], fields["SHA256"], int(fields["Size"]))


def _run(command: list[str], cwd: Path, progress: Progress | None = None) -> None:
    """Runs apt; while it runs, advances `progress` by the bytes that appear in `cwd`."""
    network = ["-o", "Acquire::Retries=3", "-o", "Acquire::http::Timeout=60", "-o", "Acquire::https::Timeout=60"]
    with tempfile.TemporaryFile("w+") as output:
        try:
            process = subprocess.Popen(
                command + network,
                cwd=cwd,
                stdout=output,
                stderr=subprocess.STDOUT,
                stdin=subprocess.DEVNULL,
                env={**os.environ, "LC_ALL": "C"},
            )
        except OSError as error:
            raise CodaxError(f"{command[0]} cannot be started ({error})") from error
        seen = 0
        try:
            while process.poll() is None:
                time.sleep(0.1)
                if progress is not None:
                    size = sum(path.stat().st_size for path in cwd.glob("*") if path.exists())
                    progress.advance(max(0, size - seen))
                    seen = max(size, seen)
        except BaseException:
            process.terminate()
            process.wait()
            raise
        output.seek(0)
        lines = [line.strip() for line in output.read().splitlines()]
    if progress is not None:
        progress.advance(max(0, sum(path.stat().st_size for path in cwd.glob("*")) - seen))
    if process.returncode != 0:
        reasons = [line[2:].strip() for line in lines if line.startswith(("E:", "Err:"))] or lines[-1:]
        raise CodaxError(f"'{' '.join(command[:2])}' failed: {' '.join(reasons) or 'no output'}")


def unpack(package: Path, folder: Path) -> None:
    """Unpacks the files of a .deb into `folder`, which appears only when it is complete.

    Raises:
      CodaxError: damaged package, full disk.
    """
    partial = folder.with_name(f".{folder.name}.part")
    shutil.rmtree(partial, ignore_errors=True)
    try:
        partial.mkdir(parents=True)
        if shutil.which("dpkg-deb"):
            subprocess.run(["dpkg-deb", "-x", str(package), str(partial)], check=True, capture_output=True, text=True)
        else:
            unpack_with_python(package, partial)
        shutil.rmtree(folder, ignore_errors=True)
        os.replace(partial, folder)
    except subprocess.CalledProcessError as error:
        raise CodaxError(f"{package}: cannot be unpacked ({error.stderr.strip()})") from error
    except (OSError, tarfile.TarError, ValueError, EOFError) as error:
        raise CodaxError(f"{package}: cannot be unpacked ({error})") from error
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def unpack_with_python(package: Path, folder: Path) -> None:
    """Unpacks a .deb without dpkg: an `ar` archive with one `data.tar.*` member.

    Raises:
      ValueError: not a .deb, or compressed with a method that Python does not support.
    """
    with package.open("rb") as file:
        if file.read(8) != b"!<arch>\n":
            raise ValueError("not a Debian package")
        while header := file.read(60):
            if len(header) < 60 or header[58:] != b"`\n":
                raise ValueError("damaged archive")
            name, size = header[:16].decode("ascii", "replace").strip().rstrip("/"), int(header[48:58])
            if not name.startswith("data.tar"):
                file.seek(size + size % 2, io.SEEK_CUR)
                continue
            with tarfile.open(fileobj=io.BytesIO(file.read(size)), mode="r:*") as archive:
                archive.extractall(folder, filter="data")  # refuses paths and links that leave the folder
            return
    raise ValueError("holds no files")
