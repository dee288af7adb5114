"""The commands of examples/speech_lm/README.md, in its order, with a small codec and a small model."""

from __future__ import annotations

import importlib.util
import json
import shlex
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import jax
import numpy as np
import pytest
from codax import audio
from codax.codec.codec import Codec
from codax.config import recipe_files
from codax.errors import CodaxError
from codax.metrics import recognizers, registry
from codax.training import loop
from command import run  # noqa: F401
from small_models import config as small_config

EXAMPLE = Path(__file__).parents[1] / "examples" / "speech_lm"
RATE = 8_000


class Recognizer:
    """Hears a word in loud audio."""

    name, languages = "loud", None

    def __init__(self, model: str) -> None:
        assert model == "base"

    def transcribe(self, audio: np.ndarray, language: str) -> str:
        return "word" if np.abs(audio).max() > 0.01 else ""


def commands() -> list[list[str]]:
    """The commands of the README's first part."""
    text = (EXAMPLE / "README.md").read_text().split("```")[1]
    return [shlex.split(line) for line in text.strip().splitlines()]


@pytest.fixture
def program(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Runs a program of the example in this process with these arguments."""

    def loaded(name: str) -> ModuleType:
        spec = importlib.util.spec_from_file_location(name, EXAMPLE / f"{name}.py")
        assert spec is not None and spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        return module

    monkeypatch.syspath_prepend(str(EXAMPLE))

    def call(name: str, *arguments: str) -> None:
        monkeypatch.setattr(sys, "argv", [name, *arguments])
        loaded(name).main()

    return call


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder: recordings in `speech`, a prompt, and a small codec."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "speech").mkdir()
    rng = np.random.default_rng(0)
    for i in range(14):
        audio.write(tmp_path / "speech" / f"{i}.wav", rng.normal(0, 0.1, (2_400, 1)).astype(np.float32), RATE)
    audio.write(tmp_path / "speech.wav", rng.normal(0, 0.1, (2_400, 2)).astype(np.float32), RATE)
    Codec.init_random(small_config("soundstream"), seed=1).save("codec")
    return tmp_path


def trained(lm: str, tokens: str) -> None:
    """Trains the recipe in small, for two steps."""
    config = recipe_files.load_recipe(EXAMPLE.parents[1] / "configs" / "speech_lm.py")
    assert config.lm.tokens == tokens and config.lm.codec == "speechtokenizer-speech"
    config.lm.codec, config.lm.dim, config.lm.layers, config.lm.heads, config.lm.hidden = "codec", 16, 1, 2, 32
    config.lm.past_seconds, config.lm.offset_seconds = 0.05, 0.1
    config.train.steps, config.train.batch_size, config.train.segment_seconds = 2, 8, 0.1
    config.train.eval_batches = 1
    with pytest.MonkeyPatch.context() as patch:  # one of the suite's eight devices
        patch.setattr(jax, "device_count", lambda: 1)
        patch.setattr(jax, "local_device_count", lambda: 1)
        loop.train(config.validate(), lm)


def test_the_commands_of_the_page(
    place: Path,
    run,  # noqa: F811
    program: Callable[..., None],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("CODAX_CACHE", str(place / "cache"))
    _, tokenize, train, sample, evaluate = commands()
    assert tokenize[:3] == ["codax", "tokenize", "starter"] and tokenize[-1] == "speechtokenizer-speech"
    status, _, error = run("tokenize", "speech", *tokenize[3:-1], "codec", "--format", "arrayrecord")
    assert status == 0, error
    assert train[:3] == ["python", "train.py", "--config=configs/speech_lm.py"]
    trained(train[3].removeprefix("--workdir="), tokenize[4])

    short = ["--model", "codec", "--prompt-seconds", "0.1", "--seconds", "0.1", "--top-k", "5"]
    assert sample[1] == "examples/speech_lm/sample.py"
    program("sample", *sample[2:], *short)
    samples, rate = audio.read("continued.wav")
    assert rate == RATE and samples.shape == (1_600, 1)
    with pytest.raises(CodaxError, match=r"continued\.wav: already exists"):
        program("sample", *sample[2:], *short)
    audio.write(place / "short.wav", np.zeros((80, 1), np.float32), RATE)
    with pytest.raises(CodaxError, match=r"short\.wav: is shorter than the prompt of 0\.1 s"):
        program("sample", sample[2], "--prompt", "short.wav", "--out", "x.wav", *short)

    assert evaluate[1] == "examples/speech_lm/evaluate.py"
    monkeypatch.setattr(registry, "select", lambda names: None)  # the packages of the metrics may be missing
    monkeypatch.setattr(recognizers, "FasterWhisper", Recognizer)
    monkeypatch.setattr("codax.metrics.speakers.similarity", lambda a, b: 0.5)
    monkeypatch.setattr("codax.metrics.intelligibility.dnsmos", lambda signal: {"dnsmos": 2.0})
    monkeypatch.setattr(recognizers, "transcript_cache", lambda: place / "transcripts")
    split = json.loads((place / tokenize[4] / "dataset.json").read_text())["splits"]
    program("evaluate", *evaluate[2:], *short, "--split", "train", "--clips", "3", "--audio", "heard")
    assert split["train"]["records"] >= 3
    results = json.loads(Path(evaluate[-1]).read_text())
    assert set(results["bits"]) == {"language model", "unigram", "adaptive coder"}
    assert all(1 < values["bits_per_code"][0] < 8 for values in results["bits"].values())
    assert results["continuations"]["real"]["with_words"][0] == 1
    assert [results["continuations"]["language model"][key][0] for key in ("speaker", "dnsmos")] == [0.5, 2.0]
    assert len(list((place / "heard").iterdir())) == 9

    Codec.init_random(small_config("soundstream"), seed=2).save("other")
    for name, *arguments in (("sample", *sample[2:]), ("evaluate", *evaluate[2:])):
        with pytest.raises(CodaxError, match=r"lm\.json: learned codes of the codec with hash"):
            program(name, *arguments, "--model", "other", "--out", "x")
