"""`codax mushra serve`: the page is read, results are stored, and nothing else is read or written."""

import errno
import http.client
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
from codax.errors import CodaxError
from codax.listening import inbox, server
from codax.listening.analysis import analyze
from codax.listening.build import Plan, build
from codax.listening.manifest import read_manifest
from codax.listening.material import Rules
from codax.listening.results import parse_result
from codax.listening.server import Server
from command import run  # noqa: F401  (a fixture)
from excerpts import result_of, systems_of, write_material

SCORES = {"reference": 100.0, "anchor35": 20.0, "anchor70": 40.0, "secretone": 80.0, "secrettwo": 60.0}
JSON = {"Content-Type": "application/json"}


@pytest.fixture(scope="module")
def built(tmp_path_factory) -> Path:
    """One test for all of this file, which changes nothing in it."""
    folder = tmp_path_factory.mktemp("material")
    write_material(folder / "material")
    build(folder / "material" / "ref", systems_of(folder / "material"), folder / "test", Plan(listeners=8), Rules())
    return folder / "test"


@pytest.fixture
def served(built, tmp_path) -> Iterator[Server]:
    lines: list[str] = []
    with Server(built, tmp_path / "results", ("127.0.0.1", 0), lines.append) as running:
        running.lines = lines  # pyright: ignore[reportAttributeAccessIssue]
        thread = threading.Thread(target=running.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield running
        running.shutdown()
        thread.join()


def ask(served: Server, method: str, path: str, body: bytes | None = None, headers=JSON) -> tuple[int, bytes]:
    connection = http.client.HTTPConnection("127.0.0.1", served.server_address[1], timeout=20)
    connection.request(method, path, body, headers)
    answer = connection.getresponse()
    return answer.status, answer.read()


def no_thread(_: object) -> None:
    raise RuntimeError("can't start new thread")


def full_disk(_: object) -> None:
    raise OSError(errno.ENOSPC, "No space left on device")


def content(built: Path, tmp_path: Path, listener: int = 1, session: str = "a" * 32, trials: int = 5) -> dict:
    """A result as the page sends it after some trials."""
    made = json.loads(result_of(built, listener, SCORES, tmp_path / "made.json").read_text())
    return made | {"session": session, "trials": made["trials"][:trials]}


def send(served: Server, result: dict) -> tuple[int, bytes]:
    return ask(served, "POST", "/results", json.dumps(result).encode())


def test_results_are_stored_and_analysed(served, built, tmp_path):
    for listener in (1, 2):
        for trials in (1, 5, 3):  # the last one comes late
            result = content(built, tmp_path, listener, f"{listener}" * 32, trials)
            assert send(served, result) == (200, b"stored\n")
    names = sorted(path.name for path in (tmp_path / "results").iterdir())
    assert names == [f"listener1-{'1' * 32}.json", f"listener2-{'2' * 32}.json"]
    analysis = analyze([tmp_path / "results"], served.manifest, tmp_path / "out", screening="none")
    assert analysis.overall["secretone"].n == 10
    assert served.lines[:2] == ["listener 1: 1 of 5 trials", "listener 1: 5 of 5 trials"]


def test_the_page_and_its_audio_are_served(material, tmp_path):
    build(material / "ref", systems_of(material), tmp_path / "side", Plan(embed=False), Rules())
    with Server(tmp_path / "side", tmp_path / "results", ("127.0.0.1", 0)) as running:
        threading.Thread(target=running.serve_forever, daemon=True).start()
        for path in ("/", "/index.html", "/?listener=3"):
            status, page = ask(running, "GET", path)
            assert status == 200 and b'<meta name="results" content="results">' in page
        name = next(iter((tmp_path / "side" / "audio").iterdir())).name
        assert ask(running, "GET", f"/audio/{name}") == (200, (tmp_path / "side" / "audio" / name).read_bytes())
        running.shutdown()


@pytest.mark.parametrize(
    "path",
    [
        *("/manifest.json", "/results", "/results/", "/audio/", "/audio/../manifest.json", "/../test/manifest.json"),
        *(
            "//etc/passwd",
            "/%6danifest.json",
            "/index.html/../manifest.json",
            "/audio/..%2fmanifest.json",
            "manifest.json",
        ),
        *(
            f"/results/listener1-{'a' * 32}.json",
            "http://127.0.0.1/manifest.json",
            "/audio/00000000.js",
            "/\\manifest.json",
        ),
    ],
)
def test_nothing_else_can_be_read(served, built, tmp_path, path):
    send(served, content(built, tmp_path))
    status, body = ask(served, "GET", path)
    assert (status, body) == (404, b"no such file\n")


def test_no_listener_replaces_the_result_of_another(served, built, tmp_path):
    first = content(built, tmp_path)
    assert send(served, first)[0] == 200
    kept = (tmp_path / "results" / f"listener1-{'a' * 32}.json").read_bytes()
    assert send(served, content(built, tmp_path, 1, "b" * 32))[0] == 200  # the same number in another browser
    status, body = send(served, content(built, tmp_path, 2, "a" * 32))
    assert (status, body) == (400, b"result: this session belongs to another listener\n")
    assert send(served, content(built, tmp_path, 1, trials=2))[0] == 200  # fewer trials than stored
    assert (tmp_path / "results" / f"listener1-{'a' * 32}.json").read_bytes() == kept
    assert len(list((tmp_path / "results").iterdir())) == 2


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda c: c.update(session="../../x"), "the session is not one that the page makes"),
        (lambda c: c.update(listener="../x"), "the listener's number must be 1 to 8"),
        (lambda c: c.update(listener=9), "the listener's number must be 1 to 8"),
        (lambda c: c.update(test="0"), "belongs to test 0"),
        (lambda c: c.update(trials=[]), "no trial was finished"),
        (lambda c: c["trials"][0]["ratings"][0].update(score=101), "score 101"),
        (lambda c: c["trials"][0]["ratings"].pop(), "lacks a rating of 1 signals"),
        (lambda c: c.update(questionnaire={"x": "y"}), "answers to questions that the page does not ask"),
        (lambda c: c.update(questionnaire={"rating_score": "y"}), "the question rating_score has the name of another"),
    ],
)
def test_results_are_checked(served, built, tmp_path, change, reason):
    result = content(built, tmp_path)
    change(result)
    status, body = send(served, result)
    assert status == 400 and body.startswith(b"result: ") and reason.encode() in body and body.count(b"\n") == 1
    assert list((tmp_path / "results").iterdir()) == []


