"""The report: one valid page, nothing fetched from elsewhere, every link leads somewhere, text is escaped."""

from html.parser import HTMLParser
from urllib.parse import unquote

import pytest

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
