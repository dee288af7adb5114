"""examples/browser in a real browser: it plays, loops the microphone, and can be used by all."""

from __future__ import annotations

import base64
from pathlib import Path

import numpy as np
import pytest
import soundfile
from browser import Browser
from demo import result, slide
from page_checks import check_console, check_page
from small_models import codec, signal

pytestmark = pytest.mark.browser


def opened(browser: Browser, address: str, tmp_path: Path, *, seconds: float = 3.0) -> np.ndarray:
    """Drops a sound onto the page; returns its samples."""
    made = codec("soundstream")
    rate = made.config.model.sample_rate
    samples = 0.5 * signal(made, 1, round(seconds * rate) // made.config.hop)[0, :, 0]
    soundfile.write(tmp_path / "sound.wav", samples, rate, subtype="FLOAT")
    browser.open(f"{address}/")
    browser.until("app.codec")
    browser.run(
        """
        const transfer = new DataTransfer(), bytes = Uint8Array.from(atob(arguments[0]), c => c.charCodeAt(0));
        transfer.items.add(new File([bytes], 'sound.wav'));
        for (const kind of ['dragover', 'drop']) {
          const event = new DragEvent(kind, { dataTransfer: transfer, bubbles: true, cancelable: true });
          document.querySelector('main').dispatchEvent(event);
        }
        """,
        base64.b64encode((tmp_path / "sound.wav").read_bytes()).decode(),
    )
    browser.until("app.coded && app.player.duration")
    return samples


def test_a_dropped_file_and_switching_at_one_position(browser: Browser, address: str, tmp_path: Path) -> None:
    samples = opened(browser, address, tmp_path)
    original, _, _ = result(browser)
    np.testing.assert_array_equal(original[0, :, 0], samples.astype(np.float32))
    # Through the page's own player, rendered offline: coded, then the original, then coded at another rate.
    script = """
        return import('./player.js').then(({ Player }) => {
          const rate = 16000, length = rate, noise = () => Float32Array.from({ length }, () => Math.random() - 0.5);
          const offline = new OfflineAudioContext(1, 2 * rate, rate), Before = window.AudioContext;
          offline.resume = () => {};
          window.AudioContext = function () { return offline; };
          const player = new Player(() => {}), [original, coded, other] = [noise(), noise(), noise()];
          player.load({ original, coded }, rate);
          player.seek(0.25);
          player.start();
          delete offline.resume; // which the player must not call before rendering, but suspended rendering needs
          const steps = [
            [0.5, () => player.choose('original')], [1, () => player.choose('coded')],
            [1.5, () => player.replace('coded', other)],
          ];
          steps.forEach(([time, action]) => offline.suspend(time).then(() => { action(); return offline.resume(); }));
          return offline.startRendering().then(out => {
            window.AudioContext = Before;
            return [[...original], [...coded], [...other], [...out.getChannelData(0)], player.began];
          });
        });
    """
    first, coded, other, heard, began = browser.run(script)
    heard = np.array(heard)
    for start, end, signal_ in ((0.03, 0.5, coded), (0.55, 1.0, first), (1.05, 1.5, coded), (1.55, 2.0, other)):
        a, b = round(16_000 * start), round(16_000 * end)
        expected = np.resize(np.roll(signal_, round(began * 16_000)), len(heard))
        np.testing.assert_allclose(heard[a:b], expected[a:b], atol=1e-5)


def test_keys_clicks_and_the_slider(browser: Browser, address: str, tmp_path: Path) -> None:
    opened(browser, address, tmp_path)
    browser.run("document.activeElement.blur()")
    browser.press("a", " ")
    assert browser.run("return [app.player.playing, app.player.chosen]") == [True, "original"]
    browser.until("app.player.place() > 0.05")
    before, after = browser.run(
        """
        const before = app.player.place();
        document.querySelector('#hear-coded').click();
        return [before, app.player.place()];
        """
    )
    assert 0 <= after - before < 0.5
    slide(browser, 1)  # while it plays
    assert browser.run("return [app.player.playing, app.player.chosen]") == [True, "coded"]
    browser.press(" ")
    browser.until("!app.player.playing")
    place = browser.run("return app.player.place()")
    assert 0 < place < 3
    # A click in the middle of a picture goes to the middle of the sound, and the cursors stand there.
    browser.click("#codes")
    assert browser.run("return app.player.place()") == pytest.approx(1.5, abs=0.02)
    browser.run("return new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))")
    lines = browser.run(
        """
        return [...document.querySelectorAll('.cursor')].map(line => {
          const box = line.previousElementSibling.getBoundingClientRect();
          return (line.getBoundingClientRect().left - box.left) / box.width;
        });
        """
    )
    assert lines == pytest.approx([0.5] * 3, abs=0.01)
    labels = browser.run("return [...document.querySelectorAll('.axis span')].map(e => e.textContent)")
    assert {"0 s", "1 s", "0 kHz", "2 kHz"} <= set(labels)
    check_console(browser)


def test_streams_equal_the_whole(browser: Browser, address: str) -> None:
    """Frame by frame, with and without start programs: codes, and audio of fewer quantizers."""
    for folder in ("model", "encodec"):
        browser.open(f"{address}/?model={folder}")
        browser.until("app.codec")
        whole, streamed, audio, pieces = browser.run(
            """
            const { codec } = app, { hop, quantizers } = codec.facts, frames = 40;
            const samples = Float32Array.from({ length: frames * hop }, () => Math.random() - 0.5);
            return (async () => {
              const all = await codec.encode(samples), encoder = await codec.stream('encoder');
              const decoder = await codec.stream('decoder');
              const audio = await codec.decode(codec.first(all, 2)), streamed = [], pieces = [];
              for (let i = 0; i < frames; i++) {
                const codes = await encoder.push(samples.slice(i * hop, (i + 1) * hop));
                streamed.push(...codes);
                for (let k = 0; k < codes.length; k += quantizers) {
                  pieces.push(...await decoder.push(codes.slice(k, k + 2)));
                }
              }
              return [[...all.codes], streamed, [...audio], pieces];
            })();
            """
        )
        assert streamed == whole
        np.testing.assert_allclose(pieces, audio, atol=1e-4)


def test_the_live_loop(browser: Browser, address: str) -> None:
    browser.open(f"{address}/")
    browser.until("app.codec")
    browser.click("#live")
    browser.until("app.live?.delay")
    assert "Delay, measured" in browser.text()
    # The delay is at least the frame that the encoder waits for; the loop stops when it is told to.
    assert browser.run("return app.live.delay >= app.codec.facts.hop / app.codec.facts.sample_rate")
    check_page(browser, order=False)
    browser.click("#live")
    browser.until("!app.live")
    # An error ends the loop, and is said.
    browser.click("#live")
    browser.until("app.live?.delay")
    browser.run("app.live.encoder.push = async () => { throw new Error('the encoder failed'); }")
    browser.until("!app.live && document.querySelector('#status.failed')")
    assert "the encoder failed" in browser.text()
    check_console(browser)


def test_the_delay_is_that_of_the_samples(browser: Browser, address: str) -> None:
    """A pulse goes through the loop with a codec that changes nothing; its delay is the one that is reported."""
    browser.open(f"{address}/")
    script = """
        const context = new AudioContext({ sampleRate: 16000 });
        const tap = `registerProcessor('tap', class extends AudioWorkletProcessor {
          process(inputs) {
            this.port.postMessage([currentFrame, ...inputs.map(i => i[0]?.findIndex(x => x > 0.5) ?? -1)]);
            return true;
          }
        });`;
        return (async () => {
          await context.audioWorklet.addModule('loop-worklet.js');
          const module = new Blob([tap], { type: 'text/javascript' });
          await context.audioWorklet.addModule(URL.createObjectURL(module));
          const pulse = context.createBuffer(1, 16000, 16000);
          pulse.getChannelData(0)[8000] = 1;
          const source = new AudioBufferSourceNode(context, { buffer: pulse });
          const loop = new AudioWorkletNode(context, 'loop', { processorOptions: { hop: 200, longest: 8000 } });
          const ears = new AudioWorkletNode(context, 'tap', { numberOfInputs: 2, numberOfOutputs: 0 });
          const times = [], delays = [];
          loop.port.onmessage = ({ data }) => {
            if (data.samples) loop.port.postMessage(data);
            else delays.push([data.delay, data.gaps]);
          };
          const heard = new Promise(done => {
            ears.port.onmessage = ({ data: [now, ...places] }) => {
              places.forEach((place, i) => { if (place >= 0) times[i] = now + place; });
              if (times[1] !== undefined) setTimeout(done, 600);
            };
          });
          source.connect(loop);
          source.connect(ears, 0, 0);
          loop.connect(ears, 0, 1);
          await context.resume();
          source.start();
          await heard;
          await context.close();
          return [times, delays];
        })();
    """
    times, delays = browser.run(script)
    assert (times[1] - times[0]) / 16_000 == pytest.approx(delays[-1][0], abs=1e-9) or delays[-1][1] > delays[0][1]


def test_the_delay_of_an_interruption_does_not_stay(browser: Browser, address: str) -> None:
    """The pieces of a while come together, as after a long computation; later samples are dropped until few wait."""
    browser.open(f"{address}/")
    script = """
        const context = new AudioContext({ sampleRate: 16000 });
        return (async () => {
          await context.audioWorklet.addModule('loop-worklet.js');
          const loop = new AudioWorkletNode(context, 'loop', { processorOptions: { hop: 200, longest: 8000 } });
          const kept = [], source = new ConstantSourceNode(context);
          let most = 0;
          const caughtUp = new Promise(done => {
            loop.port.onmessage = ({ data }) => {
              if (data.samples) {
                kept.push(data);
                if (most || kept.length === 20) kept.splice(0).forEach(piece => loop.port.postMessage(piece));
              } else {
                most = Math.max(most, data.delay);
                if (data.delay < most / 2) done([most, data.delay]);
              }
            };
          });
          source.connect(loop).connect(context.destination);
          await context.resume();
          source.start();
          const result = await caughtUp;
          await context.close();
          return result;
        })();
    """
    most, last = browser.run(script)
    assert most >= 20 * 200 / 16_000 - 0.02 and last < most / 2


@pytest.mark.parametrize("width", [1280, 400])
def test_the_page_can_be_used_by_all(browser: Browser, address: str, tmp_path: Path, width: int) -> None:
    browser.resize(width, 900, phone=width == 400)
    browser.open(f"{address}/")
    browser.until("app.codec")
    check_page(browser)
    assert "No sound yet. Drop a sound file anywhere on this page" in browser.text()
    browser.click("#example")
    browser.until("app.coded && app.player.duration")
    assert "No sound yet" not in browser.text() and browser.run("return app.original.length") == 8_000 * 4.45
    check_page(browser)
    tops = browser.run("return [...document.querySelectorAll('#facts div')].map(e => e.getBoundingClientRect().top)")
    rows = [tops.count(top) for top in sorted(set(tops))]
    assert rows == ([3, 3] if width == 1280 else [2, 2, 2])
    # Nothing came from another machine.
    asked = browser.run("return performance.getEntriesByType('resource').map(e => e.name)")
    assert {name for name in asked if not name.startswith((address, "blob:", "data:"))} == set()
