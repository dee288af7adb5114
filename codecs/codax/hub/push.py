"""Uploads to the hub."""

from __future__ import annotations

from collections.abc import Mapping

from codax.hub.failures import HubError, reported
from codax.hub.names import parse


def checked_repo(name: str) -> str:
    """Returns "owner/name". Raises HubError if the name has another form."""
    parts = parse(name)
    if parts is None or parts.path or parts.revision:
        raise HubError(f"{name}: not the name of a repository: expected USER/NAME")
    return parts.repo


def upload(repo: str, files: Mapping[str, bytes], *, private: bool = False, message: str = "") -> str:
    """Writes files into a repository in one commit, and creates it if it does not exist; returns its address.

    Raises:
      HubError: no token, no right to write there, no connection, or a public repository for private files. The
        repository then has its earlier commit.
    """
    with reported(repo, bars=True) as hub:
        api = hub.HfApi()
        address = api.create_repo(repo, private=private or None, exist_ok=True)
        if private and not api.repo_info(repo).private:  # the hub ignores `private` for an existing repository
            raise HubError(f"{repo}: exists and is public; make it private on its page, or leave out --private")
        operations = [hub.CommitOperationAdd(path_in_repo=name, path_or_fileobj=data) for name, data in files.items()]
        api.create_commit(repo, operations, commit_message=message or "Upload a model of codax")
    return str(address)
