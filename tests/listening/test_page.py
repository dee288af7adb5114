"""The page in a real browser: a listener goes through it, and what it plays is aligned to the sample."""

from __future__ import annotations

import csv
import json
import time
from pathlib import Path

import numpy as np
import pytest
from browser import MISSING, Browser, programs
from codax.listening.analysis import analyze
from codax.listening.build import Plan, build
from codax.listening.manifest import read_manifest
from codax.listening.material import Rules
from excerpts import systems_of

pytestmark = [pytest.mark.browser, pytest.mark.skipif(programs() is None, reason=MISSING)]

# What the scripted listener thinks of every signal; the steps are those of the arrow keys, from 50.
SCORES = {"reference": 95, "anchor35": 15, "anchor70": 40, "secretone": 80, "secrettwo": 60}
RIGHT, LEFT = "\ue014", "\ue012"  # arrow keys in WebDriver's code


def begin(browser: Browser, listener: int) -> None:
    """Consent, volume."""
    browser.until("document.querySelector('#agree')")
    browser.run(
        """
        document.querySelector('#listener').value = arguments[0];
        document.querySelector('#q-playback').value = 'closed headphones';
        document.querySelector('#q-experience').value = 'none';
        """,
        str(listener),
    )
    browser.click("#agree")
    browser.click("#next")
    browser.until("document.querySelector('#level')")
    browser.click("#play")
    browser.click("#next")
    browser.until("app.view")


def heading(browser: Browser) -> str:
    return browser.run("return document.querySelector('h2').innerText")


def rate(browser: Browser, scores: dict[str, int], names: dict[str, str]) -> None:
    """Plays and rates all signals of the trial by the keyboard alone."""
    signals = browser.run("return app.view.trial.signals")
    browser.press("0")
    for place, signal in enumerate(signals, 1):
        steps = scores[names[signal]] - 50
        browser.press(str(place), *((RIGHT if steps > 0 else LEFT) * abs(steps)))


def go_on(browser: Browser) -> None:
    before = heading(browser)
    browser.click("#next")
    browser.until(
        "document.querySelector('h2').innerText !== arguments[0] && app.view !== null || app.state.finished", before
    )


def wait_for(folder: Path, suffix: str) -> Path:
    end = time.monotonic() + 10
    while not (actual := list(folder.glob(f"*{suffix}"))):
        assert time.monotonic() < end, f"no {suffix} file was saved"
        time.sleep(0.05)
    return actual[0]


def test_a_listener_goes_through(browser, built, tmp_path):
    manifest = read_manifest(built / "manifest.json")
    names = {blind: name for signals in manifest.names.values() for blind, name in signals.items()}
    browser.open(built / "index.html")
    begin(browser, 2)
    assert heading(browser) == "Training 1 of 1"
    rate(browser, dict.fromkeys(SCORES, 92), names)  # not what the listener says later: training is dropped
    go_on(browser)
    for trial in range(1, 6):
        assert heading(browser) == f"Trial {trial} of 5"
        if trial == 3:  # in the middle of a trial the page is loaded again
            browser.press("1", RIGHT)
            browser.run("document.querySelector('#comment').value = 'a \"comment\"'")
            browser.run("document.querySelector('#comment').dispatchEvent(new Event('input'))")
            browser.reload()
            assert "You were at trial 3 of 5." in browser.text()
            browser.click("#next")
            browser.until("app.view")
            assert heading(browser) == "Trial 3 of 5"
            first = browser.run("return app.view.trial.signals[0]")
            assert browser.run("return app.view.record.scores") == {first: 51}
            browser.press("1", LEFT)  # back to the middle
        rate(browser, SCORES, names)
        go_on(browser)
    assert heading(browser) == "Thank you"
    browser.click("#json")
    browser.click("#csv")
    results = {suffix: wait_for(tmp_path / "browser", suffix) for suffix in (".json", ".csv")}

    content = json.loads(results[".json"].read_text())
    assert (content["listener"], content["complete"], content["resumed"]) == (2, True, 1)
    assert content["questionnaire"] == {"playback": "closed headphones", "experience": "none"}
    assert content["device"]["sample_rate"] == 16_000
    assert [trial["position"] for trial in content["trials"]] == [1, 2, 3, 4, 5]
    assert content["trials"][2]["comment"] == 'a "comment"'
    assert all(signal["plays"] > 0 and signal["listened"] > 0 for t in content["trials"] for signal in t["signals"])
    assert "secret" not in results[".json"].read_text()
    for suffix, path in results.items():
        analysis = analyze([path], manifest, tmp_path / f"analysis{suffix}", screening="usac")
        assert {name: (s.n, s.mean) for name, s in analysis.overall.items()} == {n: (5, s) for n, s in SCORES.items()}
    with (tmp_path / "analysis.csv" / "mushra.csv").open(newline="") as file:
        assert 'a "comment"' in {row["rating_comment"] for row in csv.DictReader(file)}

    assert [entry["message"] for entry in browser.log()] == []
    requests = [json.loads(entry["message"])["message"] for entry in browser.log("performance")]
    asked = [r["params"]["request"]["url"] for r in requests if r["method"] == "Network.requestWillBeSent"]
    assert not {url.split(":")[0] for url in asked} & {"http", "https", "ws", "wss"}


