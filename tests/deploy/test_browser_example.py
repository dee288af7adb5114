"""examples/browser in a real browser: its codes, sound and files are those of the codec in JAX."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import soundfile
from browser import Browser
from codax.audio import read
from demo import result, slide
from packed_files import unpack
from page_checks import check_console
from small_models import codec, signal

pytestmark = pytest.mark.browser


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

    # Another rate: the same codes of fewer quantizers, decoded again at once.
    slide(browser, 2)
    _, codes, coded = result(browser)
    np.testing.assert_array_equal(codes, tokens.codes[..., :2])
    np.testing.assert_allclose(coded, made.engine.decode_piece(codes, False)[:, : coded.shape[1]], atol=1e-4)

    # The files to save: codax reads the codes, and the audio is the page's in 16 bits.
    (tmp_path / "codes.codax").write_bytes(saved(browser, "#save-codes"))
    actual, meta, _ = unpack((tmp_path / "codes.codax").read_bytes())
    np.testing.assert_array_equal(actual, codes)
    assert (meta.model_hash, meta.model_id, meta.num_samples) == (made.hash, made.model_id[:25], original.shape[1])
    (tmp_path / "coded.wav").write_bytes(saved(browser, "#save-audio"))
    audio, rate = read(tmp_path / "coded.wav")
    assert rate == made.config.model.sample_rate
    np.testing.assert_allclose(audio, np.clip(coded[0], -1, 1), atol=1 / 32_000)
    check_console(browser)


def saved(browser: Browser, link: str) -> bytes:
    """The bytes that a link saves."""
    script = "return fetch(document.querySelector(arguments[0]).href).then(r => r.arrayBuffer())"
    return bytes(browser.run(f"{script}.then(b => [...new Uint8Array(b)])", link))


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
