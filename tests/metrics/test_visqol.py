"""ViSQOL as a whole: mappings, model files, errors, and pairs of signals with known scores."""

import dataclasses
import importlib.metadata
import json
from pathlib import Path

import numpy as np
import pytest
import soundfile
from codax.metrics.visqol import VisqolError, mapping, score, steps, tflite, visqol
from codax.metrics.visqol.batch import visqol_batch
from signals import syllables

ROOT = Path(__file__).parents[2]
UNITS = json.loads((ROOT / "tests" / "golden" / "visqol_units.json").read_text())
# 28 pairs scored by the reference program. They lie beside a development checkout and are not part of the project.
SHARED = ROOT.parent / "shared" / "visqol"
PAIRS = json.loads((SHARED / "expected_pairs.json").read_text())["pairs"] if SHARED.is_dir() else []
try:
    importlib.metadata.distribution("visqol-python")
    HAS_MODELS = True
except importlib.metadata.PackageNotFoundError:
    HAS_MODELS = False
needs_models = pytest.mark.skipif(not HAS_MODELS, reason="the mapping models of visqol-python are not installed")


def make_features(fvnsim: np.ndarray) -> mapping.Features:
    return mapping.Features(float(fvnsim.mean()), fvnsim, fvnsim, np.zeros_like(fvnsim), np.zeros_like(fvnsim))


class TestMappings:
    @pytest.mark.parametrize("vnsim", UNITS["speech_exponential"])
    def test_exponential(self, vnsim):
        expected = UNITS["speech_exponential"][vnsim]
        assert mapping.exponential(float(vnsim)) == pytest.approx(expected["scaled"], abs=1e-12)
        assert mapping.exponential(float(vnsim), scaled=False) == pytest.approx(expected["unscaled"], abs=1e-12)

    @needs_models
    @pytest.mark.parametrize("name", UNITS["svr_default_model"])
    def test_svr(self, name):
        if name.startswith("all_"):
            fvnsim = np.full(32, float(name[4:]))
        else:
            fvnsim = np.linspace(1.0, 0.4, 32)
        model = mapping.load_svr(mapping.find_model(mapping.SVR_FILE))
        assert model.vectors.shape == (317, 32)
        assert model(fvnsim) == pytest.approx(UNITS["svr_default_model"][name], abs=1e-12)

    @needs_models
    def test_svr_score(self):
        actual = mapping.mean_opinion_score(make_features(np.ones(32)), "svr")
        assert actual == pytest.approx(4.732101253, abs=1e-9)

    @needs_models
    @pytest.mark.parametrize("case", range(len(UNITS["lattice"])))
    def test_lattice(self, case):
        golden = UNITS["lattice"][case]
        features = mapping.Features(
            golden["vnsim"], *(np.array(golden[key]) for key in ("fvnsim", "fvnsim10", "fstdnsim", "fvdegenergy"))
        )
        # Runtimes differ in the order of float32 sums, which the last layer multiplies by 36.
        assert mapping.mean_opinion_score(features, "lattice") == pytest.approx(golden["moslqo"], abs=2e-4)

    def test_nothing_in_common_scores_one(self):
        low = dataclasses.replace(make_features(np.full(21, 0.9)), vnsim=0.1499)
        assert mapping.mean_opinion_score(low, "exponential") == 1.0


