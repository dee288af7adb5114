"""`eval.py --report=bitrates`: nominal and measured bit rates of recipes and models, and those of their papers."""

from __future__ import annotations

import dataclasses
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from codax import audio
from codax.codec.codec import Codec
from codax.config import Config
from codax.config.recipe_files import load_recipe
from codax.containers.frequencies import find_lm
from codax.containers.whole_files import decode_file, encode_file
from codax.data.sources.spec import load_utterances
from codax.errors import CodaxError
from codax.evaluation.codecs import find_models
from codax.runtime import tables
from codax.storage import csv_text
from codax.storage.files import write_whole

NAME = "bitrates.csv"


@dataclasses.dataclass(frozen=True)
class Paper:
    """Values reported in a paper.

    Attributes:
      source: the paper and its section.
      coded: kbps after entropy coding, by nominal kbps.
      latency_ms: algorithmic latency.
    """

    source: str
    coded: dict[float, float] = dataclasses.field(default_factory=dict)
    latency_ms: float | None = None


PAPERS = {
    "soundstream_24khz": Paper("arXiv 2107.03312", latency_ms=13.3),
    "encodec_24khz": Paper("arXiv 2210.13438", {1.5: 0.9, 3.0: 1.9, 6.0: 4.1, 12.0: 8.9}, 13.3),
    "encodec_48khz": Paper("arXiv 2210.13438", {6.0: 4.2, 12.0: 8.9, 24.0: 19.4}, 1000.0),
    "speechtokenizer_16khz": Paper("arXiv 2308.16692"),
    "mimi_24khz": Paper("arXiv 2410.00037", latency_ms=80.0),
    "dac_44khz": Paper("arXiv 2306.06546"),
}


@dataclasses.dataclass(frozen=True)
class Rate:
    """One model at one rate; None = not applicable or not measured.

    Attributes:
      model: its name; `random` marks random weights with the sizes of a recipe.
      quantizers, frame_rate: levels, and frames per second.
      nominal: kbps of the codes of one signal.
      file: kbps of complete `.codax` files.
      adaptive, lm: the same with entropy coding, by adaptive frequencies and by the model's language model.
      latency_ms: algorithmic latency: a frame, or a segment; None if signals are coded as a whole.
      encode_speed, decode_speed: seconds of audio per second of time.
      paper, paper_coded, paper_latency_ms: see `Paper`.
    """

    model: str
    random: bool
    quantizers: int
    frame_rate: float
    nominal: float
    file: float
    adaptive: float | None
    lm: float | None
    latency_ms: float | None
    encode_speed: float
    decode_speed: float
    paper: str
    paper_coded: float | None
    paper_latency_ms: float | None


def measure(models: Any, recipes: Sequence[str], data: str, *, seconds: float, split: str = "test") -> list[Rate]:
    """Codes the same speech with every model and recipe at each of its rates.

    Args:
      models: as for `find_models`.
      recipes: files; their models get random weights, for which entropy coding is not measured.
      data: a SPEC of `codax.data.sources.spec`; its utterances are concatenated.
      seconds: of speech to code.
      split: of the data.

    Raises:
      CodaxError: invalid input.
    """
    loaded = [(model.name, model.codec, False) for model in find_models(models)]
    configs = [load_recipe(path).validate() for path in recipes]
    if not loaded and not configs:
        raise CodaxError("nothing to measure: give models or recipes")
    rates = []
    with tempfile.TemporaryDirectory() as folder:
        for name, codec, random in loaded:
            rates += _rates(name, codec, random, _speech(codec.config, data, seconds, split, Path(folder)))
        for config in configs:
            if config.lm.codec:
                continue  # a recipe of a language model has no codec
            source = _speech(config, data, seconds, split, Path(folder))
            rates += _rates(config.name, Codec.init_random(config), True, source)
    return rates


