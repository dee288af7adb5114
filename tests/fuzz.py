"""Runs the readers of files from outside on changed files: no exception but CodaxError, no hang, no growth.

    python tests/fuzz.py --count 100000 --seed 1 --keep DIR [TARGET ...]

prints how many files each target read and refused, and writes each file that broke a rule to DIR. The suite runs a few
of each (`tests/test_fuzz.py`).
"""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import functools
import gzip
import importlib.util
import io
import json
import logging
import os
import resource
import signal
import sys
import tarfile
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import av
import numpy as np
import soundfile
from codax import audio
from codax.cli.info import describe
from codax.codec.folder import read_model
from codax.codec.tokens import Tokens
from codax.config import Config, DACConfig, DataConfig, FSQQuantizerConfig, SoundStreamConfig, presets
from codax.containers import ecdc, packets
from codax.data import records
from codax.data.sources import archives
from codax.data.sources.spec import open_source
from codax.errors import CodaxError
from codax.interop.formats import import_model
from codax.listening.inbox import Inbox
from codax.listening.manifest import read_manifest
from codax.listening.questionnaire import DEFAULT, read_questions
from codax.listening.results import read_results
from codax.storage.tensors import read_safetensors, safetensors_bytes
from codax.tokens import shards
from codax.tokens.bpe import AcousticBPE
from codax.training import checksums
from mutations import mutated, mutated_json, mutated_lines, mutated_ogg, mutated_safetensors, mutated_tar, sealed

SECONDS = 5.0  # of work for one file
GROWTH = 500 << 20  # bytes of resident memory over a run
Mutate = Callable[[bytes, np.random.Generator], bytes]


@dataclasses.dataclass(frozen=True)
class Target:
    """A format.

    Attributes:
      name: of the file that is changed, below the folder that `prepare` fills.
      prepare: writes a valid file, and the files that it needs, into a folder.
      mutate: changes the file's bytes.
      read: reads the file as codax's users do.
    """

    name: str
    prepare: Callable[[Path], object]
    mutate: Mutate
    read: Callable[[Path], object]


def as_json(data: bytes, rng: np.random.Generator) -> bytes:
    return mutated_json(data.decode(), rng).encode("utf-8", "surrogateescape")


def sealed_mutation(data: bytes, rng: np.random.Generator) -> bytes:
    changed = mutated(data, rng)
    return sealed(changed) if rng.random() < 0.7 else changed


def mutated_ecdc(data: bytes, rng: np.random.Generator) -> bytes:
    """An `.ecdc` file whose JSON, of the stated length, is changed, or with changed bytes."""
    if rng.random() < 0.3:
        return mutated(data, rng)
    end = 9 + int.from_bytes(data[5:9], "big")
    text = as_json(data[9:end], rng)
    return data[:5] + len(text).to_bytes(4, "big") + text + data[end:]


def compressed_tar(data: bytes, rng: np.random.Generator) -> bytes:
    return gzip.compress(mutated_tar(gzip.decompress(data), rng), 1)


def tone(seconds: float = 0.4, rate: int = 8000, channels: int = 1) -> np.ndarray:
    """A quiet sine, float32 [time, channels]."""
    time_ = np.arange(round(seconds * rate))[:, None] / rate
    return np.repeat(0.3 * np.sin(2 * np.pi * 440 * time_), channels, 1).astype(np.float32)


def wav_bytes() -> bytes:
    file = io.BytesIO()
    soundfile.write(file, tone(), 8000, format="WAV")
    return file.getvalue()


def write_av(path: Path, codec: str, samples: np.ndarray, rate: int) -> None:
    """Encodes float samples [time] with FFmpeg."""
    with av.open(str(path), "w") as target:
        stream = target.add_stream(codec, rate=rate, layout="mono")
        frame = av.AudioFrame.from_ndarray(samples[None], format="fltp", layout="mono")
        frame.sample_rate = rate
        resampler = av.AudioResampler(format=stream.format, layout="mono", rate=rate, frame_size=stream.frame_size)
        for each in (*resampler.resample(frame), *resampler.resample(None)):
            target.mux(stream.encode(each))
        target.mux(stream.encode(None))


