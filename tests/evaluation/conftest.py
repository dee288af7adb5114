"""A codec and a recogniser small enough to follow by hand, and two seconds of data."""

import dataclasses

import numpy as np
import pytest
from codax import audio
from codax.config import Config, EMAQuantizerConfig, SoundStreamConfig
from codax.errors import CodaxError
from codax.evaluation import runner

RATE = 16_000
METRICS = ("nsim", "visqol", "si_sdr", "snr", "stft", "mel", "wer", "codebooks", "speaker", "phones", "abx")
WORDS = ("alpha", "bravo", "charlie", "delta")


@dataclasses.dataclass
class FakeTokens:
    codes: np.ndarray
    length: int
    scales: np.ndarray | None = None


class FakeCodec:
    """Codes the mean of every two samples in 8 bits, and the remainder in 8 bits more."""

    model_id = "fake"
    hash = bytes(8)

    def __init__(self):
        self.config = Config(
            name="fake",
            model=SoundStreamConfig(sample_rate=RATE, strides=(2,)),
            quantizer=EMAQuantizerConfig(num_quantizers=2, codebook_size=256, kbps=(64.0, 128.0)),
        ).validate()

    def encode(self, signals, *, sample_rate, kbps):
        assert sample_rate == RATE
        if np.abs(signals).max() > 0.999:
            raise CodaxError("too loud")
        _, length, channels = signals.shape
        frames = np.pad(signals[0].T, ((0, 0), (0, length % 2))).reshape(channels, -1, 2).mean(axis=2)
        first = np.clip(np.rint((frames + 1) * 127.5), 0, 255)
        second = np.clip(np.rint((frames - (first / 127.5 - 1)) * 127.5**2 + 127.5), 0, 255)
        codes = np.stack([first, second], axis=2).astype(np.int32)
        return FakeTokens(codes[:, :, : self.config.quantizers_for(kbps)], length)

    def vectors(self, codes):
        return np.stack([np.ones(codes.shape[:2]), codes[..., 0] / 100], axis=-1)

    def decode(self, tokens):
        frames = tokens.codes[..., 0] / 127.5 - 1
        if tokens.codes.shape[2] == 2:
            frames = frames + (tokens.codes[..., 1] - 127.5) / 127.5**2
        return np.repeat(frames, 2, axis=1)[:, : tokens.length].T[None].astype(np.float32)


class FakeRecognizer:
    """Hears one word for every half second that is not silent, and a wrong one in audio that lost its fine detail."""

    name = "fake recogniser"
    languages = frozenset({"en"})

    def transcribe(self, samples, language):
        assert samples.ndim == 1
        assert language == "en"
        words = list(WORDS[: len(samples) // (RATE // 2)])
        if len(np.unique(samples)) < 200:
            words[0] = "rubbish"
        return " ".join(words)


@pytest.fixture
def codec():
    return FakeCodec()


@pytest.fixture
def recognizer():
    return FakeRecognizer()


@pytest.fixture(autouse=True, scope="session")
def cache(tmp_path_factory):
    """Keeps the user's own cache out of the tests."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CODAX_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture
def folder(tmp_path):
    """Three files with transcripts: [time, 1] harmonics in syllables."""
    return make_data(tmp_path / "data")


@pytest.fixture(scope="session")
def finished(tmp_path_factory):
    """(results, folder of results, folder of data) of one whole evaluation, not to be changed."""
    root = tmp_path_factory.mktemp("finished")
    data, out = make_data(root / "data"), root / "a folder" / "out"
    transcripts = data / "transcripts.tsv"
    transcripts.write_text(transcripts.read_text().replace("alpha bravo\n", "alpha <b>bravo</b>\n"))
    results = runner.evaluate(
        FakeCodec(), str(data), out, metrics=METRICS, baselines=("opus:12",), asr=FakeRecognizer(), labels=str(data)
    )
    return results, out, data


def make_data(data):
    data.mkdir()
    lines = []
    for index, seconds in enumerate((1.5, 2.0, 1.0)):
        t = np.arange(int(seconds * RATE) + index) / RATE
        tones = (np.sin(2 * np.pi * (130 + 20 * index) * k * t + k * k) / k for k in range(1, 20))
        signal = 0.08 * sum(tones) * np.clip(np.sin(2 * np.pi * 3 * t), 0.05, 1)
        audio.write(data / f"clip{index}.wav", signal.astype(np.float32), RATE)
        # Phones of 5 ms here and there: even ones are loud.
        phones = [(4000 + 3000 * i, 4080 + 3000 * i, "AE"[i % 2]) for i in range(4)]
        (data / f"clip{index}.phn").write_text(
            "".join(f"{a} {b} {phone}\n" for a, b, phone in phones[: -index or None])
        )
        lines.append(f"clip{index}.wav\t{' '.join(WORDS[: int(seconds * 2)])}")
    (data / "transcripts.tsv").write_text("\n".join(lines) + "\n")
    return data
