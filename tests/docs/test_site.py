"""The documentation as a site: it builds strictly, its links lead somewhere, and its references are complete."""

from __future__ import annotations

import importlib
import importlib.util
import re
import sys
from pathlib import Path
from types import ModuleType

import pages
import pytest

ROOT = pages.ROOT
_LINK = re.compile(r"\]\(([^)\s#:]*)(#[^)\s]*)?\)")
# A column of measurements, which a command in the same section must have made.
_MEASURED = re.compile(r"\b(?:ViSQOL|WER|PESQ|DNSMOS|PNMI|ABX|ms|times|GiB|seconds of audio|differences)\b|%")
_COMMAND = re.compile(r"\b(?:python|codax|make) [a-z-]|benchmarks/\w+\.py")


def hook(name: str) -> ModuleType:
    """A hook of mkdocs, of tools/site."""
    spec = importlib.util.spec_from_file_location(f"site_{name}", ROOT / "tools" / "site" / f"{name}.py")
    assert spec is not None and spec.loader is not None
    module = sys.modules[spec.name] = importlib.util.module_from_spec(spec)  # dataclasses look it up there
    spec.loader.exec_module(module)
    return module


def test_the_site_builds_strictly(tmp_path: Path) -> None:
    pytest.importorskip("mkdocstrings_handlers.python", reason="pip install -e '.[docs]'")
    from mkdocs.commands.build import build
    from mkdocs.config import load_config

    config = load_config(str(ROOT / "mkdocs.yml"), site_dir=str(tmp_path / "site"))
    assert config.strict
    config.plugins.on_startup(command="build", dirty=False)
    build(config)
    text = (tmp_path / "site" / "reference" / "config.html").read_text()
    assert "train.start_from" in text and "quantizer.fsq_levels" in text
    text = (tmp_path / "site" / "reference" / "commands.html").read_text()
    assert "codax mushra analyze" in text and "--sample_rate" in text
    assert 'id="codax.codec.codec.Codec.encode"' in (tmp_path / "site" / "reference" / "api.html").read_text()
    recipe = tmp_path / "site" / "source" / "configs" / "quickstart.py.html"
    assert "stem_stride" in recipe.read_text()
    for page in (tmp_path / "site").rglob("*.html"):  # nothing is loaded from elsewhere
        loaded = re.findall(
            r'<(?:script|img|link rel="stylesheet")[^>]*(?:src|href)="(https?:[^"]*)"', page.read_text()
        )
        assert not loaded, (page.name, loaded)


def test_links_to_files_that_do_not_exist_end_the_build(tmp_path: Path, monkeypatch) -> None:
    exceptions = pytest.importorskip("mkdocs.exceptions")
    links = hook("links")
    (tmp_path / "docs").mkdir()
    (tmp_path / "audio").mkdir()
    (tmp_path / "audio" / "a.wav").write_bytes(b"")
    (tmp_path / "docs" / "page.md").write_text("[audio](../audio)\n\n```\n[code](../none)\n```\n\n[text](../no.py)")
    monkeypatch.setattr(links, "ROOT", tmp_path)
    places = links.linked("docs/page.md")
    assert next(places) == "audio" and list(links.linked("audio")) == ["audio/a.wav"]
    with pytest.raises(exceptions.PluginError, match=r"docs/page\.md: \.\./no\.py is not in the repository"):
        next(places)


def slug(heading: str) -> str:
    """The anchor of a heading, as the repository's viewer and mkdocs make it."""
    text = re.sub(r"\[([^]]*)\]\([^)]*\)", r"\1", heading).replace("`", "").lower()
    return re.sub(r"[\s]", "-", re.sub(r"[^\w\s-]", "", text).strip())