def test_rules_of_a_trial(browser, built):
    manifest = read_manifest(built / "manifest.json")
    names = {blind: name for signals in manifest.names.values() for blind, name in signals.items()}
    browser.open(built / "index.html")
    begin(browser, 1)
    disabled = "[...document.querySelectorAll('.track input')].map(slider => slider.disabled)"
    assert browser.run(f"return {disabled}") == [True] * 5
    browser.click("#next")
    assert "Not played yet: Reference, Signal 1, Signal 2, Signal 3, Signal 4, Signal 5." in browser.text()
    assert "Not rated yet: Signal 1, Signal 2, Signal 3, Signal 4, Signal 5." in browser.text()
    browser.press("2")
    assert browser.run(f"return {disabled}") == [True, False, True, True, True]
    label = browser.run("return document.activeElement.getAttribute('aria-label')")
    assert label == "Rating of Signal 2"
    assert browser.run("return document.activeElement.getAttribute('aria-valuetext')") == "not rated"
    browser.press(RIGHT)
    assert browser.run("return document.activeElement.getAttribute('aria-valuetext')") == "51, Fair"
    browser.press("0")  # the reference has no slider
    assert browser.run(f"return {disabled}") == [True] * 5
    browser.press("3", " ")  # the space bar stops
    assert browser.run("return app.player.playing") is False
    assert browser.run(f"return {disabled}") == [True] * 5
    browser.press("2", LEFT)
    rate(browser, dict.fromkeys(SCORES, 70), names)
    browser.click("#next")
    assert "No signal is rated 90 or more, but one of them is the reference itself." in browser.text()
    assert heading(browser) == "Training 1 of 1"
    browser.click("#sure")
    browser.until("document.querySelector('h2').innerText === 'Trial 1 of 5'")
    # A click of the mouse on the middle of an unset slider is a rating of 50.
    browser.press("1")
    browser.click(".track input:enabled")
    assert list(browser.run("return app.view.record.scores").values()) == [50]


def test_audio_beside_the_page(browser, material, tmp_path):
    out = tmp_path / "side"
    build(material / "ref", systems_of(material), out, Plan(embed=False), Rules())
    browser.open(out / "index.html")
    begin(browser, 1)
    browser.press("1")
    assert browser.run("return [app.player.playing, app.player.signals.size]") == [True, 6]
    for path in (out / "audio").iterdir():
        path.unlink()
    browser.reload()
    browser.click("#next")
    browser.until("document.querySelector('[role=alert]')")
    assert "cannot be loaded. The folder audio has to lie beside the page." in browser.text()


def test_ratings_survive_a_reload_with_an_empty_local_storage(browser, built):
    """Which a busy Chromium shows a page of a file now and then, although the data are on disk."""
    browser.open(built / "index.html")
    begin(browser, 1)
    browser.press("1", RIGHT)
    browser.run("app.save(); Storage.prototype.setItem = () => {}; localStorage.clear();")
    browser.reload()
    assert "You were in training 1 of 1." in browser.text()
    browser.click("#next")
    browser.until("app.view")
    assert list(browser.run("return app.view.record.scores").values()) == [51]
    assert browser.run("return localStorage.length") == 1


def test_abx(browser, material, tmp_path):
    out = tmp_path / "abx"
    build(material / "ref", systems_of(material), out, Plan(kind="abx", items=1, training=0), Rules())
    content = json.loads((out / "manifest.json").read_text())
    xs = {trial["id"]: trial["x"] for trial in content["trials"]}
    browser.open(out / "index.html")
    begin(browser, 1)
    for _ in range(2):
        browser.click("#next")
        assert "Not answered yet" in browser.text()
        browser.press("a", "b", "x")
        x = xs[browser.run("return app.view.trial.id")]
        browser.click(f"[value={x}]")
        go_on(browser)
    browser.click("#json")
    path = wait_for(tmp_path / "browser", ".json")
    analysis = analyze([path], read_manifest(out / "manifest.json"), tmp_path / "analysis")
    assert [(r.system, r.correct, r.trials) for r in analysis.abx] == [("secretone", 1, 1), ("secrettwo", 1, 1)]


