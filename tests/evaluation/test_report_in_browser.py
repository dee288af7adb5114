"""The report in a real browser: what it holds at every size and colour, and the player of its clips."""

from __future__ import annotations

import shutil

import pytest
from browser import MISSING, Browser, programs
from codax.evaluation import clips, comparisons
from codax.evaluation import report as reports
from page_checks import check_page

pytestmark = [pytest.mark.browser, pytest.mark.skipif(programs() is None, reason=MISSING)]

RIGHT = "\ue014"  # WebDriver's code


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    with Browser(tmp_path_factory.mktemp("browser")) as running:
        yield running


@pytest.fixture
def page(browser, finished):
    browser.resize(1280, 900)
    browser.dark(False)
    browser.log()
    browser.open(finished[1] / "report.html")
    return browser


@pytest.mark.parametrize("width", [1280, 400])
def test_the_page_is_fit_for_use(page, width):
    page.resize(width, 900, phone=width < 500)
    page.reload()
    page.click(".clip .signal")
    page.until("player.playing")
    check_page(page)
    assert page.run("return [...document.images].every(image => image.alt)")
    colours = []
    for dark in (False, True):
        page.dark(dark)
        colours.append(page.run("return getComputedStyle(document.querySelector('.chart text')).fill"))
    assert colours == ["rgb(87, 96, 106)", "rgb(154, 164, 175)"]


def chosen(page):
    return page.run("return document.querySelector('.clip [aria-pressed=true]')?.dataset.signal")


def test_signals_change_at_the_same_position(page):
    page.press("2")
    page.until("player.playing && player.place() > 0.2")
    assert chosen(page) == "../clips/00/fake_64kbps"
    began = page.run("return player.began")
    page.press("3")
    assert chosen(page) == "../clips/00/fake_128kbps"
    assert page.run("return player.began") == began  # the sources run on, only their gains change
    page.press(" ")
    assert page.run("return player.playing") is False
    left = "parseFloat(document.querySelector('.picture .cursor').style.left)"
    place = page.run(f"return [{left} / 100, player.place() / player.duration]")
    assert place[0] == pytest.approx(place[1], abs=1e-3) and place[0] > 0.1
    page.press(" ")
    page.until(f"{left} !== arguments[0]", 100 * place[0])  # the cursor moves while it plays
    assert page.log() == []


def test_loop_and_position_by_keys_and_pointer(page):
    page.press("1")
    page.until("player.playing")
    page.press(" ")
    page.run("player.offset = 0.25")
    page.press("[")
    assert page.run("return player.section[0]") == pytest.approx(0.25)
    page.run("player.offset = 0.55")
    page.press("]")
    assert page.run("return player.section") == pytest.approx([0.25, 0.8], abs=0.06)
    page.press(RIGHT)  # a second later is beyond the loop
    assert page.run("return player.place() < player.section[1]")
    assert "Loop 0.3 to 0.8 s" in page.text() or "Loop 0.2 to 0.8 s" in page.text()
    page.press("l")
    assert page.run("return player.section[1] === player.duration")
    page.click(".clip .picture")  # in its middle
    assert page.run("return player.place() / player.duration") == pytest.approx(0.5, abs=0.02)


def test_another_clip_takes_over(page):
    page.click(".clip .signal")
    page.until("player.playing")
    page.click(".clip:nth-of-type(2) .transport")
    page.until("player.playing && Clip.active.node === document.querySelectorAll('.clip')[1]")
    assert chosen(page) == "../clips/01/original"
    assert page.run("return document.querySelectorAll('.strip, [aria-pressed=true]').length") == 2
    page.press("4")
    assert chosen(page) == "../clips/01/opus_12kbps"


def test_a_page_without_its_folder_says_so(page, finished, tmp_path):
    shutil.copy(finished[1] / "report.html", tmp_path)
    page.open(tmp_path / "report.html")
    page.click(".clip .signal")
    page.until("!document.querySelector('[role=alert]').hidden")
    assert "The folder clips has to lie beside the page." in page.text()


def test_tables_sort_and_scroll_with_their_first_column(page):
    page.resize(400, 900, phone=True)
    edges = """
        const wide = document.querySelector('.wide'), scroll = wide.firstElementChild;
        return [wide.classList.contains('more'), scroll.querySelector('tbody th').getBoundingClientRect().left
                - scroll.getBoundingClientRect().left, scroll.scrollLeft];
    """
    page.until("document.querySelector('.wide.more')")
    assert page.run(edges) == [True, 1, 0]
    page.run("document.querySelector('.scroll').scrollLeft = 1e6")
    page.until("!document.querySelector('.wide').classList.contains('more')")
    _, left, scrolled = page.run(edges)
    assert left == 1 and scrolled > 100
    page.run("document.querySelectorAll('#files thead button')[2].click()")
    seconds = page.run(
        "return [...document.querySelectorAll('#files tbody tr')].map(row => Number(row.cells[2].dataset.value))"
    )
    assert seconds == sorted(seconds) and seconds[0] < seconds[-1]


def test_a_report_of_failures_works(page, finished, tmp_path):
    """Clips without any signal, a single system, and columns without values."""
    results = finished[0]
    for row in results.rows:
        assert not row.errors
    text = reports.page(results, comparisons.compare(results), clips.choose(results))
    (tmp_path / "report.html").write_text(text, encoding="utf-8")
    page.open(tmp_path / "report.html")
    page.press("1", " ")
    check_page(page)