def test_links_between_documents_lead_somewhere() -> None:
    faults = []
    for page in (each for each in pages.documents() if each.suffix == ".md"):
        text = re.sub(r"```.*?```", "", page.read_text(), flags=re.DOTALL)
        for path, anchor in _LINK.findall(text):
            target = (page.parent / path).resolve() if path else page
            if not target.exists():
                faults.append(f"{page.relative_to(ROOT)}: {path}")
            elif anchor and target.suffix == ".md":
                prose = re.sub(r"^```.*?^```", "", target.read_text(), flags=re.DOTALL | re.MULTILINE)
                if anchor[1:] not in {slug(heading) for heading in re.findall(r"^#+ (.*)$", prose, re.MULTILINE)}:
                    faults.append(f"{page.relative_to(ROOT)}: {path}{anchor}")
    assert not faults, "\n".join(faults)


def test_readme_is_short_and_begins_with_what_a_reader_gets() -> None:
    text = (ROOT / "README.md").read_text()
    assert len(text.split()) <= 700
    assert text.index("You get") < text.index("## ") and "](docs/images/" in text
    headings = re.findall(r"^## (.*)$", text, re.MULTILINE)
    assert headings[:2] == ["Install", "Python"] and {"Train your own", "Fine-tune", "Codecs"} <= {*headings}


def test_tables_of_measurements_name_their_command() -> None:
    faults = []
    for page in pages.markdown():
        text = re.sub(r"^```(?=\n)|^```$", "", page.read_text(), flags=re.MULTILINE)
        for section in re.split(r"^(?=## )", text, flags=re.MULTILINE):
            heads = re.findall(r"^(\|.*)\n\|(?: ?-+ ?\|)+$", section, re.MULTILINE)
            if any(_MEASURED.search(head) for head in heads) and not _COMMAND.search(section):
                faults.append(f"{page.relative_to(ROOT)}: {section.splitlines()[0]}")
    assert not faults, "\n".join(faults)


def test_every_result_has_a_command_a_machine_and_a_date() -> None:
    for section in re.split(r"^(?=## )", (ROOT / "docs" / "results.md").read_text(), flags=re.MULTILINE)[1:]:
        if "|---" in section or "Speed" in section:
            title = section.splitlines()[0]
            assert _COMMAND.search(section), title
            for needed in ("AMD|Intel", r"20\d\d"):
                assert re.search(f"{needed}|machine and date", section), title


def test_every_field_of_a_recipe_is_explained() -> None:
    fields = hook("fields")
    rows = [row for cls in fields.classes() for row in fields.fields(cls)]
    assert len({row.place for row in rows}) > 200
    unexplained = [row.place for row in rows if not row.meaning or row.meaning.startswith("only with")]
    assert not unexplained, "fields without a comment: " + ", ".join(unexplained)
    units = {row.place: row.unit for row in rows}
    assert units["train.segment_seconds"] == "s" and units["loss.windows"] == "samples"
    assert units["data.gain_db"] == "dB" and units["model.sample_rate"] == "Hz" and units["loss.balancer"] == ""


def test_comments_of_fields_are_read(tmp_path: Path, monkeypatch) -> None:
    (tmp_path / "section_of_a_test.py").write_text(
        "import dataclasses\n\n@dataclasses.dataclass\nclass Given:\n"
        '    """Text.\n\n    Attributes:\n      c: of the docstring,\n        in two lines.\n    """\n'
        "    # Above,\n    # in two lines.\n    a: int = 0  # and beside\n"
        "    b: tuple = (\n        1,\n    )  # é: the end\n    c: int = 1\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    module = importlib.import_module("section_of_a_test")
    fields = hook("fields")
    assert fields.comments(module.Given) == {"a": "Above, in two lines. and beside", "b": "é: the end", "c": ""}
    assert fields._attributes(module.Given) == {"c": "of the docstring, in two lines."}


def test_every_command_is_in_the_reference() -> None:
    commands = hook("commands")
    text = "\n".join(commands.page())
    for words in ("encode", "stream decode", "tokens bpe", "mushra build", "completion"):
        assert f"\n## codax {words}\n" in text
    assert "| `--config.FIELD` |" in text and "| `--jobs`, `-j` | `2` |" in text
