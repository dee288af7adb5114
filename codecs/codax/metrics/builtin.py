"""The built-in metrics: their values, definitions and computations, and their names for `--metrics`.

A name may report several values, and names may share a computation: ViSQOL runs once for `visqol` (two mappings) and
`nsim`.
"""

from __future__ import annotations

import dataclasses

import numpy as np

from codax.metrics import comb, distances, frechet, intelligibility, onsets, opinions, pitch, speakers, voices
from codax.metrics.measures import SIGNALS, Measure, Pooled, Value
from codax.metrics.signals import mono


def _visqol_speech(reference: np.ndarray, degraded: np.ndarray, rate: int) -> dict[str, float]:
    from codax.metrics import visqol
    from codax.metrics.visqol.mapping import Features, mean_opinion_score

    result = visqol.visqol(mono(reference), mono(degraded), rate, mode="speech", mapping="lattice")
    # Both mappings use the same similarities, whose computation is expensive.
    features = Features(**{field.name: getattr(result, field.name) for field in dataclasses.fields(Features)})
    exponential = mean_opinion_score(features, "exponential")
    return {"visqol": result.moslqo, "visqol_exponential": exponential, "nsim": result.vnsim}


def _visqol_audio(reference: np.ndarray, degraded: np.ndarray, rate: int) -> dict[str, float]:
    from codax.metrics import visqol

    result = visqol.visqol(mono(reference), mono(degraded), rate, mode="audio", mapping="svr")
    return {"visqol_audio": result.moslqo}


_similarity = voices.Similarity()


def _wavlm_similarity(reference: np.ndarray, degraded: np.ndarray, _: int) -> dict[str, float]:
    return {"speaker_wavlm": _similarity(reference, degraded)}


_VISQOL = "ViSQOL v3 (conformance version 333) of the mean over channels, equal to the published program"
_SPEECH = "speech mode at 16 kHz"
_BANDS = "root mean square difference of 40 mel bands in dB (20 ms windows, floor 60 dB below the loudest band)"
_PITCH = "frames voiced in original and decoded signal, both tracked by pYIN (librosa), 60 to 500 Hz, 16 kHz"

