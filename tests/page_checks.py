"""Checks that every page passes: names of controls, contrast, keyboard order, width, and no error of the console."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from browser import Browser

TAB = "\ue004"
CONTROLS = "a[href], button, input, select, textarea, summary, audio[controls], [tabindex='0']"
_SOURCE = Path(__file__).with_suffix(".js").read_text(encoding="utf-8")


def _ask(browser: Browser, call: str) -> Any:
    return browser.run(f"{_SOURCE}\nreturn pageChecks.{call};", CONTROLS)


def check_page(browser: Browser, *, order: bool = True) -> None:
    """Checks the page as it is now. `order` also walks through it with the Tab key."""
    check_look(browser)
    shown = _ask(browser, "shown(arguments[0])")
    unnamed = [text for text, label in zip(shown, browser.labels("[data-shown]"), strict=True) if not label.strip()]
    assert not unnamed, f"controls without a name: {unnamed}"
    silent = browser.run("return [...document.querySelectorAll('img:not([alt])')].map(e => e.outerHTML.slice(0, 100))")
    assert not silent, f"pictures without a text: {silent}"
    if order:
        check_order(browser)
    check_console(browser)


def check_look(browser: Browser) -> None:
    """Nothing is wider than the page, and every text has contrast, in light and dark."""
    wide = browser.run("return [document.documentElement.scrollWidth, innerWidth]")
    assert wide[0] <= wide[1], f"{wide[0]} pixels wide in a window of {wide[1]}"
    for dark in (True, False):
        browser.dark(dark)
        faint = _ask(browser, "faint()")
        assert not faint, f"{'dark' if dark else 'light'}: {faint}"


def check_order(browser: Browser) -> None:
    """The Tab key reaches every control in the order of the document, and shows where it is."""
    expected = _ask(browser, "reachable(arguments[0])")
    browser.run("document.activeElement.blur(); getSelection().removeAllRanges(); document.body.tabIndex = -1;")
    browser.run("document.body.focus(); document.body.removeAttribute('tabindex');")
    reached: list[int] = []
    while len(reached) < len(expected):
        browser.press(TAB)
        place, seen, text = _ask(browser, "focused()")
        if not reached or place != reached[-1]:  # an audio player has several stops
            assert seen, f"the focus is not seen: {text}"
            assert place == len(reached), f"the Tab key reaches {text} instead of {expected[len(reached)]}"
            reached.append(place)


def check_console(browser: Browser) -> None:
    """No error was logged since the last call."""
    errors = [entry["message"] for entry in browser.log() if entry["level"] == "SEVERE"]
    assert not errors, errors
