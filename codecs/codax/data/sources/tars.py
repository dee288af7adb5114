"""Tar files in WebDataset's layout: `KEY.flac` next to `KEY.txt` (the text) or `KEY.json`.

The key is the base name up to its first dot. Audio may have any extension that `codax.audio` reads; the JSON object may
have `text`, `language`, `speaker`, `licence` and `split`. Other members are ignored.
"""

from __future__ import annotations

import lzma
import posixpath
import tarfile
import zlib
from collections.abc import Iterator

from codax.audio import AUDIO_SUFFIXES
from codax.data.sources.members import MAX_AUDIO_BYTES, MAX_SIDE_BYTES, ArchiveError, Member, known_facts
from codax.storage import strict_json


class _Header(tarfile.TarInfo):
    """Distinguishes the end of a tar file from damage, which `tarfile` treats as the end."""

    @classmethod
    def fromtarfile(cls, archive: tarfile.TarFile) -> tarfile.TarInfo:
        try:
            return super().fromtarfile(archive)
        except tarfile.EOFHeaderError:  # pyright: ignore[reportAttributeAccessIssue]
            raise
        except tarfile.EmptyHeaderError as error:  # pyright: ignore[reportAttributeAccessIssue]
            raise tarfile.ReadError("no end-of-archive marker" if archive.offset else "empty file") from error
        except tarfile.HeaderError as error:
            raise tarfile.ReadError(f"{error} at byte {archive.offset}") from error


def members(path: str) -> Iterator[Member]:
    """The utterances of a tar file, compressed or not. Raises ArchiveError where it is damaged."""
    key, parts = "", {}
    try:
        with tarfile.open(path, "r|*", tarinfo=_Header) as archive:
            while (info := archive.next()) is not None:
                archive.members = []  # frees the headers already read
                folder, base = posixpath.split(posixpath.normpath(info.name))
                name, dot, extension = base.partition(".")
                if not info.isreg() or not name or not dot:
                    continue
                own = posixpath.join(folder, name)
                if own != key and parts:
                    yield _utterance(key, parts)
                    parts = {}
                key = own
                parts[extension.lower()] = _content(archive, info)
    except (tarfile.TarError, OSError, EOFError, zlib.error, lzma.LZMAError, UnicodeError, ValueError) as error:
        raise ArchiveError(path, getattr(error, "strerror", None) or error) from error
    if parts:
        yield _utterance(key, parts)


def _suffix(extension: str) -> str:
    return "." + extension.rpartition(".")[2]


def _content(archive: tarfile.TarFile, info: tarfile.TarInfo) -> bytes | None:
    """The bytes of an audio or text member; None if it is too large, b"" for other members."""
    suffix = _suffix(info.name.lower())
    is_text = suffix in (".txt", ".json")
    if not is_text and suffix not in AUDIO_SUFFIXES:
        return b""
    if info.size > (MAX_SIDE_BYTES if is_text else MAX_AUDIO_BYTES):
        return None
    file = archive.extractfile(info)
    return file.read() if file is not None else b""


def _utterance(key: str, parts: dict[str, bytes | None]) -> Member:
    audio = [extension for extension in parts if _suffix(extension) in AUDIO_SUFFIXES]
    if len(audio) != 1:
        return Member(key, reason="several audio members with one key" if audio else "no audio member")
    data, facts = parts[audio[0]], {}
    if data is None:
        return Member(key, reason="too large")
    try:
        for extension in sorted(parts):  # .txt overrides .json
            suffix, content = _suffix(extension), parts[extension]
            if suffix not in (".txt", ".json"):
                continue
            if content is None:
                return Member(key, reason=f"{suffix[1:]} member is too large")
            text = content.decode("utf-8-sig")
            if suffix == ".txt":
                facts |= {"text": text.strip()} if text.strip() else {}
                continue
            row = strict_json.parse(text, surrogates=True)  # `known_facts` replaces them
            if not isinstance(row, dict):
                return Member(key, reason="json member is not an object")
            facts |= known_facts(row)
    except UnicodeDecodeError:
        return Member(key, reason="text is not UTF-8")
    except strict_json.JSONError:
        return Member(key, reason="json member is not JSON")
    return Member(key, data, _suffix(audio[0]), facts)