MEASURES: tuple[Measure, ...] = (
    Measure(
        (
            Value(
                "visqol", "ViSQOL", "higher", f"{_VISQOL}; {_SPEECH}, lattice mapping.", "MOS", 2, "lattice", floor=1.0
            ),
            Value(
                "visqol_exponential",
                "ViSQOL (exponential)",
                "higher",
                f"{_VISQOL}; {_SPEECH}, scaled exponential mapping, as in most published speech scores.",
                "MOS",
                2,
                "exponential",
                floor=1.0,
            ),
            Value(
                "nsim", "NSIM", "higher", f"Mean similarity of ViSQOL's gammatone patches, {_SPEECH}.", "", 3, floor=0.0
            ),
        ),
        _visqol_speech,
        rate=16_000,
    ),
    Measure(
        (
            Value(
                "visqol_audio",
                "ViSQOL audio",
                "higher",
                f"{_VISQOL}; audio mode at 48 kHz, support-vector mapping.",
                "MOS",
                2,
                "svr",
                floor=1.0,
            ),
        ),
        _visqol_audio,
        rate=48_000,
    ),
    Measure(
        (
            Value(
                "si_sdr",
                "SI-SDR",
                "higher",
                "Scale-invariant signal-to-distortion ratio, means removed, mean over channels, limited to ±100 dB.",
                "dB",
                1,
                floor=-distances.LIMIT_DB,
            ),
        ),
        lambda r, d, _: {"si_sdr": distances.si_sdr(r, d)},
    ),
    Measure(
        (
            Value(
                "snr",
                "SNR",
                "higher",
                "Signal-to-noise ratio, mean over channels, limited to ±100 dB.",
                "dB",
                1,
                floor=-distances.LIMIT_DB,
            ),
        ),
        lambda r, d, _: {"snr": distances.snr(r, d)},
    ),
    Measure(
        (
            Value(
                "level",
                "Level difference",
                "",
                "Root mean square of the decoded signal over that of the original, of all samples and channels, "
                "limited to ±100 dB; negative = too soft.",
                "dB",
                1,
                floor=-distances.LIMIT_DB,
            ),
        ),
        lambda r, d, _: {"level": distances.level_difference(r, d)},
    ),
    Measure(
        (
            Value(
                "comb",
                "Comb in pauses",
                "lower",
                "Level of the lines at multiples of the frame rate over the median between them, mean over lines in "
                "dB, in the original's pauses (40 dB below its loud frames), windows of 160 ms; decoded minus "
                "original. Only for systems with a frame rate, and files with a pause.",
                "dB",
                1,
                floor=comb.LIMIT_DB,
            ),
        ),
        lambda r, d, rate, frame_rate: {"comb": comb.comb(r, d, rate, frame_rate)},
        needs=(*SIGNALS, "frame_rate"),
    ),
    Measure(
        (
            Value(
                "stft",
                "STFT distance",
                "lower",
                "Windows 2048 and 512, hop a quarter: L1 of log10 of the squared magnitude (floor 1e-5) plus L1 of the "
                "magnitude, summed over windows; at the evaluation's sample rate.",
            ),
        ),
        lambda r, d, _: {"stft": distances.stft_distance(r, d)},
    ),
    Measure(
        (
            Value(
                "mel",
                "Mel distance",
                "lower",
                "As the STFT distance, on 150 and 80 Slaney mel bands; at the evaluation's sample rate.",
            ),
        ),
        lambda r, d, rate: {"mel": distances.mel_distance(r, d, rate)},
    ),
    Measure(
        (
            Value(
                "onset_distance",
                "Onset distance",
                "lower",
                f"{_BANDS[0].upper()}{_BANDS[1:]}, mean over frames from 10 ms before to 50 ms after the original's "
                "onsets (librosa), weighted by their strength; at the evaluation's sample rate.",
                "dB",
                1,
                floor=onsets.RANGE_DB,
            ),
            Value(
                "steady_distance",
                "Steady distance",
                "lower",
                "As the onset distance, over all other frames.",
                "dB",
                1,
                floor=onsets.RANGE_DB,
            ),
        ),
        onsets.onset_distance,
    ),
    Measure(
        (Value("stoi", "STOI", "higher", "Short-time objective intelligibility (pystoi), 16 kHz.", "", 3, floor=0.0),),
        lambda r, d, _: {"stoi": intelligibility.stoi(r, d)},
        rate=intelligibility.SAMPLE_RATE,
        packages=(("pystoi", "metrics"),),
    ),
    Measure(
        (Value("estoi", "ESTOI", "higher", "Extended STOI (pystoi), 16 kHz.", "", 3, floor=0.0),),
        lambda r, d, _: {"estoi": intelligibility.stoi(r, d, extended=True)},
        rate=intelligibility.SAMPLE_RATE,
        packages=(("pystoi", "metrics"),),
    ),
    Measure(
        (Value("pesq", "PESQ wb", "higher", "Wide-band PESQ (ITU-T P.862.2), 16 kHz.", "MOS", floor=1.0),),
        lambda r, d, _: {"pesq": intelligibility.pesq(r, d)},
        rate=intelligibility.SAMPLE_RATE,
        packages=(("pesq", "metrics"),),
    ),
    Measure(
        (Value("pesq_nb", "PESQ nb", "higher", "Narrow-band PESQ (ITU-T P.862.1), 16 kHz.", "MOS", floor=1.0),),
        lambda r, d, _: {"pesq_nb": intelligibility.pesq(r, d, wide_band=False)},
        rate=intelligibility.SAMPLE_RATE,
        packages=(("pesq", "metrics"),),
    ),
    Measure(
        (
            Value(
                "speaker",
                "Speaker similarity",
                "higher",
                "Cosine of the embeddings of original and decoded speech by Resemblyzer's voice encoder, with "
                "silences, 16 kHz; 1 = the same voice.",
                "",
                3,
                floor=0.0,
            ),
        ),
        lambda r, d, _: {"speaker": speakers.similarity(r, d)},
        rate=speakers.SAMPLE_RATE,
        check=speakers.encoder,
    ),
    Measure(
        (
            Value(
                "speaker_wavlm",
                "Speaker similarity (WavLM)",
                "higher",
                f"Cosine of the x-vectors of original and decoded speech by {voices.MODEL}, 16 kHz; 1 = same voice.",
                "",
                3,
                floor=0.0,
            ),
        ),
        _wavlm_similarity,
        rate=voices.SAMPLE_RATE,
        check=voices.network,
    ),
    Measure(
        (
            Value(
                "f0_correlation",
                "F0 correlation",
                "higher",
                f"Pearson's, of frequencies in Hz; {_PITCH}.",
                "",
                3,
                floor=0.0,
            ),
            Value("f0_rmse", "F0 RMSE", "lower", f"Of frequencies; {_PITCH}.", "cents", 0, floor=pitch.RANGE_CENTS),
            Value(
                "voicing_error",
                "Voicing error",
                "lower",
                "Frames voiced in one signal only, pYIN, 16 kHz.",
                "%",
                1,
                floor=100.0,
            ),
        ),
        lambda r, d, _: pitch.f0(r, d),
        rate=pitch.SAMPLE_RATE,
    ),
    Measure(
        tuple(
            Value(key, label, "higher", f"{label}: {what} (speechmos), without the original, 16 kHz.", "MOS", floor=1.0)
            for key, label, what in (
                ("dnsmos", "DNSMOS", "DNSMOS P.835, overall quality"),
                ("dnsmos_sig", "DNSMOS speech", "DNSMOS P.835, quality of the speech"),
                ("dnsmos_bak", "DNSMOS background", "DNSMOS P.835, quality of the background"),
                ("dnsmos_p808", "DNSMOS P.808", "DNSMOS P.808, overall quality"),
            )
        ),
        lambda _, d, __: intelligibility.dnsmos(d),
        rate=intelligibility.SAMPLE_RATE,
        packages=(("speechmos.dnsmos", "metrics"),),
    ),
    *opinions.MEASURES,
)