def write_tar(path: Path) -> None:
    form = tarfile.GNU_FORMAT if path.name.endswith("gz") else tarfile.PAX_FORMAT
    with tarfile.open(path, "w:gz" if path.name.endswith("gz") else "w", format=form) as archive:
        for key in ("clip", "a/b", "x" * 120):
            for suffix, content in (("wav", wav_bytes()), ("txt", b"ONE"), ("json", b'{"speaker": "a"}')):
                info = tarfile.TarInfo(f"{key}.{suffix}")
                info.size, info.pax_headers = len(content), {"comment": "é", "size": str(len(content))}
                archive.addfile(info, io.BytesIO(content))


def write_manifest(path: Path) -> None:
    rows = [
        {"file": f"{n}.wav", "text": "ONE", "sample_rate": 8000, "frames": 1600, "channels": 1, "speaker": "a"}
        for n in range(3)
    ]
    for row in rows:
        (path.parent / str(row["file"])).write_bytes(wav_bytes())
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))


def read_source(path: Path) -> object:
    config = DataConfig(cache_dir=str(path.parent / "cache"), max_clipped_fraction=1.0)
    with contextlib.redirect_stderr(io.StringIO()):  # the progress of measuring
        source = open_source(str(path), sample_rate=8000, split="test", config=config, strict=False)
        return [source.read(i) for i in range(len(source))]


def write_tokens(path: Path) -> None:
    codes = np.arange(48, dtype=np.int32).reshape(2, 8, 3)
    lengths, frames, scales = np.asarray([60, 30]), np.asarray([8, 4]), np.ones((2, 2), np.float32)
    Tokens(codes, 60, 8000, scales=scales, lengths=lengths, frames=frames).save(path, model_hash=b"8 bytes.")


def read_tokens(path: Path) -> object:
    return Tokens.load(path, model_hash=b"8 bytes.").split()


def write_token_shard(path: Path) -> None:
    facts = {"length": 60, "sample_rate": 8000, "channels": 1, "frame_rate": 100.0, "speaker": "a"}
    rows = [{"id": str(i), **facts, "codes": np.full((6 + i, 2), i, np.int16)} for i in range(5)]
    shards.write(path, token_format(path), rows, path.parent, "hash")


def token_format(path: Path) -> str:
    return next(form for form in shards.FORMATS if path.name.endswith(shards.suffix(form)))


def read_token_shard(path: Path) -> object:
    count, read = shards.open_shard(path, token_format(path), "hash")
    try:
        return [shards.check(read(i), (8, 8)) for i in range(min(count, 100))]
    except ValueError as error:  # which a data set's reader reports
        raise CodaxError(str(error)) from error


def read_record(path: Path) -> object:
    try:
        return records.decode_header(path.read_bytes())
    except ValueError as error:  # which a shard's reader reports
        raise CodaxError(str(error)) from error


def read_archive(path: Path) -> object:
    return list(archives.members(str(path)))


@functools.cache
def model_files() -> tuple[bytes, bytes]:
    """config.json and model.safetensors of a small SoundStream."""
    from codax.codec.codec import Codec
    from codax.codec.folder import write_model

    config = Config(name="small", model=SoundStreamConfig(sample_rate=8000, channels=2, strides=(2, 2), dimension=4))
    config.quantizer.num_quantizers, config.quantizer.codebook_size, config.quantizer.kbps = 2, 8, ()
    codec = Codec.init_random(config.validate())
    with tempfile.TemporaryDirectory() as folder:
        write_model(folder, config, codec.engine.flat())
        return tuple((Path(folder) / name).read_bytes() for name in ("config.json", "model.safetensors"))


