"""`codax stream` through real pipes: what comes out, when, and what is refused."""

import io
import os
import subprocess
import sys

import numpy as np
import pytest
from codax.cli import main as cli
from codax.codec.codec import Codec
from codax.config import Config, TransformerConfig, presets
from codax.containers import packets
from codax.nets.families import facts
from signals import noise

RATE = 2400
COMMAND = [sys.executable, "-m", "codax.cli.main", "stream"]


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A folder with a model that reflects the start of a signal, and one that does not stream."""
    folder = tmp_path_factory.mktemp("stream")
    for name, config in (("causal", presets.encodec_24khz()), ("segments", presets.encodec_48khz())):
        _small(config)
        Codec.init_random(config, seed=1).save(folder / name)
    config = presets.mimi_24khz()
    _small(config)
    config.model.transformer = TransformerConfig(layers=1, heads=1, hidden=8, context=6)
    config.quantizer.projection, config.quantizer.kbps = 4, ()
    Codec.init_random(config, seed=1).save(folder / "mimi")
    return folder


def _small(config: Config) -> None:
    config.model.sample_rate = RATE
    config.model.channels, config.model.dimension, config.model.strides = 4, 8, (4, 6)
    if config.model.family == "encodec":
        config.model.seanet.lstm_layers = 1
    config.quantizer.num_quantizers, config.quantizer.codebook_size, config.quantizer.kbps = 4, 32, (0.5, 2.0)


def _environment(place) -> dict[str, str]:
    return os.environ | {"CODAX_CACHE": str(place / "cache"), "JAX_PLATFORMS": "cpu"}


def _run(place, data: bytes, *args: str) -> tuple[int, bytes, str]:
    """`codax stream ARGS` in this process, with files for its pipes: exit status, stdout, stderr."""
    (place / "stdin").write_bytes(data)
    out, err = io.TextIOWrapper(io.BytesIO()), io.StringIO()
    with pytest.MonkeyPatch.context() as patch, (place / "stdin").open() as source:
        patch.chdir(place)
        patch.setenv("CODAX_CACHE", str(place / "cache"))
        patch.setattr(sys, "argv", ["codax", "stream", *args])
        patch.setattr("codax.cli.stream._SIZES", (1,))  # of what is compiled in advance
        for name, file in (("stdin", source), ("stdout", out), ("stderr", err)):
            patch.setattr(sys, name, file)
        with pytest.raises(SystemExit) as stop:
            cli.main()
    return stop.value.code or 0, out.buffer.getvalue(), err.getvalue()


def _signal(channels: int = 1, samples: int = 1501) -> np.ndarray:
    return noise(samples, channels, level=0.2)


@pytest.fixture(scope="module")
def coded(place) -> tuple[bytes, np.ndarray]:
    """A stereo signal as the mono model's packets, and the samples that they decode to."""
    pcm = _signal(2).astype("<f4").tobytes()
    status, stream, report = _run(place, pcm, "encode", "--model", "causal", "--kbps", "0.5", "--channels", "2")
    assert status == 0, report
    assert report.startswith("codax stream: 0.63 s, latency ")
    process = subprocess.run(  # the model is found by its hash
        [*COMMAND, "decode"], cwd=place, env=_environment(place), input=stream, capture_output=True, check=False
    )
    assert process.returncode == 0, process.stderr
    return stream, np.frombuffer(process.stdout, "<f4").reshape(-1, 2)


def test_the_way_there_and_back_is_what_the_library_gives(place, coded):
    import codax

    codec = codax.load(place / "causal")
    expected = codec.decode(codec.encode(_signal(2)[None], kbps=0.5))[0]
    np.testing.assert_allclose(coded[1], expected, atol=1e-5)


def test_mimi_streams_through_pipes_beyond_its_window(place):
    import codax

    codec, signal = codax.load(place / "mimi"), _signal(1, 60 * 48 - 7)
    status, stream, report = _run(place, signal.astype("<f4").tobytes(), "encode", "--model", "mimi")
    assert status == 0, report
    status, pcm, report = _run(place, stream, "decode", "--model", "mimi")
    assert status == 0, report
    expected = codec.decode(codec.encode(signal[None]))[0]
    np.testing.assert_allclose(np.frombuffer(pcm, "<f4").reshape(-1, 1), expected, atol=1e-5)


def test_16_bit_samples(place, coded):
    stream, samples = coded
    status, pcm, _ = _run(place, stream, "decode", "--format", "s16")
    actual = np.frombuffer(pcm, "<i2").reshape(-1, 2)
    assert (status, actual.shape) == (0, samples.shape)
    np.testing.assert_allclose(actual / 32768, np.clip(samples, -1, 32767 / 32768), atol=0.51 / 32768)
    # Encoding these samples as integers or as the floats that they stand for is the same.
    options = ("--model", "causal", "--channels", "2", "--kbps", "0.5")
    as_float = _run(place, (actual / np.float32(32768)).astype("<f4").tobytes(), "encode", *options)[1]
    assert _run(place, pcm, "encode", *options, "--format", "s16")[1] == as_float


