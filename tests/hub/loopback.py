"""A hub on the loopback address: the Hugging Face hub's HTTP API, as far as `huggingface_hub` uses it for models."""

from __future__ import annotations

import base64
import contextlib
import dataclasses
import hashlib
import json
import re
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import unquote, urlsplit

LARGE = (".safetensors", ".pt", ".bin")  # stored by their SHA-256


@dataclasses.dataclass
class Repo:
    """A repository: the files of every commit, and the commits of branches and tags."""

    commits: dict[str, dict[str, bytes]] = dataclasses.field(default_factory=dict)
    refs: dict[str, str] = dataclasses.field(default_factory=dict)
    private: bool = False
    gated: bool = False

    def add(self, files: dict[str, bytes], ref: str = "main") -> str:
        """Commits the files on top of those of the ref; returns the commit."""
        whole = {**self.commits.get(self.refs.get(ref, ""), {}), **files}
        commit = hashlib.sha1(json.dumps([sorted(whole), len(self.commits)]).encode()).hexdigest()
        self.commits[commit], self.refs[ref] = whole, commit
        return commit


class Hub:
    """The server's state.

    Attributes:
      repos: by name.
      token: that reads private repositories and writes.
      requests: methods and paths so far.
      cut: paths of files whose next answer ends early, and the byte where it ends.
      garble: paths of files that arrive with a changed byte.
      created: the bodies of requests to create a repository.
    """

    def __init__(self) -> None:
        self.repos: dict[str, Repo] = {}
        self.token, self.requests, self.created = "secret", [], []
        self.cut: dict[str, int] = {}
        self.garble: set[str] = set()
        self.large: dict[str, bytes] = {}
        self.url = ""

    def files(self, repo: str, ref: str = "main") -> dict[str, bytes]:
        return self.repos[repo].commits[self.repos[repo].refs[ref]]


