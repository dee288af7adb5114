"""Mixtures: every file is a tone of its own, so that a spectrum tells which clips an example is made of."""

from __future__ import annotations

import json
from pathlib import Path

import grain
import numpy as np
import pytest
from codax import audio
from codax.config import Config, ConfigError, MixtureConfig, recipe_flags
from codax.data import mixtures, pipeline, transforms
from codax.data.crops import Windows
from codax.data.shards.build import build_shards
from codax.data.sources.spec import open_source
from codax.errors import CodaxError
from signals import tones

RATE, SAMPLES = 16_000, 8000
FILES = {"music": 16, "speech": 12, "noise": 8}
FIRST_HZ = {"music": 400, "speech": 2400, "noise": 4400}  # files are 100 Hz apart


def tone(hertz: float, seconds: float) -> np.ndarray:
    """A quiet tone that fits into a segment a whole number of times, so that it stays in one bin of its spectrum."""
    return tones(seconds, RATE, [hertz])[:, 0]


@pytest.fixture(scope="module")
def root(tmp_path_factory) -> Path:
    """Folders music, speech and noise; file i has i % 3 + 1 segments."""
    root = tmp_path_factory.mktemp("tones")
    for name, count in FILES.items():
        (root / name).mkdir()
        for i in range(count):
            audio.write(root / name / f"{i:02d}.wav", tone(FIRST_HZ[name] + 100 * i, 0.5 + 0.5 * (i % 3)), RATE)
    return root


@pytest.fixture
def config(config, root):
    config.data.validation_fraction = 0.0
    config.data.normalize_peak = True
    config.data.gain_db = (-20.0, -12.0)  # three clips stay in full scale
    config.data.mixture.sources = tuple(f"{name}={root / name}" for name in FILES)
    config.quantizer.kbps = (3.0, 6.0)  # rates that 16 kHz allows
    return config.validate()


def take(config, count=100, **options):
    """[4 * count, time, channels]"""
    iterator = pipeline.training_batches(config, batch_size_per_process=4, **options)
    return np.concatenate([next(iterator)["audio"] for _ in range(count)])


