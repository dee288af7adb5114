"""ViSQOL step by step, against the reference program's values and slow versions written as the text defines them."""

import itertools
import json
import math
from pathlib import Path

import numpy as np
import pytest
import scipy.signal
from codax.metrics.nsim import Nsim, nsim
from codax.metrics.visqol import VisqolError, alignment, frontend, literal, search, steps
from codax.metrics.visqol.score import aggregate, worst_mean

UNITS = json.loads((Path(__file__).parents[1] / "golden" / "visqol_units.json").read_text())
LOSSY_LAG = 27  # samples at 48 kHz: int(lag / 48000 * 48000) is one less
BANKS = {"audio48": (48000, 32, 24000.0), "speech16": (16000, 21, 8000.0), "speech48": (48000, 21, 8000.0)}


def filtered_levels(frames: np.ndarray, bank: frontend.FilterBank) -> np.ndarray:
    """[bands, frames] RMS by running every windowed frame through the filters from rest."""
    windowed = frames * scipy.signal.windows.hann(frames.shape[1], sym=True)
    sections = frontend.gammatone_sections(bank.centre_frequencies, bank.sample_rate)
    return np.array([np.sqrt((scipy.signal.sosfilt(s, windowed, axis=1) ** 2).mean(axis=1)) for s in sections])


class TestFrontend:
    def test_centre_frequencies(self):
        for name, (_, bands, highest) in {
            "audio_48k_32": BANKS["audio48"],
            "speech_21_max8k": BANKS["speech16"],
        }.items():
            actual = frontend.centre_frequencies(bands, 50.0, highest)
            np.testing.assert_allclose(actual, UNITS[f"centre_freqs_{name}"], rtol=1e-13)
            assert actual[0] == pytest.approx(50)

    @pytest.mark.parametrize("name", BANKS)
    def test_filter_coefficients(self, name):
        sample_rate, bands, highest = BANKS[name]
        golden = UNITS[f"filters_{name}"]
        sections = frontend.gammatone_sections(frontend.centre_frequencies(bands, 50.0, highest), sample_rate)
        gain = 1 / sample_rate / sections[:, 0, 0]
        np.testing.assert_allclose(gain, golden["gain"], rtol=1e-10)
        np.testing.assert_allclose(sections[:, 1:, 0], golden["b0"], rtol=1e-14)
        sections[:, 0, :3] *= gain[:, None]
        np.testing.assert_allclose(sections[:, :, 1].T, golden["zeros_b1"], rtol=1e-12, atol=1e-19)
        np.testing.assert_allclose(sections[:, :, 4], np.tile(golden["a1"], (4, 1)).T, rtol=1e-13)
        np.testing.assert_allclose(sections[:, :, 5], np.tile(golden["a2"], (4, 1)).T, rtol=1e-13)

    def test_tone_spectrograms(self):
        n = np.arange(9600)
        tone48 = 0.5 * np.sin(2 * np.pi * 440 * n / 48000) + 0.25 * np.sin(2 * np.pi * 3000 * n / 48000)
        tone48 += 0.1 * np.cos(2 * np.pi * 9000 * n / 48000)
        n = np.arange(3200)
        tone16 = 0.5 * np.sin(2 * np.pi * 440 * n / 16000) + 0.25 * np.sin(2 * np.pi * 3000 * n / 16000)
        for signal, key, name in (
            (tone48, "spectrogram_tone48", "audio48"),
            (tone16, "spectrogram_tone16", "speech16"),
        ):
            bank = frontend.filter_bank(*BANKS[name])
            levels = frontend.band_levels(frontend.frame_signal(signal, bank), bank)
            assert list(levels.shape) == UNITS[key]["shape"]
            np.testing.assert_allclose(levels[:, 0], UNITS[key]["frame0"], rtol=1e-8)
            np.testing.assert_allclose(levels[:, 3], UNITS[key]["frame3"], rtol=1e-8)

    @pytest.mark.parametrize("name", ["audio48", "speech16"])
    @pytest.mark.parametrize(("dtype", "tolerance"), [(np.float64, 1e-9), (np.float32, 1e-3)])
    def test_levels_equal_filtering(self, name, dtype, tolerance):
        bank = frontend.filter_bank(*BANKS[name], dtype)
        frames = np.random.default_rng(0).standard_normal((12, len(bank.window)))
        frames[4:8] *= np.exp(np.linspace(-20, 20, frames.shape[1]))
        # Onsets right before the end: nearly all of the response falls behind the frame.
        for frame, samples in zip(frames[8:], (1000, 100, 20, 5), strict=True):
            frame[:-samples] = 0
        expected = filtered_levels(frames, bank)
        np.testing.assert_allclose(frontend.band_levels(frames, bank), expected, rtol=tolerance)

    def test_levels_do_not_depend_on_the_batch(self):
        bank = frontend.filter_bank(*BANKS["speech16"])
        frames = np.random.default_rng(1).standard_normal((300, len(bank.window)))
        whole = frontend.band_levels(frames, bank)
        np.testing.assert_allclose(frontend.band_levels(frames[200:203], bank), whole[:, 200:203], rtol=1e-13)

    def test_silence_stays_silent(self):
        bank = frontend.filter_bank(*BANKS["speech16"])
        assert not frontend.band_levels(np.zeros((2, len(bank.window))), bank).any()

    def test_frames_are_whole_ones(self):
        bank = frontend.filter_bank(*BANKS["speech16"])
        assert (len(bank.window), bank.hop) == (1280, 320)
        assert [len(frontend.frame_signal(np.zeros(n), bank)) for n in (1281, 1599, 1600, 16000)] == [1, 1, 2, 47]

    def test_decibels_and_floors(self):
        reference = np.array([[1.0, 1e-3, 0.0], [1e-9, 1e-2, 1e-9]])
        degraded = np.array([[1e-4, 0.1], [10.0, 0.1]])
        left, right = frontend.to_decibels(reference, degraded)
        # Absolute floor -45; frame 0 is raised to 10 - 45 = -35, frame 1 to -10 - 45 and so not at all, frame 2 has
        # no partner and keeps the absolute floor. The lowest value of all, -45, is taken off.
        np.testing.assert_allclose(left, [[45, 15, 0], [10, 25, 0]], atol=1e-12)
        np.testing.assert_allclose(right, [[10, 35], [55, 35]], atol=1e-12)