def _speech(config: Config, data: str, seconds: float, split: str, folder: Path) -> Path:
    """Writes a file of concatenated utterances at the model's rate and with its channels."""
    rate, parts, remaining = config.model.sample_rate, [], round(seconds * config.model.sample_rate)
    path = folder / f"{rate}_{config.model.audio_channels}.wav"
    if path.exists():
        return path
    for utterance in load_utterances(data, split=split, sample_rate=rate):
        parts.append(utterance.audio[:remaining, :1])
        remaining -= len(parts[-1])
        if remaining <= 0:
            break
    audio.write(path, np.tile(np.concatenate(parts), (1, config.model.audio_channels)), rate)
    return path


def _rates(name: str, codec: Codec, random: bool, source: Path) -> list[Rate]:
    config, paper = codec.config, PAPERS.get(name, Paper(""))
    rates = []
    for kbps in config.quantizer.kbps or (config.kbps(config.quantizer.num_quantizers),):
        levels = config.quantizers_for(kbps)
        target, out = str(source.with_suffix(".codax")), str(source.with_name("decoded.wav"))

        def encoded(entropy=None, kbps: float = kbps, target: str = target):
            return encode_file(source, target, model=codec, kbps=kbps, entropy=entropy)

        encoded()  # compiles
        encoded_file = encoded()
        decode_file(target, out, model=codec)
        decoded_file = decode_file(target, out, model=codec)
        adaptive = None if random else encoded("adaptive").kbps
        lm = None if random or find_lm(codec, None) is None else encoded("lm").kbps
        nominal = config.kbps(levels)
        coded = [value for rate, value in paper.coded.items() if abs(rate - nominal) < 0.02 * nominal]
        segment = config.segment[0]
        latency = config.latency_ms if codec.streams else 1000 * segment / config.model.sample_rate or None
        rates.append(
            Rate(
                name,
                random,
                levels,
                config.frame_rate,
                nominal,
                encoded_file.kbps,
                adaptive,
                lm,
                latency,
                encoded_file.real_time_factor,
                decoded_file.real_time_factor,
                paper.source,
                coded[0] if coded else None,
                paper.latency_ms,
            )
        )
    return rates


_COLUMNS = (
    ("model", "model", ""),
    ("quantizers", "levels", "d"),
    ("frame_rate", "frames/s", "g"),
    ("nominal", "nominal kbps", ".4g"),
    ("file", "file kbps", ".2f"),
    ("adaptive", "adaptive", ".2f"),
    ("lm", "lm", ".2f"),
    ("paper_coded", "paper coded", ".1f"),
    ("latency_ms", "latency ms", ".1f"),
    ("paper_latency_ms", "paper ms", ".1f"),
    ("encode_speed", "encode x", ".1f"),
    ("decode_speed", "decode x", ".1f"),
    ("paper", "paper", ""),
)


def to_csv(rates: Sequence[Rate]) -> str:
    """One line per rate, with empty fields for missing values."""
    names = [field.name for field in dataclasses.fields(Rate)]
    rows = [[getattr(rate, name) for name in names] for rate in rates]
    return csv_text.to_csv([names, *([f"{v:.6g}" if isinstance(v, float) else v for v in row] for row in rows)])


def report(rates: Sequence[Rate], out: str | None) -> None:
    """Prints the table; writes bitrates.csv to `out`, if given."""
    rows = []
    for rate in rates:
        values = [(getattr(rate, name), form) for name, _, form in _COLUMNS]
        cells = ["" if value is None else format(value, form) for value, form in values]
        rows.append([cells[0] + " *" * rate.random, *cells[1:]])
    tables.show([title for _, title, _ in _COLUMNS], rows)
    if any(rate.random for rate in rates):
        print("* random weights: rates, latency and speed are the recipe's; entropy coding needs a trained model")
    if out:
        folder = Path(out)
        try:
            folder.mkdir(parents=True, exist_ok=True)
            write_whole(folder / NAME, to_csv(rates))
        except OSError as error:
            raise CodaxError(f"{folder}: cannot be written ({error.strerror or error})") from error
