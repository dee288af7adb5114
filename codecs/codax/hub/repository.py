"""The files of a repository on the hub, in the cache of `huggingface_hub`.

The first use of a revision asks the hub for its commit and its list of files. From then on the cache has both, so that
the revision means that commit, and no request is made for files that are in the cache, until `refresh`.
"""

from __future__ import annotations

import glob
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from codax.hub.failures import HubError, reported
from codax.hub.names import HubName
from codax.runtime import messages
from codax.storage.digests import file_sha256

_LARGE = 1_000_000  # bytes whose download is worth a line
_DIGEST_LENGTH = 64  # large files in the cache are named by their SHA-256 in hexadecimal


class Repository:
    """A commit of a repository.

    Attributes:
      name: the repository with the revision that the user gave.
      sizes: bytes of each file by its name.
    """

    def __init__(self, name: HubName, *, refresh: bool = False) -> None:
        """Looks the revision up in the cache; on the hub if the cache does not have it, or with `refresh`.

        Raises:
          HubError: no such repository or revision, no access, or no connection.
        """
        self.name, self.sizes, self._commit = name, {}, ""
        with reported(name) as hub:
            from huggingface_hub.errors import (
                CachedRepoTreeNotFoundError,
                LocalEntryNotFoundError,
                RevisionResolutionError,
            )

            if refresh:
                hub.HfApi().repo_info(name.repo, revision=name.revision)  # `resolve_revision` would use the cache
            else:
                try:
                    self._resolve(hub, cached=True)
                    return
                except (CachedRepoTreeNotFoundError, LocalEntryNotFoundError, RevisionResolutionError):
                    pass
            self._resolve(hub, cached=False)

    def _resolve(self, hub: Any, *, cached: bool) -> None:
        from huggingface_hub.errors import CachedRepoTreeNotFoundError

        repo = self.name.repo
        revision = hub.HfApi().resolve_revision(repo, revision=self.name.revision, local_files_only=cached)
        # Stores the list of files, and takes none of them.
        folder = hub.snapshot_download(repo, revision=revision, allow_patterns=[], local_files_only=cached)
        self._commit = revision.resolved
        try:
            self.sizes = {file.path: file.size for file in hub.get_cached_repo_tree(repo, revision=revision)}
        except CachedRepoTreeNotFoundError:
            if cached:
                raise
            # No connection, and another program has filled the cache without a list.
            files = [path for path in Path(folder).rglob("*") if path.is_file()]
            self.sizes = {path.relative_to(folder).as_posix(): path.stat().st_size for path in files}

    def get(self, files: Iterable[str]) -> Path:
        """Returns the folder of the commit, in which these files are; those that are not in the cache are downloaded.

        Raises:
          HubError: no access or connection, the disk is full, or a file does not have the hub's SHA-256.
        """
        names = list(files)
        options: dict[str, Any] = {"revision": self._commit, "allow_patterns": [glob.escape(name) for name in names]}
        with reported(self.name, bars=True) as hub:
            from huggingface_hub.errors import LocalEntryNotFoundError

            try:
                return Path(hub.snapshot_download(self.name.repo, local_files_only=True, **options))
            except LocalEntryNotFoundError:
                pass
            size = sum(self.sizes[name] for name in names)
            (messages.note if size >= _LARGE else messages.detail)(f"{self.name}: downloading {size / 1e6:.1f} MB")
            folder = Path(hub.snapshot_download(self.name.repo, **options))
        for name in names:
            self._check(folder / name, name)
        return folder

    def _check(self, path: Path, name: str) -> None:
        blob = Path(os.path.realpath(path))
        if len(blob.name) == _DIGEST_LENGTH and file_sha256(blob) != blob.name:
            blob.unlink()
            path.unlink()
            raise HubError(f"{self.name}: {name} was damaged on its way, it does not have the hub's SHA-256")


def is_cached(name: HubName) -> bool:
    """Whether the cache has a repository of this name."""
    try:
        from huggingface_hub import constants
    except ImportError:
        return False
    return (Path(constants.HF_HUB_CACHE) / f"models--{name.repo.replace('/', '--')}").is_dir()