class TestLiteral:
    """The slow comparison that settles ties gives what the fast one does, but for rounding."""

    @pytest.mark.parametrize("name", BANKS)
    def test_coefficients(self, name):
        sample_rate, bands, highest = BANKS[name]
        sections = frontend.gammatone_sections(frontend.centre_frequencies(bands, 50.0, highest), sample_rate)
        actual = literal._sections(sample_rate, bands, highest)[..., 0]
        expected = sections[:, :, [0, 1, 4, 5]].transpose(2, 1, 0)
        np.testing.assert_allclose(actual, expected, rtol=1e-10, atol=1e-19)

    @pytest.mark.parametrize("name", ["audio48", "speech16"])
    def test_levels(self, name):
        bank = frontend.filter_bank(*BANKS[name])
        frames = np.random.default_rng(0).standard_normal((3, len(bank.window)))
        np.testing.assert_allclose(literal.band_levels(frames, bank), frontend.band_levels(frames, bank), rtol=1e-9)

    def test_similarity(self):
        reference, degraded = np.random.default_rng(0).uniform(0, 45, (2, 21, 20))
        actual = literal.similarity(reference, degraded)
        assert actual == pytest.approx(float(nsim(reference, degraded).similarity), abs=1e-13)
        assert literal.similarity(reference, reference) == 1.0

    @pytest.mark.parametrize("floor", [0.0, 1000.0])
    @pytest.mark.parametrize("dtype", [np.float64, np.float32])
    def test_verdicts_agree_where_the_scores_differ(self, floor, dtype):
        """Also with so much noise that the lowest value, taken off everywhere, is not the absolute floor."""
        rng = np.random.default_rng(0)
        reference = 0.1 * rng.standard_normal(16000) + floor * rng.standard_normal(16000)
        degraded = reference + 0.01 * np.linalg.norm(reference) / 126 * rng.standard_normal(16000)
        bank = frontend.filter_bank(*BANKS["speech16"], dtype)
        levels = tuple(frontend.band_levels(frontend.frame_signal(x, bank), bank) for x in (reference, degraded))
        left, right = frontend.to_decibels(*levels)
        # The second patch runs past the end of the degraded spectrogram, into zeros.
        padded = np.pad(right, ((0, 0), (0, 20)))
        ties, expected = [], []
        # In the third the frames fit and the cuts do not.
        for start, offset, cut in [(5, 6, 5), (20, 40, 20), (11, 11, 25), (12, 3, 12)]:
            cuts = reference[320 * start : 320 * start + 6400], degraded[320 * cut : 320 * cut + 6400]
            pair = frontend.to_decibels(*(frontend.band_levels(frontend.frame_signal(c, bank), bank) for c in cuts))
            before = nsim(left[:, start : start + 20], padded[:, offset : offset + 20]).similarity
            after = nsim(*pair).similarity
            assert abs(after - before) > 1e-4  # else rounding decides, which is not the same on every processor
            expected.append(bool(after >= before))
            ties.append(literal.Tie(start, offset, 20, cuts))
        assert literal.TieBreaker(reference, degraded, levels, bank).prefers_cuts(ties) == expected
        assert len(set(expected)) == 2


