"""examples/browser in a real browser: its codes and its sound are those of the codec in JAX."""

from __future__ import annotations

import functools
import http.server
import shutil
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import soundfile
from browser import MISSING, Browser, programs
from codax.audio import read
from small_models import codec, signal

pytest.importorskip("onnx")
pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(programs() is None, reason=MISSING),
    pytest.mark.skipif(shutil.which("npm") is None, reason="no npm, which fetches onnxruntime-web"),
]

EXAMPLE = Path(__file__).parents[2] / "examples" / "browser"
MICROPHONE = ("--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream")


class _Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture(scope="module")
def address(tmp_path_factory) -> Iterator[str]:
    """The example with onnxruntime-web and two models, served as its README says."""
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


def result(browser: Browser) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Original, codes and coded sound, as the page has them."""
    original, codes, coded, shape = browser.run(
        "return [[...app.original], [...app.shown.codes], [...app.coded], [app.shown.frames, app.shown.quantizers]]"
    )
    audio = [np.asarray(values, np.float32)[None, :, None] for values in (original, coded)]
    return audio[0], np.asarray(codes, np.int32).reshape(1, *shape), audio[1]


@pytest.mark.parametrize(("folder", "name"), [("model", "soundstream"), ("encodec", "encodec_24khz")])
def test_a_file_is_coded_as_in_jax(browser: Browser, address: str, tmp_path: Path, folder: str, name: str) -> None:
    made = codec(name)
    samples = 0.5 * signal(made, 1, 300)[0, :-3, 0]
    # Floats: Chromium divides positive 16-bit samples by 32,767.
    soundfile.write(tmp_path / "sound.wav", samples, made.config.model.sample_rate, subtype="FLOAT")
    browser.open(f"{address}/?model={folder}")
    browser.until("app.codec")
    browser.choose("#file", tmp_path / "sound.wav")
    browser.until("app.coded")
    original, codes, coded = result(browser)
    audio, _ = read(tmp_path / "sound.wav")
    np.testing.assert_array_equal(original[0], audio)
    tokens = made.encode(audio[None])
    np.testing.assert_array_equal(codes, tokens.codes)
    np.testing.assert_allclose(coded, made.decode(tokens), atol=1e-4)

    text = browser.text()
    kbps = 300 * 4 * 5 / (2397 / 8000) / 1000
    assert f"{kbps:.2f} kbit/s" in text and "750 bytes" in text and "0.30 s" in text
    for canvas in ("original", "coded", "codes"):
        shades = browser.run(
            """
            const canvas = document.getElementById(arguments[0]), context = canvas.getContext('2d');
            return new Set(new Uint32Array(context.getImageData(0, 0, canvas.width, canvas.height).data.buffer)).size;
            """,
            canvas,
        )
        assert shades > 10, canvas

    # Another rate: the same codes of fewer quantizers, decoded again.
    browser.run("app.coded = null; document.querySelector('#quantizers').value = 2;")
    browser.run("document.querySelector('#quantizers').dispatchEvent(new Event('change'));")
    browser.until("app.coded")
    _, codes, coded = result(browser)
    np.testing.assert_array_equal(codes, tokens.codes[..., :2])
    np.testing.assert_allclose(coded, made.engine.decode_piece(codes, False)[:, : coded.shape[1]], atol=1e-4)
    browser.click("#play-coded")
    assert not [entry for entry in browser.log() if entry["level"] == "SEVERE"]


def test_the_microphone(browser: Browser, address: str) -> None:
    browser.open(f"{address}/")
    browser.until("app.codec")
    browser.click("#record")
    browser.until("document.querySelector('#record').innerText === 'Stop'")
    browser.run("return new Promise(done => setTimeout(done, 1500))")
    browser.click("#record")
    browser.until("app.coded")
    original, codes, coded = result(browser)
    assert original.shape[1] > 0.3 * 8_000 and np.abs(original).max() > 0.01  # the fake one beeps
    made = codec("soundstream")
    np.testing.assert_array_equal(codes, made.engine.encode_piece(original, False))
    np.testing.assert_allclose(coded, made.engine.decode_piece(codes, False)[:, : coded.shape[1]], atol=1e-4)


def test_what_does_not_work_is_said(browser: Browser, address: str, tmp_path: Path) -> None:
    browser.open(f"{address}/?model=nothing")
    browser.until("document.querySelector('#about.failed')")
    assert "/nothing/codec.json: 404" in browser.text()
    browser.open(f"{address}/?model=segments")
    browser.until("document.querySelector('#about.failed')")
    assert "works in segments or on several channels" in browser.text()
    browser.open(f"{address}/")
    browser.until("app.codec")
    (tmp_path / "sound.wav").write_bytes(b"no sound")
    browser.choose("#file", tmp_path / "sound.wav")
    browser.until("document.querySelector('#status.failed')")
    assert "cannot read that file" in browser.text()
