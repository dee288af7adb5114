"""Tar files in WebDataset's layout: `KEY.flac` next to `KEY.txt` (the text) or `KEY.json`.

The key is the base name up to its first dot. Audio may have any extension that `codax.audio` reads; the JSON object may
have `text`, `language`, `speaker`, `licence` and `split`. Other members are ignored.
"""

from __future__ import annotations

import bz2
import functools
import gzip
import lzma
import os
import posixpath
import tarfile
import zlib
from collections.abc import Callable, Iterator
from typing import IO

from codax.audio import AUDIO_SUFFIXES
from codax.data.sources.members import MAX_AUDIO_BYTES, MAX_SIDE_BYTES, ArchiveError, Member, known_facts
from codax.storage import strict_json

_OPENERS = {b"\x1f\x8b": gzip.open, b"BZ": bz2.open, b"\xfd7": lzma.open}  # by a file's first two bytes
_EXPANSION = 64  # of a member by compression, beyond `_ALWAYS` bytes; audio shrinks far less
_ALWAYS = 1 << 27
_READ_AT_ONCE = b"xgXLK"  # types of headers of extended attributes and long names
# What `tarfile` and the decompressors raise for damaged and forged archives.
_DAMAGE = (
    tarfile.TarError, OSError, EOFError, zlib.error, lzma.LZMAError, UnicodeError, ValueError, IndexError,
    OverflowError, RecursionError,
)  # fmt: skip


class _Header(tarfile.TarInfo):
    """Distinguishes the end of a tar file from damage, which `tarfile` treats as the end; refuses forged sizes."""

    @classmethod
    def frombuf(cls, buf: bytes, encoding: str, errors: str) -> tarfile.TarInfo:
        info = super().frombuf(buf, encoding, errors)
        # `tarfile` reads long names and the like at once, whatever size they declare.
        if info.size < 0 or (info.size > MAX_SIDE_BYTES and info.type in _READ_AT_ONCE):
            raise tarfile.HeaderError(f"a header declares {info.size} bytes")  # pyright: ignore[reportAttributeAccessIssue]
        return info

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


class _Parts:
    """The members of one utterance; holds at most one audio file, and `MAX_SIDE_BYTES` of texts."""

    def __init__(self, key: str) -> None:
        self.key, self.audio, self.texts = key, [], {}
        self.data: bytes | None = b""
        self._free = MAX_SIDE_BYTES

    def add(self, extension: str, size: int, read: Callable[[], bytes]) -> None:
        """Reads a member with `read` if the utterance needs it and it is not too large."""
        suffix = _suffix(extension)
        if suffix in AUDIO_SUFFIXES:
            self.audio = [*self.audio[:1], extension]
            self.data = None if len(self.audio) > 1 or size > MAX_AUDIO_BYTES else read()
        elif suffix in (".txt", ".json"):
            self._free -= size + tarfile.BLOCKSIZE  # many empty ones take memory too
            self.texts = {extension: None} if self._free < 0 else {**self.texts, extension: read()}


def members(path: str) -> Iterator[Member]:
    """The utterances of a tar file, compressed or not. Raises ArchiveError where it is damaged."""
    parts = None
    try:
        file, most = _opened(path)
        with file, tarfile.open(fileobj=file, mode="r:", tarinfo=_Header) as archive:
            while (info := _next(archive, most)) is not None:
                folder, base = posixpath.split(posixpath.normpath(info.name))
                name, dot, extension = base.partition(".")
                if not info.isreg() or not name or not dot:
                    continue
                own = posixpath.join(folder, name)
                if parts is not None and own != parts.key:
                    yield _utterance(parts)
                    parts = None
                parts = parts or _Parts(own)
                parts.add(extension.lower(), info.size, functools.partial(_content, archive, info))
    except _DAMAGE as error:
        raise ArchiveError(path, getattr(error, "strerror", None) or error) from error
    if parts is not None:
        yield _utterance(parts)


def _opened(path: str) -> tuple[IO[bytes], int]:
    """Opens an archive, decompressed; returns also the largest size of a member that it can plausibly hold."""
    with open(path, "rb") as file:
        opener, size = _OPENERS.get(file.read(2)), os.fstat(file.fileno()).st_size
    return (open(path, "rb"), size) if opener is None else (opener(path, "rb"), max(_ALWAYS, _EXPANSION * size))


def _next(archive: tarfile.TarFile, most: int) -> tarfile.TarInfo | None:
    """The next member, of at most `most` bytes and behind at most as many; the headers of earlier ones are freed."""
    info = archive.next()
    archive.members = []
    if info is not None and archive.offset < info.offset_data:  # extended headers can declare negative sizes too
        raise tarfile.ReadError("a member declares a negative size")
    if info is not None and info.size > most:
        raise tarfile.ReadError(f"{info.name!r:.80} declares {info.size} bytes, more than the archive can hold")
    if info is not None and info.offset_data > most:
        raise tarfile.ReadError(f"expands to more than {most} bytes, far more than audio does")
    return info


def _suffix(extension: str) -> str:
    return "." + extension.rpartition(".")[2]


def _content(archive: tarfile.TarFile, info: tarfile.TarInfo) -> bytes:
    file = archive.extractfile(info)
    data = file.read(info.size) if file is not None else b""
    if len(data) < info.size:
        raise tarfile.ReadError("unexpected end of data")
    return data


def _utterance(parts: _Parts) -> Member:
    key, facts, data = parts.key, {}, parts.data
    if len(parts.audio) != 1:
        return Member(key, reason="several audio members with one key" if parts.audio else "no audio member")
    if data is None:
        return Member(key, reason="too large")
    try:
        for extension in sorted(parts.texts):  # .txt overrides .json
            suffix, content = _suffix(extension), parts.texts[extension]
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
    return Member(key, data, _suffix(parts.audio[0]), facts)
