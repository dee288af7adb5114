"""The report: one valid page, nothing fetched from elsewhere, every link leads somewhere, text is escaped."""

import copy
from html.parser import HTMLParser
from urllib.parse import unquote

import pytest
from codax.evaluation import clips
from codax.evaluation import report as reports

VOID = {"meta", "link", "img", "br", "input"}


class Page(HTMLParser):
    def __init__(self, text):
        super().__init__()
        self.tags, self.open, self.ids, self.links, self.text = [], [], [], [], []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag, attrs):
        attributes = dict(attrs)
        self.tags.append((tag, attributes))
        if tag not in VOID:
            self.open.append(tag)
        if "id" in attributes:
            self.ids.append(attributes["id"])
        self.links += [attributes[name] for name in ("src", "href") if name in attributes]

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text.append(data)


@pytest.fixture
def report(finished):
    return finished[1], (finished[1] / "report.html").read_text(encoding="utf-8")


def test_page(report):
    out, text = report
    page = Page(text)
    assert page.open == []  # every tag is closed, in order
    assert len(page.ids) == len(set(page.ids))
    assert [tag for tag, _ in page.tags].count("h1") == 1
    assert ("html", {"lang": "en"}) in page.tags
    for link in page.links:
        assert not link.startswith(("http:", "https:", "//", "/"))
        if link.startswith("data:"):
            continue
        if link.startswith("#"):
            assert link[1:] in page.ids
        else:
            assert (out / unquote(link)).is_file(), link
    assert "http" not in text.replace("http-equiv", "")
    assert "@import" not in text


def test_players(report):
    page = Page(report[1])
    players = [attributes for tag, attributes in page.tags if tag == "audio"]
    assert len(players) == 12  # three utterances, four systems
    assert all(p["aria-label"] and p["preload"] == "none" for p in players)


def test_tables_are_labelled(report):
    page = Page(report[1])
    heads = [attributes for tag, attributes in page.tags if tag == "th"]
    assert heads
    assert all(a.get("scope") in ("col", "row") for a in heads)
    assert [tag for tag, _ in page.tags].count("caption") == 3
    images = [attributes for tag, attributes in page.tags if tag == "img"]
    assert all(image["alt"] for image in images)
    inside = [image for image in images if image["src"].startswith("data:image/png;base64,")]
    assert len(inside) == 2  # quality by rate, and the information split
    # Every clip has its spectrograms beside the page.
    assert [image["src"] for image in images if image not in inside] == [f"spectrograms/0{i}.png" for i in range(3)]


def test_text_is_escaped(report):
    page = Page(report[1])
    assert "b" not in [tag for tag, _ in page.tags]
    assert any("<b>bravo</b>" in text for text in page.text)


def test_numbers_definitions_and_versions(report):
    text = " ".join(Page(report[1]).text)
    for expected in ("fake 64 kbps", "opus 12 kbps", "33.3", "fake recogniser", "Entropy per quantizer", "numpy"):
        assert expected in text


def test_failures_are_named(finished):
    """Signals that a system could not code have no player and no link, and are listed with the reason."""
    results = copy.deepcopy(finished[0])
    row = next(row for row in results.rows if row.system == results.systems[1].key)
    row.errors = {"system": "<i>broken</i>"}
    for other in results.rows:
        other.errors |= {f"metric {number}": "too short" for number in range(20)}
    page = Page(reports.page(results, b"", chosen=clips.choose(results)))
    text = " ".join(page.text)
    assert page.open == []
    assert "failed: <i>broken</i>" in text
    assert f"{row.system}, {row.utterance}, system: <i>broken</i>" in text
    assert f"{20 * len(results.rows) + 1 - 200} more in results.json." in text
    assert row.audio not in [unquote(link) for link in page.links]
    assert {"failures"} < set(page.ids)
    assert not {"differences", "split"} & set(page.ids)  # nothing to show there