def files(example: np.ndarray) -> list[tuple[str, int]]:
    """The files that are heard in an example [time, 1]."""
    spectrum = np.abs(np.fft.rfft(example[:, 0])) * 2 / SAMPLES
    heard = [(name, i) for name, count in FILES.items() for i in range(count)]
    return [(name, i) for name, i in heard if spectrum[(FIRST_HZ[name] + 100 * i) * SAMPLES // RATE] > 0.04]


def one_strategy(config, count, pool):
    mixture = config.data.mixture
    mixture.probabilities, mixture.counts, mixture.pools, mixture.reverberant = (1.0,), (count,), (pool,), (True,)


def test_strategies_have_their_shares_counts_and_pools(config):
    made = [files(example) for example in take(config)]
    music = [{name for name, _ in actual} == {"music"} for actual in made]
    counts = np.array([len(actual) for actual in made])
    # An eighth of the pairs are of music too, and few examples have the same file twice.
    assert abs(np.sum(music & (counts == 1)) - 128) <= 8
    assert abs(np.sum(~np.array(music) & (counts == 1)) - 128) <= 10
    assert abs(np.sum(counts == 2) - 96) <= 16
    assert abs(np.sum(counts == 3) - 48) <= 12
    assert set(counts) <= {0, 1, 2, 3} and np.sum(counts == 0) <= 2  # a tone can cancel itself
    assert not any("music" in dict(actual) for actual in made if len(actual) == 3)
    pairs = [{name for name, _ in actual} for actual in made if len(actual) == 2]
    assert {"music"} in pairs and {"music", "noise"} in pairs and {"speech"} in pairs


def test_within_a_pool_every_second_is_equally_likely(config):
    one_strategy(config, 1, "*")
    segments = {(name, i): i % 3 + 1 for name, count in FILES.items() for i in range(count)}
    one_pass = sum(segments.values())
    actual = [files(example)[0] for example in take(config, one_pass // 4 * 4)][: one_pass * 3]
    for start in range(0, one_pass * 3, one_pass):
        heard = actual[start : start + one_pass]
        assert {file: heard.count(file) for file in segments} == segments
    second = [set(files(example)) for example in two_clips(config)]  # the second clip is drawn at random
    share = np.mean([sum(name == "music" for name, _ in clips) for clips in second]) / 2
    assert share == pytest.approx(31 / one_pass, abs=0.08)


def two_clips(config):
    one_strategy(config, 2, "*")
    return [example for example in take(config) if len(files(example)) == 2]


def test_processes_are_dealt_one_sequence(config):
    config.data.mixture.reverberation = 0.3
    whole = take(config, 12)
    shares = [take(config, 4, process_index=i, process_count=3) for i in range(3)]
    batches = [share.reshape(-1, 4, *whole.shape[1:]) for share in shares]  # of 4, taken in turn
    np.testing.assert_array_equal(np.stack(batches, axis=1).reshape(whole.shape), whole)
    one_strategy(config, 1, "music")  # 31 windows: one pass gives each of them once, to one process
    crops = [[files(e)[0] for e in take(config, 4, process_index=i, process_count=2)[:15]] for i in range(2)]
    together = crops[0] + crops[1]
    assert all(together.count(("music", i)) <= i % 3 + 1 for i in range(16)) and len(together) == 30


def test_the_seed_decides_and_a_restored_iterator_goes_on(config):
    config.data.mixture.reverberation = 0.3
    np.testing.assert_array_equal(take(config, 5, seed=3), take(config, 5, seed=3))
    assert not np.array_equal(take(config, 5, seed=3), take(config, 5, seed=4))
    first = pipeline.training_batches(config, batch_size_per_process=4)
    for _ in range(40):  # beyond one pass
        next(first)
    state, expected = first.get_state(), np.stack([next(first)["audio"] for _ in range(12)])
    for threads in (1, 3):
        config.data.read_threads, config.data.prefetch = threads, 8 * threads
        repeated = pipeline.training_batches(config, batch_size_per_process=4)
        repeated.set_state(state)
        np.testing.assert_array_equal(np.stack([next(repeated)["audio"] for _ in range(12)]), expected)


def test_nothing_leaves_full_scale(config):
    config.data.gain_db = (-10.0, 6.0)
    peaks = np.abs(take(config)).max((1, 2))
    assert peaks.max() <= 1.0 and peaks.max() > 0.98 and peaks.min() < 0.4
    config.data.source, config.data.mixture.sources = config.data.mixture.specs["music"], ()
    assert np.abs(take(config, 10)).max() > 1.5  # without named sources a gain is a gain


def test_gains_are_drawn_again_until_the_sum_fits():
    low, high = -10.0, 6.0
    one, two = np.array([[0.95], [0.0], [0.9]], np.float32), np.array([[0.0], [0.95], [0.9]], np.float32)
    drawn = []
    for seed in range(300):
        total = mixtures.add([one, two], (low, high), np.random.default_rng(seed))
        gains = total[:2, 0] / 0.95
        np.testing.assert_allclose(total[2, 0], 0.9 * gains.sum(), rtol=1e-5)
        assert total.dtype == np.float32 and np.abs(total).max() <= 1.0
        drawn.append(20 * np.log10(gains))
    drawn = np.array(drawn)
    assert drawn.min() >= low - 1e-3 and drawn.min() < -9.5 and -3.5 < drawn.max() < 0.0  # 0.9 (a + b) <= 1
    loud = mixtures.add([one, one, one], (0.0, 0.0), np.random.default_rng(0))
    np.testing.assert_allclose(loud, one / 0.95, rtol=1e-6)  # nothing to draw: scaled down
    assert np.abs(mixtures.add([one] * 3, (3.0, 6.0), np.random.default_rng(0))).max() == 1.0


def test_reverberant_strategies_reverberate_and_others_do_not(config):
    dry, order = take(config, 25), strategies(config, 100)
    config.data.mixture.reverberation = 1.0
    wet = take(config, 25)
    same = (dry == wet).all((1, 2))
    np.testing.assert_array_equal(same, np.array(order) == 0)
    assert np.abs(wet).max() <= 1.0


def strategies(config, count):
    """Which strategy each example is of, as Grain takes turns."""
    parts = [grain.MapDataset.source([i]).repeat() for i in range(4)]
    mixed = grain.MapDataset.mix(parts, config.data.mixture.probabilities)
    return [mixed[i] for i in range(count)]


def test_validation_has_plain_clips_of_all_sources(config):
    config.data.validation_fraction = 1.0  # all files but one of each source
    fixed = pipeline.validation_batches(config, batch_size_per_process=16, num_batches=4)
    config.data.mixture.reverberation = 1.0
    repeated = pipeline.validation_batches(config, batch_size_per_process=16, num_batches=4)
    examples = np.concatenate([batch["audio"] for batch in fixed])
    np.testing.assert_array_equal(examples, np.concatenate([batch["audio"] for batch in repeated]))
    np.testing.assert_allclose(np.abs(examples).max((1, 2)), transforms.PEAK, rtol=1e-5)
    actual = [files(example) for example in examples]
    assert all(len(clips) == 1 for clips in actual) and {clips[0][0] for clips in actual} == set(FILES)


def test_stereo_and_shards_work_too(config, tmp_path):
    config.model.audio_channels = 2
    config.data.mixture.reverberation = 0.5
    shards = build_shards(config.data.mixture.specs["music"], tmp_path / "out", sample_rate=RATE)
    config.data.mixture.sources = (f"music={shards}", *config.data.mixture.sources[1:])
    made = take(config, 5)
    assert made.shape == (20, SAMPLES, 2) and made.dtype == np.float32 and np.isfinite(made).all()


def test_without_named_sources_the_batches_are_those_of_a_plain_pipeline(config):
    spec = config.data.mixture.specs["music"]
    config.data.source, config.data.gain_db = spec, (-10.0, 6.0)
    config.data.mixture = MixtureConfig(probabilities=(1.0,), counts=(3,), pools=("nobody",), reverberant=(True,))
    source = open_source(spec, sample_rate=RATE, split="train", config=config.data)

    def example(index, rng):
        start = (
            int(rng.integers(0, max(1, source.frames(index) - SAMPLES + 1))) if source.frames(index) > SAMPLES else 0
        )
        crop = source.read(index, start, SAMPLES)
        return crop * np.float32(0.95 / np.abs(crop).max()) * np.float32(10 ** (rng.uniform(-10, 6) / 20))

    dataset = grain.MapDataset.source(Windows(source, SAMPLES)).seed(config.seed).shuffle()
    dataset = dataset[0:31:1].repeat().random_map(example)
    for process in range(2):
        expected = np.stack([dataset[8 * i + 4 * process + k] for i in range(10) for k in range(4)])
        np.testing.assert_array_equal(take(config, 10, process_index=process, process_count=2), expected)


def test_pools():
    mixture = MixtureConfig(sources=("music=/a=b", " speech = starter:en ", "noise=/c"))
    assert mixture.specs == {"music": "/a=b", "speech": "starter:en", "noise": "/c"}
    for pool, names in {
        "music": ["music"],
        "-music": ["speech", "noise"],
        "*": ["music", "speech", "noise"],
        "noise, music": ["music", "noise"],
        "*,-noise": ["music", "speech"],
        "-noise,-music": ["speech"],
    }.items():
        assert mixture.members(pool) == names
    for pool in ("", "voices", "-voices", "-*", "music,-music"):
        with pytest.raises(ConfigError):
            mixture.members(pool)


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("sources", ("music",), "data.mixture.sources .* NAME=SPEC"),
        ("sources", ("=/a",), "data.mixture.sources .* NAME=SPEC"),
        ("sources", ("-music=/a",), "data.mixture.sources .* NAME=SPEC"),
        ("sources", ("music=/a", "music=/b"), "data.mixture.sources .* different names"),
        ("sources", ("voice=/a", "noise=/b"), "data.mixture.pools .* 'music' is not one of the sources voice, noise"),
        ("sources", ("music=/a",), "data.mixture.pools .* '-music' has no source"),
        ("probabilities", (), "data.mixture.probabilities"),
        ("probabilities", (0.5, 0.5, 0.5, 0.5), "data.mixture.probabilities .* sum 1"),
        ("probabilities", (1.0, 0.5, 0.0, -0.5), "data.mixture.probabilities .* positive"),
        ("counts", (1, 1, 2), "data.mixture.counts .* as long as"),
        ("counts", (1, 1, 2, 0), "data.mixture.counts .* 1 or more"),
        ("pools", ("music",), "data.mixture.pools .* as long as"),
        ("reverberant", (True,), "data.mixture.reverberant .* as long as"),
        ("reverberation", 1.5, "data.mixture.reverberation .* 0 to 1"),
        ("rt60_seconds", (0.0, 1.0), "data.mixture.rt60_seconds"),
        ("rt60_seconds", (1.3, 0.3), "data.mixture.rt60_seconds"),
    ],
)
def test_mistakes_name_the_field(field, value, message):
    config = Config()
    config.data.mixture.sources = ("music=/a", "speech=/b")
    setattr(config.data.mixture, field, value)
    with pytest.raises(ConfigError, match=message):
        config.validate()


def test_mixing_and_denoising_exclude_each_other(config):
    config.data.noise_source = "starter-noise"
    with pytest.raises(ConfigError, match="data.mixture.sources .* empty with data.noise_source"):
        config.validate()


def test_a_missing_source_is_named(config, tmp_path):
    config.data.mixture.sources = (*config.data.mixture.sources[:2], f"noise={tmp_path / 'none'}")
    config.data.validation_fraction = 0.2
    for make in (pipeline.training_batches, pipeline.validation_batches):
        with pytest.raises(CodaxError, match="data.mixture.sources noise: .*none: no such"):
            make(config, batch_size_per_process=1)


def test_json_and_the_command_line_carry_it(config):
    assert Config.from_dict(json.loads(config.to_json())) == config
    recipe = Path(__file__).parents[2] / "configs" / "encodec_24khz.py"
    overrides = [
        '--config.data.mixture.sources=("music=/a","speech=/b")',
        "--config.data.mixture.reverberant=(True,False,True,True)",
        "--config.data.mixture.rt60_seconds=(0.2,0.4)",
    ]
    mixture = recipe_flags.read(str(recipe), overrides).data.mixture
    assert mixture.specs == {"music": "/a", "speech": "/b"} and mixture.reverberation == 0.2
    assert mixture.reverberant == (True, False, True, True) and mixture.rt60_seconds == (0.2, 0.4)