@pytest.mark.parametrize(
    ("headers", "body", "status"),
    [
        ({"Content-Type": "text/plain"}, b"{}", 415),
        (JSON | {"Content-Length": "-1"}, None, 411),
        (JSON | {"Content-Length": "9" * 11}, None, 413),
        (JSON | {"Content-Length": "9" * 60}, None, 411),
        (JSON, b"[" * 100_000, 400),
        (JSON, b"[]", 400),
        (JSON, b"\xff", 400),
        (JSON, b'{"format": NaN}', 400),
    ],
)
def test_requests_are_checked(served, tmp_path, headers, body, status):
    actual, text = ask(served, "POST", "/results", body, headers)
    assert actual == status and text.count(b"\n") == 1
    assert ask(served, "POST", "/other", b"{}")[0] == 404
    assert ask(served, "PUT", "/results", b"{}")[0] == 501
    assert list((tmp_path / "results").iterdir()) == []


def test_slow_and_many_clients_are_bounded(monkeypatch, built, tmp_path):
    monkeypatch.setattr(server, "_SECONDS", 0.2)
    monkeypatch.setattr(server, "_MOST_REQUESTS", 2)
    with Server(built, tmp_path / "results", ("127.0.0.1", 0)) as running:
        threading.Thread(target=running.serve_forever, daemon=True).start()
        slow = [socket.create_connection(running.server_address[:2], timeout=20) for _ in range(3)]
        # The third client gets no thread; the others run into the time limit.
        slow[0].sendall(b"POST /results HTTP/1.1\r\nContent-Type: application/json\r\nContent-Length: 99\r\n\r\n{")
        slow[1].sendall(b"GET / HT")
        replies = []
        for client in slow:
            try:
                replies.append(client.recv(1000))
            except ConnectionResetError:
                replies.append(b"")
            client.close()
        assert replies[2] == b"" and all(b"stored" not in reply for reply in replies)
        assert ask(running, "GET", "/")[0] == 200
        running.shutdown()


def test_the_number_of_sessions_is_bounded(monkeypatch, served, built, tmp_path):
    monkeypatch.setattr(served.inbox, "_most", 2)
    assert [send(served, content(built, tmp_path, 1, c * 32))[0] for c in "abca"] == [200, 200, 400, 200]
    monkeypatch.setattr(inbox, "MOST_BYTES", 10)
    monkeypatch.setattr(server, "MOST_BYTES", 10)
    assert send(served, content(built, tmp_path))[0] == 413


def test_a_full_disk_keeps_the_result_before_it(monkeypatch, served, built, tmp_path):
    assert send(served, content(built, tmp_path, trials=2))[0] == 200
    path = tmp_path / "results" / f"listener1-{'a' * 32}.json"
    kept, more = path.read_bytes(), content(built, tmp_path)
    monkeypatch.setattr("codax.storage.files.Part.flush", full_disk)
    assert send(served, more) == (507, b"the result cannot be stored\n")
    assert path.read_bytes() == kept and list(path.parent.iterdir()) == [path]
    assert served.lines[-1].startswith("a result cannot be stored (")