class TestAlignment:
    def test_envelope_of_the_reference_program(self):
        n = np.arange(50)
        signal = np.sin(0.7 * n) * np.exp(-0.03 * n) + 0.3
        np.testing.assert_allclose(alignment.envelope(signal), UNITS["envelope"]["upper_envelope"], rtol=1e-13)

    @pytest.mark.parametrize("count", [5, 32, 50, 64, 100])
    def test_envelope_equals_the_transforms(self, count):
        signal = np.random.default_rng(count).standard_normal(count) + 0.3
        size = max(32, 2 ** math.ceil(math.log2(count)))
        spectrum = np.fft.rfft(signal - signal.mean(), size)
        spectrum[1:-1] *= 2
        spectrum[-1] *= count == size
        expected = np.abs(np.fft.irfft(spectrum, size)[:count]) + signal.mean()
        np.testing.assert_allclose(alignment.envelope(signal), expected, rtol=1e-12)

    def test_lags_of_the_reference_program(self):
        vectors = {key: np.array(value) for key, value in UNITS["xcorr"].items() if isinstance(value, list)}
        early, late = vectors["deg_a"], vectors["deg_b"]
        assert alignment.best_lag(vectors["ref"], early) == UNITS["xcorr"]["lag_a"] == 2
        assert alignment.best_lag(vectors["ref"], late) == UNITS["xcorr"]["lag_b"] == -2
        assert alignment.best_lag(vectors["ref"], np.append(early, 2.0)) == 2
        assert alignment.best_lag(vectors["ref"], early[:-1]) == 2

    def test_shifts(self):
        signal = np.random.default_rng(0).standard_normal(400) * np.hanning(400)
        late, lag = alignment.align(signal, np.concatenate([np.zeros(30), signal]))
        assert lag == -30
        np.testing.assert_array_equal(late, signal)
        early, lag = alignment.align(signal, signal[30:])
        assert lag == 30
        np.testing.assert_array_equal(early, np.concatenate([np.zeros(30), signal[30:]]))

    def test_a_lag_above_half_the_length_is_ignored(self):
        spike, far = np.zeros(100), np.zeros(100)
        spike[10], far[65] = 1.0, 1.0
        shifted, lag = alignment.align(spike, far)
        assert lag == 0
        assert shifted is far

    def test_a_cut_past_the_end_gets_its_zeros_in_front(self):
        signal = np.arange(1.0, 101.0)
        np.testing.assert_array_equal(alignment.cut(signal, 0.2, 0.5, 100), np.arange(21.0, 51.0))
        # The last sample is never part of a cut.
        np.testing.assert_array_equal(alignment.cut(signal, 0.9, 1.0, 100), np.arange(91.0, 100.0))
        np.testing.assert_array_equal(alignment.cut(signal, 0.95, 1.05, 100), [0, 0, 0, 0, 0, 96, 97, 98, 99])

    @pytest.mark.parametrize("lag", [-37, 0, 1, 23, LOSSY_LAG])
    def test_cuts_become_equally_long(self, lag):
        signal = np.random.default_rng(1).standard_normal(6500)
        reference, degraded = signal[50:6450], signal[50 + lag : 6450 + lag]
        left, right, seconds = alignment.align_cuts(reference, degraded, 48000)
        assert seconds == lag / 48000
        if lag < 0:
            np.testing.assert_array_equal(left, reference[:lag])
            np.testing.assert_array_equal(right, degraded[-lag:])
        else:
            # The lag goes through seconds and back, where it may lose a sample; both cuts then start one earlier.
            skip = lag - (lag == LOSSY_LAG)
            np.testing.assert_array_equal(left, reference[skip:])
            np.testing.assert_array_equal(right[lag - skip :], reference[lag:])