def envelope(rate: int, seconds: float, when: float, fade: float) -> tuple[np.ndarray, np.ndarray]:
    """Gains of the signal that goes and of the one that comes, [time]."""
    time_ = np.arange(round(rate * seconds)) / rate
    out = 0.5 + 0.5 * np.cos(np.pi * np.clip((time_ - when) / fade, 0, 1))
    into = 0.5 - 0.5 * np.cos(np.pi * np.clip((time_ - when - fade) / fade, 0, 1))
    return out, into


def test_a_slow_machine_starts_later_not_apart(browser, built):
    """Sources that are told to start in the past start when they are told, each at another time."""
    browser.open(built / "index.html")
    began = browser.run(
        """
        const slow = milliseconds => { for (const end = performance.now() + milliseconds; performance.now() < end;); };
        const offline = new OfflineAudioContext(1, 16000, 16000);
        offline.resume = () => {};
        window.AudioContext = function () { return offline; };
        const player = new Player();
        const samples = { rate: 16000, channels: [new Float32Array(16000)] };
        player.load(new Map(['a', 'b', 'c'].map(id => [id, samples])));
        const createBuffer = offline.createBuffer.bind(offline), createGain = offline.createGain.bind(offline);
        offline.createBuffer = (...shape) => { slow(30); return createBuffer(...shape); };
        let gains = 0;
        offline.createGain = () => { if (gains++ < 3) slow(40); return createGain(); };
        player.choose('a');
        return [player.began, gains];
        """
    )
    # The first try, with the loops' 90 ms and 20 more, takes 120; another one has twice the time.
    assert began[1] >= 6
    assert began[0] >= 0.22


def test_signals_may_be_changed_faster_than_they_fade(browser, built):
    browser.open(built / "index.html")
    begin(browser, 1)
    script = """
        const ids = [app.view.trial.reference, ...app.view.trial.signals];
        for (let i = 0; i < 200; i++) {
          if (i % 17 === 16) app.player.toggle();
          else app.view.choose(ids[(i * i) % ids.length]);
        }
        app.view.choose(ids[2]);
        return ids[2];
    """
    last = browser.run(script)
    # Every change takes its turn; in the end what was chosen last is heard, and it alone.
    browser.until("app.player.context.currentTime > app.player.busy", seconds=10)
    gains = browser.run("return [...app.player.gains].map(([id, node]) => [id, node.gain.value])")
    assert {id_: round(value, 6) for id_, value in gains} == {id_: float(id_ == last) for id_, _ in gains}
    assert browser.log() == []


def test_switching_is_aligned_to_the_sample(browser, built):
    """Through the page's own schedule two signals are rendered offline; the sum is what the curves promise."""
    browser.open(built / "index.html")
    rate_, seconds, when = 48_000, 0.25, 0.1
    script = """
        const [rate, seconds, when, factor] = arguments;
        const context = new OfflineAudioContext(1, rate * seconds, rate);
        const random = randomFrom('noise');
        const noise = Float32Array.from({ length: rate * seconds }, () => random() * 1.8 - 0.9);
        const gains = [1, factor].map((scale, i) => {
          const buffer = context.createBuffer(1, noise.length, rate);
          buffer.copyToChannel(noise.map(value => value * scale), 0);
          const gain = context.createGain();
          gain.gain.value = i ? 0 : 1;
          const source = new AudioBufferSourceNode(context, { buffer });
          source.connect(gain).connect(context.destination);
          source.start(0);
          return gain;
        });
        const done = scheduleSwitch(gains[0], gains[1], when);
        return context.startRendering().then(out => [done, Array.from(noise), Array.from(out.getChannelData(0))]);
    """
    out, into = envelope(rate_, seconds, when, 0.005)
    for factor in (1.0, -0.5):
        done, noise, heard = browser.run(script, rate_, seconds, when, factor)
        assert done == pytest.approx(when + 0.01)
        noise = np.array(noise)
        np.testing.assert_allclose(heard, noise * (out + factor * into), atol=2e-4)
        before, after = slice(0, round(rate_ * when)), slice(round(rate_ * done) + 1, None)
        np.testing.assert_array_equal(np.array(heard)[before], noise[before])
        np.testing.assert_allclose(np.array(heard)[after], factor * noise[after], atol=1e-7)
    middle = round(rate_ * (when + 0.005))
    assert abs(heard[middle]) < 1e-4  # one is gone before the other comes