def write_model_folder(path: Path, files: Callable[[], tuple[bytes, bytes]] = model_files) -> None:
    for name, data in zip(("config.json", "model.safetensors"), files(), strict=True):
        (path.parent / name).write_bytes(data)


def write_dac_config(path: Path) -> None:
    path.write_text(Config(model=DACConfig(), quantizer=FSQQuantizerConfig(kbps=())).to_json())


def read_config(path: Path) -> object:
    config = Config.load(path)
    return config.acting(), config.segment, config.hop, config.kbps(1), config.latency_ms, config.segment_samples


@functools.cache
def huggingface_files() -> tuple[bytes, bytes]:
    """config.json and model.safetensors of a small EnCodec for `transformers`."""
    from codax.codec.codec import Codec
    from codax.config import EncodecConfig
    from codax.interop.formats import export_huggingface

    model = EncodecConfig(sample_rate=8000, channels=2, strides=(2, 2), dimension=4, dilations=(1,))
    config = Config(name="small", model=model)
    config.quantizer.num_quantizers, config.quantizer.codebook_size, config.quantizer.kbps = 2, 8, (6.0, 12.0)
    with tempfile.TemporaryDirectory() as folder:
        export_huggingface(Codec.init_random(config.validate()), folder)
        return tuple((Path(folder) / name).read_bytes() for name in ("config.json", "model.safetensors"))


def write_container(path: Path) -> None:
    from codax.containers.container import Meta, pack

    meta = Meta("small", bytes(8), sample_rate=8000, channels=1, num_samples=1600, codebook_size=8)
    path.write_bytes(pack(np.ones((1, 400, 2), np.int32), meta))


def write_channels(path: Path) -> None:
    """A container of five channels; the third equals the first, the fifth the second."""
    from codax.containers.container import Meta, pack

    meta = Meta("small", bytes(8), 8000, channels=5, num_samples=1600, codebook_size=8, shared=(0, 1, 0, 2, 1))
    path.write_bytes(pack(np.ones((3, 400, 2), np.int32), meta))


def write_ecdc(path: Path) -> None:
    builder = ecdc.Builder("encodec_24khz", 4)
    builder.write(np.ones((75, 4), np.int32))
    path.write_bytes(builder.finish(24_000))


def write_listening_test(path: Path) -> None:
    """manifest.json of a listening test with one trial of two systems, and result.json."""
    from codax.listening.build import Plan, build
    from codax.listening.material import Rules

    for system, gain in (("ref", 1.0), ("first", 0.99), ("second", 0.98)):
        folder = path.parent / "material" / system
        folder.mkdir(parents=True)
        soundfile.write(folder / "item.wav", gain * tone(1.0, 16_000), 16_000)
    material = path.parent / "material"
    build(material / "ref", {n: material / n for n in ("first", "second")}, path.parent / "test", Plan(), Rules())
    manifest = json.loads((path.parent / "test" / "manifest.json").read_text())
    trials = [
        {
            "trial": trial["id"],
            "comment": "",
            "seconds": 12.5,
            "ratings": [{"signal": entry["id"], "score": 50.0} for entry in trial["signals"]],
        }
        for trial in manifest["trials"]
    ]
    result = {"format": "codax-listening-result", "version": 1, "kind": "mushra", "test": manifest["test"]}
    result |= {"session": "5" * 32, "listener": 1, "questionnaire": {"playback": "headphones"}, "trials": trials}
    (path.parent / "result.json").write_text(json.dumps(result))
    (path.parent / "manifest.json").write_bytes((path.parent / "test" / "manifest.json").read_bytes())


def send_result(path: Path) -> None:
    """As the server does."""
    Inbox(path.parent / "results", read_manifest(path.parent / "test" / "manifest.json")).add(path.read_bytes())


def write_checksums(path: Path) -> None:
    (path.parent / "array").write_bytes(b"numbers")
    checksums.write(path.parent)