class TestPatches:
    def test_activity_of_the_reference_program(self):
        def decide(pattern: str) -> str:
            samples = np.repeat([10000.0 if c == "L" else 10.0 for c in pattern], 5) / 32768
            return "".join("01"[int(voiced)] for voiced in search.voice_activity(samples, 5))

        assert decide("LQLLLQQLLQQQLQQQQL") == "111111111110111001"
        assert decide("QQQQL") == "11001"

    def test_activity_threshold_and_rounding_toward_zero(self):
        samples = np.array([10000.0] * 10 + [5000.0] * 5 + [4999.99] * 5) / 32768
        chunks = np.concatenate([np.zeros(15), samples[10:15], np.zeros(15), samples[15:20]])
        assert search.voice_activity(chunks, 5).tolist() == [True, True, False, True, True, True, False, False]

    def test_audio_starts(self):
        assert search.audio_starts(45, 30).tolist() == [14]
        assert search.audio_starts(75, 30).tolist() == [14]
        assert search.audio_starts(76, 30).tolist() == [14, 44]
        # 12.45 s: 20 patches from 0.28 s on.
        starts = search.audio_starts(1 + (597600 - 3840) // 960, 30)
        assert (len(starts), starts[0]) == (20, 14)
        with pytest.raises(VisqolError, match="44 frames"):
            search.audio_starts(44, 30)

    def test_speech_starts(self):
        rng = np.random.default_rng(0)
        signal = 0.1 * rng.standard_normal(16000 * 4)
        signal[32000:] *= 0.01
        frames = 1 + (len(signal) - 1280) // 320
        # The quiet half has no voice, but two chunks after the last loud one still count, and reach into frame 109's.
        assert search.speech_starts(signal, frames, 20, 320).tolist() == [9, 29, 49, 69, 89, 109]
        # The largest VALUE sets the scale: a negative peak does not.
        signal[100] = -50.0
        assert search.speech_starts(signal, frames, 20, 320).tolist() == [9, 29, 49, 69, 89, 109]
        signal[100] = 50.0
        assert search.speech_starts(signal, frames, 20, 320).tolist() == [9]
        with pytest.raises(VisqolError, match="too short"):
            search.speech_starts(signal, 28, 20, 320)
        with pytest.raises(VisqolError, match="above zero"):
            search.speech_starts(-np.abs(signal), frames, 20, 320)

    def test_usable_patches_of_the_reference_program(self):
        starts = np.array([0, 15, 30, 45, 60])
        assert len(search.usable(starts, 30, 45)) == 5
        assert len(search.usable(starts, 30, 44)) == 4
        with pytest.raises(VisqolError, match="too short"):
            search.usable(np.array([60]), 30, 44)

    @pytest.mark.parametrize("seed", range(20))
    def test_path_equals_the_programme_in_loops(self, seed):
        """Small integers as scores, for many ties; search ranges smaller than the signal."""
        rng = np.random.default_rng(seed)
        scores = rng.integers(-2, 3, (4, 12)).astype(float)
        starts, reach = np.array([1, 4, 7, 9]), (3, 5, 20)[seed % 3]
        first, last = np.maximum(0, starts - reach), np.minimum(11, starts + reach)
        assert search._best_path(scores, first, last) == path_by_loops(scores, first, last)

    def test_path_is_the_best_there_is(self):
        scores = np.random.default_rng(5).uniform(0, 1, (3, 8))
        path = search._best_path(scores, np.zeros(3, int), np.full(3, 7))
        best = max(sum(scores[p, o] for p, o in enumerate(offsets)) for offsets in itertools.combinations(range(8), 3))
        assert not any(lost for _, lost in path)
        assert sum(scores[p, offset] for p, (offset, _) in enumerate(path)) == pytest.approx(best)

    def test_lost_patches(self):
        """Four patches for three offsets: one stays without a place, its means are 0, its other values are not."""
        rng = np.random.default_rng(4)
        reference, degraded = rng.uniform(0, 45, (5, 40)), rng.uniform(0, 45, (5, 3))
        starts = np.array([0, 5, 10, 15])
        actual = steps.run_alone(
            search.match(reference, degraded, starts, width=4, radius=60, hop_seconds=0.02),
            frontend.filter_bank(*BANKS["speech16"]),
        )
        lost = [patch for patch in actual if patch.lost]
        assert lost
        for patch in lost:
            assert patch.similarity == patch.degraded_start == patch.degraded_end == 0
            assert not patch.band_means.any()
            assert patch.band_stds.all()
            assert patch.band_degraded_energy.all()
        offsets = [patch.degraded_start for patch in actual if not patch.lost]
        assert offsets == sorted(set(offsets))
        np.testing.assert_allclose([patch.reference_end - patch.reference_start for patch in actual], 0.08)


def path_by_loops(scores: np.ndarray, first: np.ndarray, last: np.ndarray) -> list[tuple[int, bool]]:
    """The recurrence as it is defined, cell by cell."""
    count, frames = scores.shape
    total, back = np.zeros((count, frames)), np.full((count, frames), -1)
    for p in range(count):
        for o in range(first[p], last[p] + 1):
            if p == 0:
                total[p, o] = scores[p, o]
                continue
            best, index = -np.finfo(float).max, -1
            for before in range(first[p - 1], o):
                if total[p - 1, before] >= best:
                    best, index = total[p - 1, before], before
            value = scores[p, o] + best
            if total[p - 1, o] > value:
                value, index = total[p - 1, o], o
            total[p, o], back[p, o] = value, index
    offset = first[-1] + int(np.argmax(total[-1, first[-1] : last[-1] + 1]))
    path = []
    for p in range(count - 1, -1, -1):
        path.append((int(offset), bool(back[p, offset] == offset)))
        offset = back[p, offset]
    return path[::-1]


def make_patch(mean: list[float], std: list[float], start: float = 0.28, seconds: float = 0.6) -> search.Patch:
    scores = Nsim(np.float64(np.mean(mean)), np.array(mean), np.array(std), np.array(mean) * 10)
    return search._patch(
        scores,
        (),
        {
            "reference_start": start,
            "reference_end": start + seconds,
            "degraded_start": start,
            "degraded_end": start + seconds,
        },
    )


class TestAggregation:
    def test_worst_tenth(self):
        values = np.random.default_rng(0).permutation(np.arange(1.0, 101.0))[:, None]
        assert worst_mean(values) == 5.5
        assert worst_mean(np.array([[3.0], [1.0], [2.0]])) == 1.0
        assert worst_mean(values[:19]) == values[:19].min()

    def test_pooled_deviation_equals_that_of_all_frames(self):
        cells = np.random.default_rng(1).uniform(0, 1, (5, 3, 30))  # patches, bands, frames
        patches = [
            make_patch(c.mean(axis=1).tolist(), c.std(axis=1, ddof=1).tolist(), start=0.0, seconds=0.59) for c in cells
        ]
        actual = aggregate(patches, 0.02)
        frames = np.moveaxis(cells, 1, 0).reshape(3, -1)
        np.testing.assert_allclose(actual.fvnsim, frames.mean(axis=1))
        np.testing.assert_allclose(actual.fstdnsim, frames.std(axis=1, ddof=1))
        np.testing.assert_allclose(actual.fvdegenergy, 10 * actual.fvnsim)
        assert actual.vnsim == pytest.approx(frames.mean())

    def test_frames_of_a_patch_are_counted_in_floating_point(self):
        # 0.88 - 0.28 is a little more than 0.6 and so gives 31 frames; 0.6 itself gives 30.
        assert math.ceil((0.28 + 0.6 - 0.28) / 0.02) == math.ceil(0.6 / 0.02) == 30
        start = 1.48
        assert math.ceil((start + 0.6 - start) / 0.02) == 31
        patches = [make_patch([0.5], [0.1], start=0.28), make_patch([0.7], [0.2], start=start)]
        squares = 29 * 0.1**2 + 30 * 0.5**2 + 30 * 0.2**2 + 31 * 0.7**2 - 61 * 0.6**2
        np.testing.assert_allclose(aggregate(patches, 0.02).fstdnsim, math.sqrt(squares / 60))
