"""The page of a test and the report of its results on a wide screen and on a phone; the page sends its results."""

from __future__ import annotations

import json
import threading

import pytest
from browser import MISSING, Browser, programs
from codax.listening.analysis import analyze
from codax.listening.build import Plan, build
from codax.listening.manifest import read_manifest
from codax.listening.material import Rules
from codax.listening.server import Server
from excerpts import result_of, systems_of
from page_checks import check_console, check_look, check_page

pytestmark = [pytest.mark.browser, pytest.mark.skipif(programs() is None, reason=MISSING)]

SCORES = {"reference": 95, "anchor35": 15, "anchor70": 40, "secretone": 80, "secrettwo": 60}
QUESTIONS = [
    {"id": "age", "question": "Your age", "kind": "number", "optional": True},
    {"id": "work", "question": "Your work", "kind": "text"},
    {"id": "room", "question": "The room is", "choices": ["quiet", "noisy"]},
]


def begin(browser: Browser, answers: dict[str, str]) -> None:
    browser.until("document.querySelector('#agree')")
    for selector, value in answers.items():
        browser.run("document.querySelector(arguments[0]).value = arguments[1]", selector, value)
    browser.click("#agree")
    browser.click("#next")
    browser.until("document.querySelector('#level')")


USUAL = {"#listener": "1", "#q-playback": "loudspeakers", "#q-experience": "none"}


@pytest.mark.parametrize("width", [1280, 400])
def test_the_page_can_be_used_by_all(browser, built, tmp_path, width):
    browser.resize(width, 800, phone=width == 400)
    browser.open(built / "index.html")
    browser.until("document.querySelector('#agree')")
    check_page(browser)
    begin(browser, USUAL)
    check_page(browser)
    browser.click("#next")
    browser.until("app.view")
    check_page(browser)
    browser.press("1", "\ue014")  # a rated signal that plays
    check_page(browser, order=False)
    browser.click("#next")
    check_look(browser)
    # However far down the listener scrolls among the signals, the labels of the scale are in view and not covered.
    browser.run("document.querySelector('.row:last-child').scrollIntoView({ block: 'end' })")
    for label in ("Bad", "Poor", "Fair", "Good", "Excellent"):
        seen = browser.run(
            """
            const span = [...document.querySelectorAll('.scale span')].find(e => e.textContent === arguments[0]);
            const box = span.getBoundingClientRect();
            return document.elementFromPoint((box.left + box.right) / 2, (box.top + box.bottom) / 2) === span
              && span.scrollWidth <= span.clientWidth;
            """,
            label,
        )
        assert seen, label
    browser.run("app.go(app.steps.length - 1)")
    browser.until("document.querySelector('#json')")
    check_page(browser)


def test_a_questionnaire_that_is_set(browser, material, tmp_path):
    out = tmp_path / "asked"
    build(material / "ref", systems_of(material), out, Plan(questions=QUESTIONS, training=0), Rules())
    browser.open(out / "index.html")
    browser.until("document.querySelector('#agree')")
    check_page(browser)
    begin(browser, {"#listener": "1", "#q-work": "none", "#q-room": "quiet"})
    assert browser.run("return app.state.questionnaire") == {"age": "", "work": "none", "room": "quiet"}


def rate_all(browser: Browser) -> None:
    """Plays and rates all signals of a trial by the page's own view."""
    browser.until("app.view")
    browser.run(
        """
        const { view } = app;
        for (const id of [view.trial.reference, ...view.trial.signals]) {
          view.choose(id);
          view.rate(id, 95, true);
        }
        """
    )
    browser.click("#next")


def test_results_are_sent(browser, built, tmp_path):
    results = tmp_path / "results"
    with Server(built, results, ("127.0.0.1", 0)) as served:
        threading.Thread(target=served.serve_forever, daemon=True).start()
        browser.open(served.url)
        browser.until("document.querySelector('#agree')")
        assert "are sent to the server of this page after every trial" in browser.text()
        begin(browser, USUAL)
        browser.click("#next")
        rate_all(browser)  # training, which is not sent
        rate_all(browser)
        browser.until("document.querySelector('h2').innerText === 'Trial 2 of 5'")
        browser.run("return app.outbox.last")
        (path,) = results.iterdir()
        assert len(json.loads(path.read_text())["trials"]) == 1
        for _ in range(4):
            rate_all(browser)
        browser.until("document.querySelector('#sent')?.innerText.includes('has arrived')")
        check_page(browser)
        content = json.loads(path.read_text())
        assert content["complete"] and len(content["trials"]) == 5
        # What is refused, or sent to nobody, is said, with the file to save instead.
        browser.run("app.state.listener = 99; app.finish()")
        browser.until("document.querySelector('#again')")
        assert "The server refused the result: result: the listener's number must be 1 to 8" in browser.text()
        browser.log()
        served.shutdown()
    browser.click("#again")
    browser.until("document.querySelector('#json')")
    assert "The server does not answer." in browser.text()
    browser.log()
    check_look(browser)
    analysis = analyze([results], read_manifest(built / "manifest.json"), tmp_path / "out", screening="none")
    assert analysis.overall["secretone"].mean == 95


@pytest.mark.parametrize("width", [1280, 400])
def test_the_report_can_be_read_by_all(browser, built, tmp_path, width):
    results = [result_of(built, n, SCORES, tmp_path / f"{n}.json") for n in range(1, 6)]
    results.append(result_of(built, 6, SCORES | {"reference": 10}, tmp_path / "6.json", item1={"secretone": 5.0}))
    analyze(results, read_manifest(built / "manifest.json"), tmp_path / "out")
    browser.resize(width, 900, phone=width == 400)
    browser.open(tmp_path / "out" / "report.html")
    check_page(browser)
    text = browser.text()
    assert "secretone has the highest median of 2 systems: 80.0" in text
    assert "Secretone" not in text and "Listener 6 does not count" in text
    assert browser.run("return document.querySelectorAll('figure svg').length") == 1
    check_console(browser)
