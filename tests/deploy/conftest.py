"""examples/browser as its README says, and a browser with a microphone that beeps."""

from __future__ import annotations

import functools
import http.server
import shutil
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from browser import MISSING, Browser, programs
from small_models import codec

EXAMPLE = Path(__file__).parents[2] / "examples" / "browser"
MICROPHONE = ("--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream")


class _Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture(scope="session")
def address(tmp_path_factory) -> Iterator[str]:
    """The example with onnxruntime-web and two models, served as its README says."""
    pytest.importorskip("onnx")
    if programs() is None or shutil.which("npm") is None:
        pytest.skip(MISSING if programs() is None else "no npm, which fetches onnxruntime-web")
    from codax.deploy.onnx_files import export_onnx

    site = tmp_path_factory.mktemp("site")
    shutil.copytree(EXAMPLE, site, dirs_exist_ok=True, ignore=shutil.ignore_patterns("node_modules", "model"))
    fetched = subprocess.run(
        ["npm", "install", "--no-audit", "--no-fund", "--no-package-lock", "--ignore-scripts"],
        cwd=site,
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    if fetched.returncode:
        pytest.skip(f"npm cannot fetch onnxruntime-web: {fetched.stderr.strip().splitlines()[-1:]}")
    export_onnx(codec("soundstream"), site / "model", compare=False)
    export_onnx(codec("encodec_24khz"), site / "encodec", compare=False)
    export_onnx(codec("encodec_48khz"), site / "segments", compare=False)
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(_Quiet, directory=str(site)))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_address[1]}"
    server.shutdown()


@pytest.fixture
def browser(tmp_path) -> Iterator[Browser]:
    folder = tmp_path / "browser"
    folder.mkdir()
    with Browser(folder, height=1300, more=MICROPHONE) as running:
        yield running
