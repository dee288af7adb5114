"""Pages of the site for the files outside docs/ that its pages link to, such as recipes and model cards.

A hook of mkdocs (mkdocs.yml). Links in docs/ are those of the repository, so that they work there too; here every link
that leaves docs/ leads to a page with the file's contents, and a file that does not exist ends the build.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterator
from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.exceptions import PluginError
from mkdocs.structure.files import File, Files, InclusionLevel
from mkdocs.structure.pages import Page

ROOT = Path(__file__).parents[2]
DOCS, FOLDER = "docs/", "source/"
_LINK = re.compile(
    r"(?P<fence>^ *```.*?^ *```)|\]\((?P<path>[^)\s#:]+)(?P<anchor>#[^)\s]*)?\)", re.DOTALL | re.MULTILINE
)
_LANGUAGES = {".py": "python", ".sh": "sh", ".json": "json", ".toml": "toml", ".js": "js", ".html": "html"}


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Adds a page for every file outside docs/ that a page links to, and for those that these link to."""
    places = [DOCS + file.src_uri for file in files.documentation_pages()]
    while places:
        for path in linked(places.pop(0)):
            if files.get_file_from_path(uri(path)) is None:
                files.append(_page(path, config))
                places += [path] if path.endswith(".md") or (ROOT / path).is_dir() else []
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Replaces links to files of the repository by links to their pages."""
    here = page.file.src_uri
    place = here.removeprefix(FOLDER) if here.startswith(FOLDER) else DOCS + here
    if not (ROOT / place).is_file():  # a page that is generated: its links are those of the site
        return markdown

    def replaced(match: re.Match[str]) -> str:
        if match["fence"]:
            return match[0]
        target = posixpath.relpath(uri(_resolved(place, match["path"])), posixpath.dirname(here) or ".")
        return f"]({target}{match['anchor'] or ''})"

    return _LINK.sub(replaced, markdown)


def linked(place: str) -> Iterator[str]:
    """Yields the files and folders outside docs/ that a page leads to, by their paths in the repository.

    Args:
      place: path of a Markdown file, or of a folder, whose page is a list of its files.
    """
    if (ROOT / place).is_dir():
        yield from (f"{place}/{path.name}" for path in sorted((ROOT / place).iterdir()) if path.is_file())
        return
    for match in _LINK.finditer((ROOT / place).read_text(encoding="utf-8")):
        if not match["fence"] and not (path := _resolved(place, match["path"])).startswith(DOCS):
            if not (ROOT / path).exists():
                raise PluginError(f"{place}: {match['path']} is not in the repository")
            yield path


def uri(path: str) -> str:
    """Returns the place in the site of a file of the repository."""
    if path.startswith(DOCS):
        return path.removeprefix(DOCS)
    if (ROOT / path).is_dir():
        return f"{FOLDER}{path}/files.md"
    return FOLDER + path + (".md" if Path(path).suffix in _LANGUAGES else "")


def _resolved(place: str, link: str) -> str:
    return posixpath.normpath(posixpath.join(posixpath.dirname(place), link))


def _page(path: str, config: MkDocsConfig) -> File:
    language = _LANGUAGES.get(Path(path).suffix)
    if (ROOT / path).is_dir():
        text = f"# {path}\n\n" + "".join(f"- [{Path(name).name}]({Path(uri(name)).name})\n" for name in linked(path))
    elif language is not None:
        text = f"# {path}\n\n`````{language}\n{(ROOT / path).read_text(encoding='utf-8')}`````\n"
    else:
        return File.generated(config, uri(path), abs_src_path=str(ROOT / path), inclusion=InclusionLevel.NOT_IN_NAV)
    return File.generated(config, uri(path), content=text, inclusion=InclusionLevel.NOT_IN_NAV)