@contextlib.contextmanager
def serving(hub: Hub) -> Iterator[None]:
    """Serves the hub at `hub.url` in the block."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("Handler", (_Handler,), {"hub": hub}))
    server.daemon_threads = True
    hub.url = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    try:
        yield
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


class _Handler(BaseHTTPRequestHandler):
    hub: Hub

    def log_message(self, format: str, *args: Any) -> None:
        pass

    def do_GET(self) -> None:
        path = self._begin()
        if match := re.fullmatch(r"/api/models/([^/]+/[^/]+)(?:/revision/(.+))?", path):
            if known := self._commit(match[1], match[2] or "main"):
                self._json(
                    {
                        "id": match[1],
                        "modelId": match[1],
                        "sha": known[0],
                        "private": self.hub.repos[match[1]].private,
                        "tags": [],
                    }
                )
        elif match := re.fullmatch(r"/api/models/([^/]+/[^/]+)/tree/([^/]+)", path):
            if known := self._commit(match[1], match[2]):
                self._json([_entry(name, data) for name, data in sorted(known[1].items())])
        elif match := re.fullmatch(r"/([^/]+/[^/]+)/resolve/([^/]+)/(.+)", path):
            self._file(*match.groups())
        else:
            self._fail(404, "EntryNotFound", "no such page")

    def do_HEAD(self) -> None:
        self.do_GET()

    def do_POST(self) -> None:
        path, body = self._begin(), self.rfile.read(int(self.headers.get("Content-Length", 0)))
        if path == "/api/validate-yaml":
            self._json({"errors": [], "warnings": []})
        elif not self._has_token():
            self._fail(401, "", "Invalid username or password.")
        elif path == "/api/repos/create":
            self._create(json.loads(body))
        elif match := re.fullmatch(r"/api/models/([^/]+/[^/]+)/preupload/.+", path):
            files = json.loads(body)["files"]
            modes = [
                {"path": f["path"], "uploadMode": "lfs" if f["path"].endswith(LARGE) else "regular"} for f in files
            ]
            self._json({"files": [{**mode, "shouldIgnore": False, "oid": None} for mode in modes]})
        elif path.endswith(".git/info/lfs/objects/batch"):
            objects = json.loads(body)["objects"]
            action = {one["oid"]: {"upload": {"href": f"{self.hub.url}/large/{one['oid']}"}} for one in objects}
            self._json({"transfer": "basic", "objects": [{**one, "actions": action[one["oid"]]} for one in objects]})
        elif match := re.fullmatch(r"/api/models/([^/]+/[^/]+)/commit/(.+)", path):
            self._add(match[1], match[2], [json.loads(line) for line in body.splitlines()])
        else:
            self._fail(404, "EntryNotFound", "no such page")

    def do_PUT(self) -> None:
        data = (path := self._begin(), self.rfile.read(int(self.headers["Content-Length"])))[1]
        self.hub.large[path.removeprefix("/large/")] = data
        self._json({})

    def _begin(self) -> str:
        path = unquote(urlsplit(self.path).path)
        self.hub.requests.append(f"{self.command} {path}")
        return path

    def _has_token(self) -> bool:
        return self.headers.get("Authorization") == f"Bearer {self.hub.token}"

    def _commit(self, name: str, revision: str) -> tuple[str, dict[str, bytes]] | None:
        """The commit of a revision and its files; None after an answer that refuses."""
        repo = self.hub.repos.get(name)
        if repo is None or (repo.private and not self._has_token()):
            self._fail(404 if self._has_token() else 401, "RepoNotFound", "Repository not found")
        elif repo.refs.get(revision, revision) not in repo.commits:
            self._fail(404, "RevisionNotFound", f"Invalid rev id: {revision}")
        else:
            commit = repo.refs.get(revision, revision)
            return commit, repo.commits[commit]
        return None

    def _file(self, name: str, revision: str, path: str) -> None:
        if (known := self._commit(name, revision)) is None:
            return
        commit, files = known
        if self.hub.repos[name].gated:
            self._fail(403, "GatedRepo", "Access to this model is restricted.")
            return
        if path not in files:
            self._fail(404, "EntryNotFound", "Entry not found")
            return
        data, begin = files[path], 0
        if match := re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range", "")):
            begin = int(match[1])
        self.send_response(206 if begin else 200)
        self.send_header("X-Repo-Commit", commit)
        self.send_header("ETag", f'"{_entry(path, data).get("lfs", {"oid": _blob(data)})["oid"]}"')
        self.send_header("Content-Length", str(len(data) - begin))
        if begin:
            self.send_header("Content-Range", f"bytes {begin}-{len(data) - 1}/{len(data)}")
        self.end_headers()
        if self.command == "HEAD":
            return
        if path in self.hub.garble:
            data = data[:-1] + bytes([data[-1] ^ 1])
        end = self.hub.cut.pop(path, len(data))
        self.wfile.write(data[begin:end])
        self.close_connection = True

    def _create(self, about: dict[str, Any]) -> None:
        name = f"{about['organization']}/{about['name']}"
        self.hub.created.append(about)
        if about["organization"] == "others":
            return self._fail(403, "", 'You don\'t have the rights to create a model under the namespace "others".')
        if name in self.hub.repos:
            return self._json({"url": f"{self.hub.url}/{name}", "error": "You already created this model repo"}, 409)
        self.hub.repos[name] = Repo(private=about.get("visibility") == "private")
        self.hub.repos[name].add({})
        return self._json({"url": f"{self.hub.url}/{name}"})

    def _add(self, name: str, ref: str, lines: list[dict[str, Any]]) -> None:
        files = {
            one["value"]["path"]: base64.b64decode(one["value"]["content"]) for one in lines if one["key"] == "file"
        }
        files |= {one["value"]["path"]: self.hub.large[one["value"]["oid"]] for one in lines if one["key"] == "lfsFile"}
        commit = self.hub.repos[name].add(files, ref)
        self._json({"commitUrl": f"{self.hub.url}/{name}/commit/{commit}", "commitOid": commit})

    def _json(self, value: Any, status: int = 200) -> None:
        body = json.dumps(value).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def _fail(self, status: int, code: str, text: str) -> None:
        self.send_response(status)
        if code:
            self.send_header("X-Error-Code", code)
        self.send_header("X-Error-Message", text)
        self.send_header("Content-Length", "0")
        self.end_headers()


def _blob(data: bytes) -> str:
    """Git's name of a file's content."""
    return hashlib.sha1(b"blob %d\0" % len(data) + data).hexdigest()


def _entry(name: str, data: bytes) -> dict[str, Any]:
    entry: dict[str, Any] = {"type": "file", "path": name, "size": len(data), "oid": _blob(data)}
    if name.endswith(LARGE):
        entry["lfs"] = {"oid": hashlib.sha256(data).hexdigest(), "size": len(data), "pointerSize": 134}
    return entry