class TestModelFiles:
    def test_missing_package_names_the_way_out(self, monkeypatch):
        def absent(name):
            raise importlib.metadata.PackageNotFoundError(name)

        monkeypatch.setattr(mapping.importlib.metadata, "distribution", absent)
        with pytest.raises(VisqolError, match=r"pip install .*\[metrics\]"):
            visqol(syllables(2), syllables(2), 16000)
        assert visqol(syllables(2), syllables(2), 16000, mapping="exponential").moslqo == pytest.approx(4.99999994)

    def test_missing_file(self, tmp_path):
        with pytest.raises(VisqolError, match=mapping.SVR_FILE):
            mapping.find_model(mapping.SVR_FILE, tmp_path)
        with pytest.raises(VisqolError, match="nowhere"):
            mapping.find_model(mapping.SVR_FILE, tmp_path / "nowhere")

    def test_folder_or_file(self, tmp_path):
        text = "svm_type nu_svr\nkernel_type rbf\ngamma 0.5\nnr_class 2\ntotal_sv 2\nrho -1\nSV\n2 1:1 32:1\n-1 2:0.5\n"
        (tmp_path / mapping.SVR_FILE).write_text(text)
        features = np.zeros(32)
        features[0] = features[31] = 1.0
        expected = 2 - np.exp(-0.5 * (1 + 1 + 0.25)) + 1
        for path in (tmp_path, tmp_path / mapping.SVR_FILE):
            actual = mapping.mean_opinion_score(
                dataclasses.replace(make_features(features), vnsim=1.0), "svr", models=path
            )
            assert actual == pytest.approx(expected)

    @pytest.mark.parametrize(
        ("old", "new", "message"),
        [
            ("SV\n", "", "no line 'SV'"),
            ("nu_svr", "c_svc", "svm_type"),
            ("rbf", "linear", "kernel_type"),
            ("rho -1\n", "", "rho"),
            ("total_sv 2", "total_sv 3", "total_sv"),
            ("gamma 0.5", "gamma nan", "finite"),
            ("gamma 0.5", "gamma much", "much"),
            ("2:0.5", "0:0.5", r"1\.\.1024"),
            ("2:0.5", "99999999:0.5", r"1\.\.1024"),
            ("2:0.5", "2:inf", "finite"),
            ("2:0.5", "2", "not a LIBSVM"),
            ("-1 2:0.5\n", "", "total_sv"),
        ],
    )
    def test_malformed_svr(self, tmp_path, old, new, message):
        text = "svm_type nu_svr\nkernel_type rbf\ngamma 0.5\ntotal_sv 2\nrho -1\nSV\n2 1:1 32:1\n-1 2:0.5\n"
        path = tmp_path / "model.txt"
        path.write_text(text.replace(old, new))
        with pytest.raises(VisqolError, match=message) as caught:
            mapping.load_svr(path)
        assert str(path) in str(caught.value)

    def test_binary_for_a_text_model(self, tmp_path):
        path = tmp_path / "model.txt"
        path.write_bytes(bytes(range(256)))
        with pytest.raises(VisqolError, match=r"model\.txt"):
            mapping.load_svr(path)

    @pytest.mark.parametrize("content", [b"", b"TFL3", b"\x1c\0\0\0TFL3" + bytes(40), b"svm_type nu_svr\n" * 9])
    def test_not_a_lattice(self, tmp_path, content):
        path = tmp_path / "model.tflite"
        path.write_bytes(content)
        with pytest.raises(VisqolError, match=r"model\.tflite"):
            mapping.load_lattice(path)

    @needs_models
    def test_damaged_lattices(self):
        """Cut short, or with bytes changed: a ValueError or a model, never another exception."""
        data = mapping.find_model(mapping.LATTICE_FILE).read_bytes()
        for size in (8, 100, 5000, len(data) // 2, len(data) - 3000):
            with pytest.raises(ValueError, match=r"file|not"):
                tflite.read_graph(data[:size])
        rng = np.random.default_rng(0)
        refused = 0
        for _ in range(12):
            broken = bytearray(data)
            for place in rng.integers(0, len(data), 2000):
                broken[place] = rng.integers(0, 256)
            try:
                mapping.lattice.LatticeEnsemble.from_bytes(bytes(broken))
            except ValueError:
                refused += 1
        assert refused > 0


class TestSignals:
    @pytest.mark.parametrize("dtype", [np.float64, np.float32])
    def test_identity(self, dtype):
        signal = syllables(12.45, 48000)
        bank = score._bank("audio", 48000, dtype)
        similarity = steps.run_alone(score._compare(signal, signal, "audio", bank, 60), bank)
        actual = score.aggregate(similarity, 0.02)
        tolerance = 1e-12 if dtype == np.float64 else 1e-6
        np.testing.assert_allclose(actual.fvnsim, 1.0, atol=tolerance)
        np.testing.assert_allclose(actual.fvnsim10, 1.0, atol=tolerance)
        np.testing.assert_allclose(actual.fstdnsim, 0.0, atol=1e-5)
        assert len(similarity) == 20
        starts = [patch.reference_start for patch in similarity]
        np.testing.assert_allclose(starts, 0.28 + 0.6 * np.arange(20))
        np.testing.assert_allclose([patch.degraded_start for patch in similarity], starts)
        # A patch that is cut out again may lose a sample to truncation.
        ends = [patch.reference_end for patch in similarity]
        np.testing.assert_allclose(ends, 0.88 + 0.6 * np.arange(20), atol=1.1 / 48000)

    @needs_models
    def test_a_band_stop_lowers_its_bands(self):
        signal = syllables(3, 48000)
        spectrum = np.fft.rfft(signal)
        frequencies = np.fft.rfftfreq(len(signal), 1 / 48000)
        spectrum[(frequencies > 10000) & (frequencies < 10400)] = 0
        actual = visqol(signal, np.fft.irfft(spectrum), 48000, mode="audio")
        assert actual.mapping == "svr"
        assert actual.centre_frequencies[26] == pytest.approx(10261.0866)
        # The level falls most in the band itself; its neighbours reach into the gap and lie in its 3 x 3 windows.
        lost = visqol(signal, signal, 48000, mode="audio").fvdegenergy - actual.fvdegenergy
        assert np.argmax(lost) == 26
        assert actual.fvnsim[25:28].max() < 0.9
        assert np.delete(actual.fvnsim, [25, 26, 27]).min() > 0.99

    def test_a_shift_and_a_gain_hardly_matter(self):
        signal = syllables(3)
        actual = visqol(signal, 0.3 * np.concatenate([np.zeros(500), signal]), 16000, mapping="exponential")
        assert actual.lag_seconds == -500 / 16000
        assert actual.vnsim == pytest.approx(1, abs=1e-9)
        actual = visqol(signal, signal[500:], 16000, mapping="exponential")
        assert actual.lag_seconds == 500 / 16000
        assert actual.vnsim > 0.99

    def test_noise_lowers_the_score_step_by_step(self):
        signal, noise = syllables(3), np.random.default_rng(9).standard_normal(48000)
        scores = [
            visqol(signal, signal + amount * noise, 16000, mapping="exponential").moslqo
            for amount in (0.0, 0.001, 0.01, 0.1)
        ]
        assert scores == sorted(scores, reverse=True)
        assert scores[0] - scores[-1] > 0.5

    def test_channels_are_averaged(self):
        signal, other = syllables(2), syllables(2, seed=1)
        stereo = np.stack([signal + 0.5 * other, signal - 0.5 * other], axis=1)
        actual = visqol(stereo, signal[:, None], 16000, mapping="exponential")
        assert actual.vnsim == pytest.approx(1, abs=1e-9)

    def test_single_precision_agrees(self):
        signal, degraded = syllables(3), syllables(3) + 0.02 * syllables(3, seed=1)
        double = visqol(signal, degraded, 16000, mapping="exponential")
        single = visqol(signal, degraded, 16000, mapping="exponential", dtype=np.float32)
        assert single.moslqo == pytest.approx(double.moslqo, abs=5e-5)

    def test_short_search_radius(self):
        signal = syllables(3)
        actual = visqol(signal, signal + 0.01 * syllables(3, seed=1), 16000, mapping="exponential", search_radius=1)
        wide = visqol(signal, signal + 0.01 * syllables(3, seed=1), 16000, mapping="exponential")
        assert actual.vnsim == pytest.approx(wide.vnsim)

    def test_inputs_are_left_alone(self):
        signal, degraded = syllables(2), syllables(2, seed=1)
        copies = signal.copy(), degraded.copy()
        visqol(signal, degraded, 16000, mapping="exponential")
        np.testing.assert_array_equal(signal, copies[0])
        np.testing.assert_array_equal(degraded, copies[1])


class TestBatch:
    """Many pairs at once have the numbers that each has alone."""

    PAIRS = (
        (syllables(3), syllables(3) + 0.02 * syllables(3, seed=1)),
        (syllables(2), 0 * syllables(2)),  # no score
        (syllables(7.3, seed=3), 0.5 * syllables(7.3, seed=3)[700:] + 0.01 * syllables(7.3, seed=4)[700:]),
        (syllables(2.5, seed=5), syllables(2.5, seed=5)),  # ties
    )

    def one_by_one(self, dtype):
        results = []
        for pair in self.PAIRS:
            try:
                results.append(visqol(*pair, 16000, mapping="exponential", dtype=dtype))
            except VisqolError as error:
                results.append(error)
        return results

    @pytest.mark.parametrize("dtype", [np.float64, np.float32])
    def test_in_threads(self, dtype):
        actual = list(visqol_batch(self.PAIRS, 16000, mapping="exponential", dtype=dtype, accelerator=False, at_once=3))
        # How many threads share a matrix product decides the order of its sums.
        check_equal(actual, self.one_by_one(dtype), tolerance=1e-11 if dtype == np.float64 else 1e-6)

    def test_on_an_accelerator(self):
        options = {"mapping": "exponential", "dtype": np.float32, "accelerator": True}
        actual = list(visqol_batch(self.PAIRS, 16000, **options))
        check_equal(actual, self.one_by_one(np.float32), tolerance=5e-6)
        # In any company, to the last bit.
        order = [2, 0, 3]
        repeated = list(visqol_batch([self.PAIRS[i] for i in order], 16000, at_once=2, **options))
        check_equal(repeated, [actual[i] for i in order], tolerance=0)
        check_equal(list(visqol_batch(self.PAIRS[2:3], 16000, **options)), actual[2:3], tolerance=0)

    def test_pairs_are_taken_as_needed(self):
        consumed = []
        pairs = (consumed.append(i) or self.PAIRS[0] for i in range(10))
        results = visqol_batch(pairs, 16000, mapping="exponential", dtype=np.float32, at_once=2)
        assert next(results).vnsim < 1
        assert len(consumed) == 2

    def test_options(self):
        with pytest.raises(VisqolError, match="float32"):
            visqol_batch([], 16000, mapping="exponential", accelerator=True)
        with pytest.raises(VisqolError, match="unknown mode"):
            visqol_batch([], 16000, mode="music")
        assert not list(visqol_batch([], 16000, mapping="exponential"))


def check_equal(actual, expected, tolerance):
    assert len(actual) == len(expected)
    for one, other in zip(actual, expected, strict=True):
        if isinstance(other, VisqolError):
            assert str(one) == str(other)
            continue
        for field in dataclasses.fields(other):
            values = getattr(one, field.name), getattr(other, field.name)
            if field.name == "patches":
                values = tuple([dataclasses.astuple(p)[4:] for p in patches] for patches in values)
            if isinstance(values[1], str):
                assert values[0] == values[1]
            else:  # the root of a difference that cancels, and decibels, see above
                loose = {"fstdnsim": max(10 * tolerance, 2e-7 * bool(tolerance)), "fvdegenergy": 10 * tolerance}
                np.testing.assert_allclose(*values, rtol=0, atol=loose.get(field.name, tolerance), err_msg=field.name)


def test_integers_are_floats_of_their_type():
    signal = np.rint(syllables(2) * 32768).astype(np.int16)
    scores = [visqol(x, 0.9 * signal / 32768, 16000, mapping="exponential").moslqo for x in (signal, signal / 32768)]
    assert scores[0] == scores[1]


class TestErrors:
    @pytest.mark.parametrize(
        ("spoil", "message"),
        [
            (lambda x: x[:0], "empty"),
            (lambda x: 0 * x, "silent"),
            (lambda x: np.where(np.arange(len(x)) == 7, np.nan, x), "finite"),
            (lambda x: np.where(np.arange(len(x)) == 7, np.inf, x), "finite"),
            (lambda x: x[:1280], "too short"),
            (lambda x: (x * 32768).astype(np.int64), "floats"),
            (lambda x: x.reshape(-1, 2, 2), "shape"),
        ],
    )
    @pytest.mark.parametrize("role", ["reference", "degraded"])
    def test_signals_that_cannot_be_scored(self, role, spoil, message):
        signals = {"reference": syllables(2), "degraded": syllables(2)}
        signals[role] = spoil(signals[role])
        with pytest.raises(VisqolError, match=message) as caught:
            visqol(**signals, sample_rate=16000, mapping="exponential")
        assert caught.value.role == role
        assert isinstance(caught.value, ValueError)

    @pytest.mark.parametrize("mode", ["speech", "audio"])
    def test_reference_without_a_patch(self, mode):
        short = syllables(0.55)
        with pytest.raises(VisqolError, match="too short") as caught:
            visqol(short, short, 16000, mode=mode, mapping="svr" if mode == "audio" else "exponential")
        assert caught.value.role == "reference"

    @pytest.mark.parametrize(
        ("options", "message"),
        [
            ({"mode": "music"}, "mode"),
            ({"mapping": "linear"}, "mapping"),
            ({"mapping": "svr"}, "speech mode"),
            ({"mode": "audio", "mapping": "lattice"}, "audio mode"),
            ({"sample_rate": 0}, "sample rate"),
            ({"sample_rate": 22050.5}, "sample rate"),
            ({"dtype": np.int32}, "dtype"),
            ({"search_radius": 0}, "radius"),
        ],
    )
    def test_options(self, options, message):
        with pytest.raises(VisqolError, match=message):
            visqol(syllables(2), syllables(2), **({"sample_rate": 16000} | options))


@pytest.mark.skipif(not PAIRS, reason="the scored pairs are not beside the checkout")
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("pair", PAIRS, ids=lambda pair: pair["deg"].removesuffix(".flac"))
def test_scored_pairs(pair, dtype):
    speech = pair["mode"] == "speech"
    if not speech and not HAS_MODELS:
        pytest.skip("the mapping models of visqol-python are not installed")
    signals, rate = read_pair(pair)
    actual = visqol(*signals, rate, mode=pair["mode"], mapping="exponential" if speech else "svr", dtype=dtype)
    check_scores(actual, pair, tolerance=1e-9 if dtype == np.float64 else 5e-6)


@pytest.mark.skipif(not PAIRS, reason="the scored pairs are not beside the checkout")
@pytest.mark.parametrize("options", [{"dtype": np.float32}, {"dtype": np.float32, "accelerator": True}], ids=str)
@pytest.mark.parametrize("mode", ["speech", "audio"])
def test_scored_pairs_in_a_batch(mode, options):
    if mode == "audio" and not HAS_MODELS:
        pytest.skip("the mapping models of visqol-python are not installed")
    pairs = [pair for pair in PAIRS if pair["mode"] == mode]
    (rate,) = {read_pair(pair)[1] for pair in pairs}
    mapping_ = "exponential" if mode == "speech" else "svr"
    actual = list(
        visqol_batch((read_pair(p)[0] for p in pairs), rate, mode=mode, mapping=mapping_, at_once=5, **options)
    )
    assert len(actual) == len(pairs)
    for result, pair in zip(actual, pairs, strict=True):
        check_scores(result, pair, tolerance=5e-6)


def read_pair(pair):
    """The signals, and their rate in Hz."""
    (reference, rate), (degraded, _) = (soundfile.read(SHARED / "pairs" / pair[key]) for key in ("ref", "deg"))
    return (reference, degraded), rate


def check_scores(actual, pair, tolerance):
    speech = pair["mode"] == "speech"
    assert actual.moslqo == pytest.approx(pair["moslqo"], abs=tolerance)
    assert actual.vnsim == pytest.approx(pair["vnsim"], abs=tolerance)
    assert actual.lag_seconds == pytest.approx(pair["alignment_lag_s"], abs=1e-12)
    np.testing.assert_allclose(actual.fvnsim, pair["fvnsim"], atol=tolerance)
    np.testing.assert_allclose(actual.fvnsim10, pair["fvnsim10"], atol=10 * tolerance)
    # The root of a difference that cancels to rounding where all patches are equal.
    np.testing.assert_allclose(actual.fstdnsim, pair["fstdnsim"], atol=max(10 * tolerance, 2e-7))
    np.testing.assert_allclose(actual.fvdegenergy, pair["fvdegenergy"], atol=10 * tolerance)
    patches = [
        [patch.similarity, patch.reference_start, patch.reference_end, patch.degraded_start, patch.degraded_end]
        for patch in actual.patches
    ]
    np.testing.assert_allclose(patches, pair["patches"], atol=tolerance)
    if speech and HAS_MODELS:
        features = mapping.Features(actual.vnsim, actual.fvnsim, actual.fvnsim10, actual.fstdnsim, actual.fvdegenergy)
        lattice = mapping.mean_opinion_score(features, "lattice")
        assert lattice == pytest.approx(pair["moslqo_lattice"], abs=2e-4)
        unscaled = mapping.exponential(actual.vnsim, scaled=False)
        assert unscaled == pytest.approx(pair["moslqo_exponential_unscaled"], abs=tolerance)