def test_packets_leave_while_the_input_is_open(place):
    """With one hop written, and the pipe still open, its frame is there to be read."""
    config = presets.encodec_24khz()
    _small(config)
    command = [*COMMAND, "encode", "--model", "causal"]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, cwd=place, env=_environment(place), stdin=pipe, stdout=pipe, stderr=pipe) as process:
        assert process.stdin is not None and process.stdout is not None and process.stderr is not None
        meta = packets.read_header(process.stdout.read)
        frames = packets.read_packets(process.stdout.read, meta)
        signal = _signal(samples=12 * config.hop)
        first = facts(config.model).start_frames
        for start, stop in ((0, first), *((n, n + 1) for n in range(first, 12))):
            process.stdin.write(signal[start * config.hop : stop * config.hop].astype("<f4").tobytes())
            process.stdin.flush()
            codes, excess = next(frames)  # would wait for ever if the packet did not come
            assert (codes.shape, excess) == ((1, stop - start, 4), None)
        process.stdin.close()
        codes, excess = next(frames)
        assert (codes.shape[1], excess) == (0, 0)
        report = process.stderr.read().decode()
    # The report is measured: whole frames of 10 ms, and the reflection of the start.
    assert (config.latency_ms, first) == (10.0, 8)
    assert "latency 10.0 ms of audio (first 80.0, most 80.0)" in report
    assert process.returncode == 0


@pytest.mark.parametrize("mode", ["mid-side", "mix"])
def test_stereo_as_mid_and_side_or_mixed(place, mode):
    import codax

    options = ("--model", "causal", "--kbps", "0.5", "--channels", mode)
    status, stream, report = _run(place, _signal(2).astype("<f4").tobytes(), "encode", *options)
    assert status == 0, report
    rates = {"mid-side": "mid and side: 2 x 0.5 kbps = 1 kbps", "mix": "2 channels, mixed to one: 0.5 kbps"}
    assert report.endswith(f" kbps with headers; {rates[mode]}\n")
    status, pcm, report = _run(place, stream, "decode")
    assert status == 0, report
    codec = codax.load(place / "causal")
    expected = codec.decode(codec.encode(_signal(2)[None], kbps=0.5, channels=mode))[0]
    np.testing.assert_allclose(np.frombuffer(pcm, "<f4").reshape(expected.shape), expected, atol=1e-5)


def test_equal_channels_of_a_pipe_are_coded_each_and_reported(place):
    equal = np.repeat(_signal(1), 2, axis=1).astype("<f4").tobytes()
    options = ("encode", "--model", "causal", "--kbps", "0.5", "--channels", "2")
    status, stream, report = _run(place, equal, *options)
    assert status == 0
    assert "2 channels x 0.5 kbps = 1 kbps; the channels were equal: --channels mix codes them once" in report
    assert packets.read_header(io.BytesIO(stream).read).streams == 2
    assert "equal" not in _run(place, _signal(2).astype("<f4").tobytes(), *options)[2]


@pytest.mark.parametrize(
    ("args", "data", "reason"),
    [
        (("encode", "--model", "segments"), b"", "is not causal and cannot stream"),
        (("encode", "--model", "absent"), b"", "absent: no such model"),
        (("encode", "--model", "causal"), b"12345", "stdin: ends within a sample of 1 channels: 1 bytes remain"),
        (("encode", "--model", "causal"), b"\xff" * 8, "stdin: holds samples that are not finite"),
        (("encode", "--model", "causal", "--kbps", "0.7"), b"", "0.7 kbps cannot be made"),
        (("encode", "--model", "causal", "--channels", "0"), b"", "--channels: 0 is neither 1 to 255 nor one of each"),
        (("encode", "--model", "causal", "--channels", "left"), b"", "--channels: left is neither"),
        (("decode",), b"", "stdin: no input, not a stream of codax packets"),
        (("decode",), b"RIFF" * 30, "stdin: not a stream of codax packets"),
    ],
)
def test_what_is_refused(place, args, data, reason):
    status, _, message = _run(place, data, *args)
    assert status == 1
    assert message.startswith("codax: ")
    assert message.count("\n") == 1
    assert reason in message


def test_a_stream_that_is_cut_gives_its_whole_packets(place, coded):
    stream, samples = coded
    status, pcm, message = _run(place, stream[:-3], "decode")
    assert status == 1
    assert "stdin: packet 2: cut off: the stream ends before its last packet" in message
    actual = np.frombuffer(pcm, "<f4").reshape(-1, 2)
    assert 0 < len(actual) < len(samples)
    np.testing.assert_array_equal(actual, samples[: len(actual)])


def test_silence_without_a_sample(place):
    status, stream, _ = _run(place, b"", "encode", "--model", "causal")
    file = io.BytesIO(stream)
    meta = packets.read_header(file.read)
    ((codes, excess),) = packets.read_packets(file.read, meta)
    assert (status, codes.shape[1], excess) == (0, 0, 0)