def test_a_second_start_knows_the_stored_results(served, built, tmp_path):
    assert send(served, content(built, tmp_path))[0] == 200
    inbox_of_another_start = inbox.Inbox(tmp_path / "results", served.manifest)
    with pytest.raises(CodaxError, match="belongs to another listener"):
        inbox_of_another_start.add(json.dumps(content(built, tmp_path, 2)).encode())


def test_error_lines(served, built, tmp_path, run):  # noqa: F811
    port = served.server_address[1]
    (tmp_path / "foreign").mkdir()
    (tmp_path / "foreign" / "x.json").write_text("{}")
    for arguments, message in (
        ([tmp_path / "nowhere", "--out", tmp_path / "o"], "nowhere/manifest.json: not a readable manifest"),
        ([built, "--out", tmp_path / "foreign"], "x.json: is not a result of a listening test"),
        ([built, "--out", built / "index.html"], "index.html: cannot be written"),
        ([built, "--out", tmp_path / "o", "--port", port], f"127.0.0.1:{port}: cannot be served"),
        ([built, "--out", tmp_path / "o", "--host", "no.such.host.invalid"], "no.such.host.invalid:8000: cannot be"),
        ([built, "--out", tmp_path / "o", "--host", "\u00e9" * 70], "cannot be served (encoding of hostname failed)"),
    ):
        status, out, error = run("mushra", "serve", *arguments)
        assert (status, out, error.count("\n")) == (1, "", 1) and message in error
    shutil.copytree(built, tmp_path / "old")
    page = tmp_path / "old" / "index.html"
    page.write_text(page.read_text().replace('<meta name="results" content="">', ""))
    status, _, error = run("mushra", "serve", tmp_path / "old", "--out", tmp_path / "o")
    assert status == 1 and "index.html: is not a page that can send results; build the test again" in error


def test_manifest_of_the_questions(built):
    assert read_manifest(built / "manifest.json").questions == ("playback", "experience")


def test_the_command_as_a_user_runs_it(built, tmp_path):
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    command = [sys.executable, "-m", "codax", "mushra", "serve", built, "--out", tmp_path / "results", "--port", "0"]
    with subprocess.Popen(
        command,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        # A shell's background job ignores SIGINT, and so do its children.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # noqa: PLW1509
    ) as process:
        assert process.stdout is not None and process.stderr is not None
        line = process.stdout.readline()
        address = line.partition(": test ")[0]
        assert address.startswith("http://127.0.0.1:") and line.rstrip().endswith(
            f"results go to {tmp_path / 'results'}"
        )
        body = json.dumps(content(built, tmp_path)).encode()
        with urllib.request.urlopen(urllib.request.Request(f"{address}results", body, JSON), timeout=20) as answer:
            assert answer.read() == b"stored\n"
        assert process.stdout.readline() == "listener 1: 5 of 5 trials\n"
        process.send_signal(signal.SIGINT)
        try:
            assert (process.wait(20), process.stderr.read()) == (130, "")
        finally:
            process.kill()
    assert [path.name for path in (tmp_path / "results").iterdir()] == [f"listener1-{'a' * 32}.json"]


def test_results_are_stored_although_nobody_reads_the_lines(built, tmp_path):
    def closed(_: str) -> None:
        raise BrokenPipeError(errno.EPIPE, "Broken pipe")

    with Server(built, tmp_path / "results", ("127.0.0.1", 0), closed) as running:
        threading.Thread(target=running.serve_forever, daemon=True).start()
        assert send(running, content(built, tmp_path)) == (200, b"stored\n")
        running.shutdown()


def test_a_lack_of_threads_refuses_a_request_and_no_later_one(monkeypatch, served):
    with monkeypatch.context() as lacking:
        lacking.setattr("threading.Thread.start", no_thread)
        for _ in range(70):
            with socket.create_connection(served.server_address[:2], timeout=20) as client:
                assert client.recv(10) == b""
    assert ask(served, "GET", "/")[0] == 200


def test_results_are_parsed_one_at_a_time(monkeypatch, served, built, tmp_path):
    """The memory of a parsed result is a multiple of that of its text."""
    running, most = [], []

    def slow(*arguments):
        running.append(1)
        most.append(len(running))
        time.sleep(0.05)
        running.pop()
        return parse_result(*arguments)

    monkeypatch.setattr(inbox, "parse_result", slow)
    result = content(built, tmp_path)
    senders = [threading.Thread(target=send, args=(served, result)) for _ in range(4)]
    for sender in senders:
        sender.start()
    for sender in senders:
        sender.join()
    assert most == [1] * 4