@pytest.mark.parametrize("late", range(0, 128, 8))
def test_the_player_as_a_whole(browser, built, late):
    """Two signals and a section in the page's own player, rendered offline: the loop continues during the switch.

    It starts at any place in the blocks of 128 frames that browsers render at once.
    """
    browser.open(built / "index.html")
    rate_, section = 16_000, (0.1, 0.7)
    script = """
        const [rate, section, late] = arguments;
        const offline = new OfflineAudioContext(1, 2 * rate, rate);
        offline.resume = () => {};
        window.AudioContext = function () { return offline; };
        const random = randomFrom('noise');
        const noise = Float32Array.from({ length: rate }, () => random() * 1.8 - 0.9);
        const player = new Player();
        const other = noise.map(value => -0.5 * value);
        player.load(new Map([['a', { rate, channels: [noise] }], ['b', { rate, channels: [other] }]]));
        player.setSection(section);
        player.offset = 0.20001;  // as after a pause: between two samples
        player.cutLoops();
        player.cutLoops = () => late / rate;
        player.choose('a');
        const { began, busy } = player;
        player.choose('b');
        const heard = out => Array.from(out.getChannelData(0));
        return offline.startRendering().then(out => [began, busy, Array.from(noise), heard(out)]);
    """
    began, busy, noise, heard = browser.run(script, rate_, section, late)
    first, last = (round(rate_ * edge) for edge in section)
    loop = np.array(noise[first:last])
    rise = 0.5 - 0.5 * np.cos(np.pi * np.arange(80) / 80)
    loop[:80] *= rise
    loop[-80:] *= rise[::-1]
    start = round(began * rate_)
    assert start / rate_ == pytest.approx(began, abs=1e-9)
    looped = np.concatenate([np.zeros(start), np.resize(np.roll(loop, -round(0.2 * rate_)), len(heard) - start)])
    _, into_a = envelope(rate_, 2, began - 0.005, 0.005)
    out_a, into_b = envelope(rate_, 2, busy, 0.005)
    level = 10 ** (-4 / 20)  # 0 dB on the page lies 4 dB below full scale
    np.testing.assert_allclose(heard, level * looped * (into_a * out_a - 0.5 * into_b), atol=3e-4)


def test_loops_are_faded_at_both_ends(browser, built):
    browser.open(built / "index.html")
    loop = np.array(browser.run("return Array.from(loopOf(new Float32Array(2000).fill(1), 500, 1500, 48000))"))
    assert len(loop) == 1000
    rise = 0.5 - 0.5 * np.cos(np.pi * np.arange(240) / 240)
    np.testing.assert_allclose(loop[:240], rise, atol=1e-6)
    np.testing.assert_allclose(loop[-240:], rise[::-1], atol=1e-6)
    np.testing.assert_array_equal(loop[240:-240], 1)


def test_orders(browser, built):
    browser.open(built / "index.html")
    for n in range(2, 13):
        rows = np.array(browser.run("return latinSquare(arguments[0])", n))
        assert len(rows) == (2 * n if n % 2 else n)
        for place in range(n):
            assert np.bincount(rows[:, place], minlength=n).tolist() == [len(rows) // n] * n
        follows = np.zeros((n, n), int)
        np.add.at(follows, (rows[:, :-1].ravel(), rows[:, 1:].ravel()), 1)
        assert (follows[~np.eye(n, dtype=bool)] == len(rows) // n).all()
    plans = [browser.run("return planFor(app.content, arguments[0]).trials", i) for i in range(1, 11)]
    repeated = browser.run("return planFor(app.content, 1).trials")
    assert plans[0] == repeated
    assert len({tuple(trial["id"] for trial in plan) for plan in plans}) > 5
    for trial in plans[0]:  # over ten listeners each of five signals stands twice at every place
        orders = [next(t["signals"] for t in plan if t["id"] == trial["id"]) for plan in plans]
        for place in range(5):
            assert sorted(order[place] for order in orders) == sorted(trial["signals"] * 2)


def test_sections(browser, built):
    browser.open(built / "index.html")
    for arguments, expected in (
        ((1, 2, 10, "start"), [1, 2]),
        ((1.8, 2, 10, "start"), [1.5, 2]),
        ((-1, 2, 10, "start"), [0, 2]),
        ((3, 3.1, 10, "end"), [3, 3.5]),
        ((3, 12, 10, "end"), [3, 10]),
        ((0, 0.3, 0.3, "end"), [0, 0.3]),
    ):
        assert browser.run("return clampSection(...arguments)", *arguments) == pytest.approx(expected)
