"""The checks of pages find what they are for."""

from __future__ import annotations

import pytest
from browser import MISSING, Browser, programs
from page_checks import check_page

pytestmark = [pytest.mark.browser, pytest.mark.skipif(programs() is None, reason=MISSING)]

GOOD = """<!doctype html><html lang="en"><title>page</title><link rel="icon" href="data:,">
<style>:focus-visible { outline: 2px solid }</style><body style="background: #fff">
<p style="color: #555">text <a href="#x">link</a></p><label for="x">field</label><input id="x">
<button aria-label="play"></button></body>"""


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    with Browser(tmp_path_factory.mktemp("browser")) as running:
        yield running


@pytest.mark.parametrize(
    ("old", "new", "fault"),
    [
        ("", "", ""),
        ("#555", "#999", "text: 2.85"),
        ("#555", "#000; opacity: 0.3", "text: 2.11"),
        ("background: #fff", "background: rgb(0 0 0 / 0.6)", r"text: 1\."),
        (' aria-label="play"', "", "controls without a name"),
        ('<label for="x">field</label>', "field", "controls without a name"),
        ("</body>", "<img src='data:,'></body>", "pictures without a text"),
        ("<button", "<button tabindex='1'", "the Tab key reaches|the focus is not seen"),
        ("<a ", "<a style='outline: none' ", "the focus is not seen: <a"),
        ("</body>", "<div style='width: 3000px'>x</div></body>", "pixels wide in a window"),
        ("</body>", "<script>console.error('broken')</script></body>", "broken"),
        ("</body>", "<script>undefinedName()</script></body>", "undefinedName is not defined"),
    ],
)
def test_each_fault(browser, tmp_path, old, new, fault):
    page = tmp_path / "page.html"
    page.write_text(GOOD.replace(old, new, 1))
    browser.log()
    browser.open(page)
    if not fault:
        check_page(browser)
        return
    with pytest.raises(AssertionError, match=fault):
        check_page(browser)
