"""The checks of pages find what they are for."""

from __future__ import annotations

import pytest
from browser import MISSING, Browser, programs
from page_checks import faults

pytestmark = [pytest.mark.browser, pytest.mark.skipif(programs() is None, reason=MISSING)]

GOOD = """<!doctype html><html lang="en"><title>page</title><link rel="icon" href="data:,">
<body style="background: #fff">
<p style="color: #555">text <a href="#x">link</a></p><label for="x">field</label><input id="x">
<button aria-label="play"></button></body>"""


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    with Browser(tmp_path_factory.mktemp("browser")) as running:
        yield running


@pytest.mark.parametrize(
    ("old", "new", "fault"),
    [
        ("", "", None),
        ("#555", "#999", "contrast 2.85: text"),
        ("#555", "#000; opacity: 0.3", "contrast 2.11: text"),
        ("background: #fff", "background: rgb(0 0 0 / 0.6)", "contrast"),
        (' aria-label="play"', "", "no name: <button></button>"),
        ('<label for="x">field</label>', "field", "no name: #x"),
        ("</body>", "<img src='data:,'></body>", "no alt: <img"),
        ("<button", "<button tabindex='1'", "not reached in the order of the page"),
        ("<a ", "<a style='outline: none' ", "its focus is not seen: <a"),
        ("</body>", "<div style='width: 3000px'>x</div></body>", "the page is 30"),
        ("</body>", "<script>console.error('broken')</script></body>", "broken"),
        ("</body>", "<script>undefinedName()</script></body>", "undefinedName is not defined"),
    ],
)
def test_each_fault(browser, tmp_path, old, new, fault):
    page = tmp_path / "page.html"
    page.write_text(GOOD.replace(old, new, 1))
    browser.open(page)
    lines = faults(browser)
    assert (lines == []) if fault is None else any(fault in line for line in lines), lines