def check_checksums(path: Path) -> None:
    if reason := checksums.problem(path.parent):
        raise CodaxError(reason)


def read_packets(path: Path) -> object:
    with path.open("rb") as file:
        return list(packets.read_packets(file.read, packets.read_header(file.read)))


def write_packets(path: Path) -> None:
    from codax.containers.container import Meta

    meta = Meta(
        "small", bytes(8), 8000, channels=2, num_samples=0, codebook_size=8, num_quantizers=2, streams=2, mid_side=True
    )
    codes = np.ones((2, 20, 2), np.int32)
    path.write_bytes(
        packets.header(meta) + b"".join(packets.packets(codes, meta)) + packets.last_packet(codes, 1, meta)
    )


def write_bpe(path: Path) -> None:
    AcousticBPE.train([np.tile([0, 1, 2, 3, 1], 9)], 4, 9).save(path)


def read_bpe(path: Path) -> object:
    """Reads a vocabulary, and codes a few codes, which come back whatever it holds."""
    bpe = AcousticBPE.load(path)
    codes = np.arange(min(4, bpe.codebook_size))
    assert np.array_equal(bpe.decode(bpe.encode(codes)), codes)
    return bpe


def read_audio(path: Path) -> object:
    audio.info(path)
    return sum(len(block) for block in audio.blocks(path, 4096)) if path.stat().st_size < 1 << 20 else 0


def by_soundfile(name: str, mutate: Mutate = mutated, rate: int = 8000) -> Target:
    return Target(name, lambda path: soundfile.write(path, tone(rate=rate), rate), mutate, read_audio)


def by_ffmpeg(name: str, codec: str, rate: int) -> Target:
    return Target(name, lambda path: write_av(path, codec, tone(rate=rate)[:, 0], rate), mutated, read_audio)


TARGETS = {
    "codax": Target("a.codax", write_container, sealed_mutation, describe),
    "channels": Target("a.codax", write_channels, sealed_mutation, describe),
    "packets": Target("packets", write_packets, mutated, read_packets),
    "ecdc": Target("a.ecdc", write_ecdc, mutated_ecdc, describe),
    "config": Target("config.json", write_model_folder, as_json, lambda path: read_model(path.parent)),
    "mimi": Target("a.json", lambda path: path.write_text(presets.mimi_24khz().to_json()), as_json, read_config),
    "dac": Target("a.json", write_dac_config, as_json, read_config),
    "model": Target("model.safetensors", write_model_folder, mutated_safetensors, lambda path: describe(path.parent)),
    "safetensors": Target(
        "a.safetensors",
        lambda path: path.write_bytes(safetensors_bytes({"a": np.zeros((2, 3), np.float32), "b": np.ones(4)})),
        mutated_safetensors,
        read_safetensors,
    ),
    "huggingface": Target(
        "config.json",
        lambda path: write_model_folder(path, huggingface_files),
        as_json,
        lambda path: import_model(path.parent),
    ),
    "manifest": Target("a.jsonl", write_manifest, mutated_lines, read_source),
    "tar": Target("a.tar", write_tar, mutated_tar, read_archive),
    "tar.gz": Target("a.tar.gz", write_tar, compressed_tar, read_archive),
    "record": Target(
        "record",
        lambda path: path.write_bytes(records.encode({"id": "a", "sample_rate": 8000}, tone(0.01))),
        mutated,
        read_record,
    ),
    "tokens": Target("a.safetensors", write_tokens, mutated_safetensors, read_tokens),
    "token records": Target("a.array_record", write_token_shard, mutated, read_token_shard),
    "result": Target(
        "result.json",
        write_listening_test,
        as_json,
        lambda path: read_results([path], read_manifest(path.parent / "test" / "manifest.json")),
    ),
    "sent result": Target("result.json", write_listening_test, as_json, send_result),
    "questionnaire": Target(
        "questions.json", lambda path: path.write_text(json.dumps(DEFAULT)), as_json, read_questions
    ),
    "listening": Target("manifest.json", write_listening_test, as_json, read_manifest),
    "checksums": Target("checksums.json", write_checksums, as_json, check_checksums),
    "wav": by_soundfile("a.wav"),
    "flac": by_soundfile("a.flac"),
    "ogg": by_soundfile("a.ogg", mutated_ogg),
    "mp3": by_soundfile("a.mp3"),
    "aiff": by_soundfile("a.aiff"),
    "m4a": by_ffmpeg("a.m4a", "aac", 16_000),
    "webm": by_ffmpeg("a.webm", "libopus", 48_000),
}
if importlib.util.find_spec("pyarrow") is not None:
    TARGETS["token parquet"] = Target("a.parquet", write_token_shard, mutated, read_token_shard)
