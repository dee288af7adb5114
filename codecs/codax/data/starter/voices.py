"""The voices of the starter corpus, their recordings and their transcripts."""

from __future__ import annotations

import dataclasses
import gzip
import re
from collections.abc import Callable
from pathlib import Path

import numpy as np

from codax import audio
from codax.data.starter import sentences
from codax.errors import CodaxError


@dataclasses.dataclass(frozen=True)
class Voice:
    """One package of recordings by one speaker; the fractions refer to prompts that may be held out."""

    package: str
    language: str
    speaker: str
    licence: str
    transcripts: str = ""  # the package that holds them
    validation_fraction: float = 0.04
    test_fraction: float = 0.06
    notice: str = ""


@dataclasses.dataclass(frozen=True)
class Recording:
    """One utterance; `load` returns float32 [time, channels] and the rate in Hz; `skip` is a reason to leave it out."""

    id: str
    text: str
    load: Callable[[], tuple[np.ndarray, int]]
    skip: str = ""


_PROMPTS = "CC BY-SA 3.0"
VOICES = (
    # A fifth of the English prompts is test material, so that word error rates are based on enough words.
    Voice(
        "asterisk-core-sounds-en-g722", "en", "en-allison", _PROMPTS, "asterisk-core-sounds-en", 0.06, test_fraction=0.2
    ),
    Voice("asterisk-core-sounds-es-g722", "es", "es-allison", _PROMPTS),
    Voice("asterisk-core-sounds-fr-g722", "fr", "fr-june", _PROMPTS),
    Voice("asterisk-core-sounds-it-g722", "it", "it-carlo", _PROMPTS),
    Voice("asterisk-core-sounds-ru-g722", "ru", "ru-ivrvoice", _PROMPTS),
    Voice("festvox-ru", "ru", "ru-nsh", "BSD-like (festvox-ru)", "festvox-ru"),
)
PACKAGES = tuple(dict.fromkeys(name for v in VOICES for name in (v.package, v.transcripts) if name))
HIBARI = Voice(
    "hibari-tts",
    "en",
    "en-heart",
    "Apache-2.0",
    "hibari-tts",
    test_fraction=0.1,
    notice="Speech synthesised by the package hibari-tts (Apache-2.0), distilled from Kokoro-82M (Apache-2.0).\n",
)

# Tones, silence and effects among the prompts of the asterisk packages.
_NOT_SPEECH = re.compile(
    r"silence/.*|(ascending|descending)-2tone|beep|beeperr|tt-monkeys|confbridge-(join|leave)", re.IGNORECASE
)


def recordings(voice: Voice, unpacked: dict[str, Path]) -> list[Recording]:
    """The recordings of a voice, ordered by id.

    Args:
      voice: one of `VOICES`.
      unpacked: folder of every unpacked package, by package name.

    Raises:
      CodaxError: the package has no recordings.
    """
    utterances = _festvox(voice, unpacked) if voice.package.startswith("festvox") else _asterisk(voice, unpacked)
    if not utterances:
        raise CodaxError(
            f"{unpacked[voice.package]}: package {voice.package} holds no recordings; has its layout changed?"
        )
    return sorted(utterances, key=lambda recording: recording.id)


def _loader(path: Path) -> Callable[[], tuple[np.ndarray, int]]:
    return lambda: audio.read(path)


def _asterisk(voice: Voice, unpacked: dict[str, Path]) -> list[Recording]:
    texts = {}
    if voice.transcripts:
        for path in unpacked[voice.transcripts].glob("usr/share/doc/*/core-sounds-*.txt*"):
            raw = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
            texts.update(asterisk_texts(raw.decode("utf-8", "replace")))
    utterances = []
    for folder in unpacked[voice.package].glob("usr/share/asterisk/sounds/*"):
        for path in folder.rglob("*.g722"):
            name = path.relative_to(folder).with_suffix("").as_posix()
            skip = "not speech" if _NOT_SPEECH.fullmatch(name) else ""
            identifier = f"{voice.language}-{name.replace('/', '-')}"
            utterances.append(Recording(identifier, texts.get(name, ""), _loader(path), skip))
    return utterances


def asterisk_texts(listing: str) -> dict[str, str]:
    """Parses the transcripts of an asterisk package: `name: text` lines; removes remarks, spells out key names."""
    texts = {}
    for line in listing.splitlines():
        name, colon, text = line.partition(":")
        if not colon or line.startswith(";"):
            continue
        text = re.sub(r"\[[^]]*\]|\([^)]*\)?|<[^>]*>", " ", text)  # [tones], (remarks), <beeps>
        text = text.replace("*", " star ").replace("#", " pound ").replace("...", " ")
        texts[name.strip()] = re.sub(r"\s+([.,!?])", r"\1", " ".join(text.split()))
    return texts


def _festvox(voice: Voice, unpacked: dict[str, Path]) -> list[Recording]:
    utterances = []
    for listing in unpacked[voice.package].glob("usr/share/festival/voices/*/*/etc/txt.done.data"):
        texts = festvox_texts(listing.read_text(encoding="utf-8", errors="replace"))
        for path in (listing.parent.parent / "wav").glob("*.wav"):
            utterances.append(Recording(f"{voice.speaker}-{path.stem}", texts.get(path.stem, ""), _loader(path)))
    return utterances


def festvox_texts(listing: str) -> dict[str, str]:
    """Parses the transcripts of a festvox voice: `( name "text" )` lines; `+` marks stress and is removed."""
    pairs = re.findall(r'^\(\s*(\S+)\s+"(.*)"\s*\)\s*$', listing, re.MULTILINE)
    return {name: " ".join(text.replace("+", "").split()) for name, text in pairs}


def synthesize(count: int = 1500) -> tuple[list[Recording], str]:
    """Returns `count` sentences spoken by the neural voice of hibari-tts, and the version of that package.

    Raises:
      CodaxError: the package is not installed.
    """
    try:
        from importlib.metadata import version

        from hibari import Hibari  # pyright: ignore[reportMissingImports]
    except ImportError as error:
        raise CodaxError(
            "the starter corpus needs a Debian package client (apt-get), or the package hibari-tts to speak it: "
            "pip install hibari-tts; or give your own audio with data.source"
        ) from error
    voice = Hibari()

    def speaker(text: str) -> Callable[[], tuple[np.ndarray, int]]:
        return lambda: (np.asarray(voice(text, seed=0), np.float32)[:, None], 24_000)

    texts = sentences.generate(count)
    return [Recording(f"hibari-{i:05d}", text, speaker(text)) for i, text in enumerate(texts)], version("hibari-tts")
