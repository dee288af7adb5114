"""Requirements on every page, checked in the browser: no errors, names of controls, contrast, keyboard order, width."""

from __future__ import annotations

from pathlib import Path

from browser import Browser

_SCRIPT = Path(__file__).with_suffix(".js")
_TAB = "\ue004"  # WebDriver's code


def faults(browser: Browser) -> list[str]:
    """What is wrong on the page as it is shown now, one line each; the focus moves to its last control."""
    lines = [entry["message"] for entry in browser.log()]
    browser.run(_SCRIPT.read_text(encoding="utf-8"))
    for check in ("nameFaults", "contrastFaults", "widthFaults"):
        lines += browser.run(f"return pageChecks.{check}()")
    browser.press(*[_TAB] * browser.run("return pageChecks.beginKeyboard()"))
    return lines + browser.run("return pageChecks.keyboardFaults()")