if importlib.util.find_spec("tokenizers") is not None:
    TARGETS["bpe"] = Target("bpe.json", write_bpe, as_json, read_bpe)


@contextlib.contextmanager
def time_limit(seconds: float) -> Iterator[None]:
    """Raises TimeoutError in code that runs longer; the interpreter must return from native code for it."""

    def stop(*_: object) -> None:
        raise TimeoutError(f"took more than {seconds:g} s")

    before = signal.signal(signal.SIGALRM, stop)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def broken_rule(target: Target, path: Path, ends: Counter[str]) -> str:
    """Reads one file, counts how it ended, and returns the rule that was broken; "" if none was."""
    started = time.perf_counter()
    try:
        with time_limit(4 * SECONDS):
            target.read(path)
        ends["read"] += 1
    except CodaxError as error:
        ends["refused"] += 1
        if not _fits_a_line(str(error)):
            return f"not a line that a terminal shows: {str(error)!r:.300}"
    except Exception as error:
        ends["failed"] += 1
        return f"{type(error).__name__}: {str(error)[:200]!r}"
    seconds = time.perf_counter() - started
    return f"took {seconds:.1f} s" if seconds > SECONDS else ""


def _fits_a_line(message: str) -> bool:
    return len(message) <= 1000 and message.isprintable()


def run(name: str, count: int, seed: int, keep: Path | None = None) -> tuple[Counter[str], list[str]]:
    """Runs a target on `count` changed files; returns how they ended, and the rules that were broken."""
    target, rng = TARGETS[name], np.random.default_rng([seed, *name.encode()])
    ends: Counter[str] = Counter()
    broken = []
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / target.name
        target.prepare(path)
        valid = path.read_bytes()
        target.read(path)
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        for number in range(count):
            changed = target.mutate(valid, rng)
            path.write_bytes(changed)
            reason = broken_rule(target, path, ends)
            after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
            if (after - before) << 10 > GROWTH:
                reason, before = f"memory grew by {(after - before) >> 10} MB", after
            if reason:
                broken.append(f"{name} {number}: {reason}")
                if keep is not None:
                    (keep / f"{name}-{seed}-{number}{path.suffix}").write_bytes(changed)
    return ends, broken


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("targets", nargs="*", choices=[[], *TARGETS], metavar="TARGET")
    parser.add_argument("--count", type=int, default=1000, help="files of all targets together")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--keep", type=Path, help="folder for files that broke a rule")
    options = parser.parse_args()
    names = options.targets or list(TARGETS)
    logging.disable()  # warnings of skipped files
    if options.keep is not None:
        options.keep.mkdir(parents=True, exist_ok=True)
    failed = False
    for name in names:
        started = time.perf_counter()
        ends, broken = run(name, -(-options.count // len(names)), options.seed, options.keep)
        print(f"{name:12} {dict(ends)}  {time.perf_counter() - started:.0f} s", *broken[:10], sep="\n    ", flush=True)
        failed = failed or bool(broken)
    sys.exit(failed)


if __name__ == "__main__":
    os.environ.setdefault("JAX_PLATFORMS", "cpu")
    main()