POOLED: tuple[Pooled, ...] = (frechet.MEASURE,)

_TEXT = "(S + D + I) / N pooled over the corpus, both texts through Whisper's normaliser"
_LOST = 100.0  # per cent: no word is recognised
TEXT_VALUES: tuple[Value, ...] = (
    Value("wer", "WER", "lower", f"Words of the recogniser against the transcript, {_TEXT}.", "%", 1, floor=_LOST),
    Value(
        "dwer",
        "dWER",
        "lower",
        f"Words of the recogniser against its words for the original, {_TEXT}; needs no transcripts.",
        "%",
        1,
        floor=_LOST,
    ),
    Value("cer", "CER", "lower", f"As WER, over characters with spaces, {_TEXT}.", "%", 1, floor=_LOST),
    Value("dcer", "dCER", "lower", f"As dWER, over characters with spaces, {_TEXT}.", "%", 1, floor=_LOST),
)
CODE_VALUES: tuple[Value, ...] = (
    Value("codebook_use", "Codebook use", "higher", "Entries that occur / entries, mean over quantizers.", "%", 0),
    Value("perplexity", "Perplexity", "higher", "2 to the entropy of single codes, mean over quantizers.", "", 0),
    Value(
        "entropy_kbps",
        "Entropy",
        "",
        "Frame rate times the sum of the quantizers' entropies of single codes (Miller-Madow corrected): the rate of "
        "an ideal coder of independent codes.",
        "kbps",
        2,
    ),
)
_PHONES = "phones of the original (forced alignment by PocketSphinx, or given labels), first codebook"
_ABX = (
    f"Share of triples A, B, X of phones in which the codebook's vectors of X are nearer to B, another phone, than to "
    f"A, the same phone; angles along the best alignment in time, 50 % = chance; {_PHONES}"
)
CONTENT_VALUES: tuple[Value, ...] = (
    Value(
        "pnmi",
        "PNMI",
        "higher",
        f"Phone-normalised mutual information of codes and phones, plug-in estimate over all frames; {_PHONES}.",
        "",
        3,
    ),
    Value(
        "phone_purity",
        "Phone purity",
        "higher",
        f"Frames whose phone is the likeliest one of their code, over the same frames; {_PHONES}.",
        "%",
        1,
    ),
    Value(
        "phone_accuracy",
        "Phone accuracy",
        "higher",
        f"As phone purity, with the likeliest phones of all other utterances; {_PHONES}.",
        "%",
        1,
    ),
    Value("abx", "ABX", "lower", f"{_ABX}; A, B and X have equal neighbours and one speaker.", "%", 1),
    Value("abx_any", "ABX any context", "lower", f"{_ABX}; one speaker, any neighbours.", "%", 1),
    Value("abx_across", "ABX across", "lower", f"{_ABX}; equal neighbours, X by another speaker.", "%", 1),
)

NAMES: dict[str, tuple[str, ...]] = {
    "visqol": ("visqol", "visqol_exponential"),
    "nsim": ("nsim",),
    "visqol_audio": ("visqol_audio",),
    "si_sdr": ("si_sdr",),
    "snr": ("snr",),
    "level": ("level",),
    "comb": ("comb",),
    "stft": ("stft",),
    "mel": ("mel",),
    "onsets": ("onset_distance", "steady_distance"),
    "stoi": ("stoi",),
    "estoi": ("estoi",),
    "pesq": ("pesq",),
    "pesq_nb": ("pesq_nb",),
    "wer": ("wer", "dwer", "cer", "dcer"),
    "codebooks": ("codebook_use", "perplexity", "entropy_kbps"),
    "phones": ("pnmi", "phone_purity", "phone_accuracy"),
    "abx": ("abx", "abx_any", "abx_across"),
    "speaker": ("speaker",),
    "speaker_wavlm": ("speaker_wavlm",),
    "f0": ("f0_correlation", "f0_rmse", "voicing_error"),
    "dnsmos": ("dnsmos", "dnsmos_sig", "dnsmos_bak", "dnsmos_p808"),
    **opinions.NAMES,
    "fad": ("fad",),
}
DEFAULT = ("visqol", "nsim", "wer", "si_sdr", "level", "stft", "mel", "stoi", "pesq", "codebooks")
