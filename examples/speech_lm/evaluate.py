"""Measures a language model of codes on held-out clips of a token data set.

    python examples/speech_lm/evaluate.py runs/speech_lm/run/export --tokens runs/speech_lm/tokens --out results.json

Bits per code, of each clip from its start: of the language model, of a unigram (frequencies of the training split, one
count added to each), and of codax's entropy coder with adaptive frequencies. Of continuations: speaker similarity to
the prompt, DNSMOS, and the share of clips in which a speech recogniser hears a word. The same of two references: the
real remainders of the clips, and codes that are drawn independently from the unigram, because a recogniser may invent
words in noise. All are decoded by the codec. Intervals are 95 % (bootstrap over clips; Wilson's for the share). `--out`
gets all values, and `--audio` a folder for the decoded clips.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import codax
import jax
import numpy as np
from codax import audio
from codax.audio import resample
from codax.containers.frequencies import frequency_model
from codax.entropy import coding
from codax.errors import CodaxError
from codax.evaluation.statistics import Interval, mean_interval, ratio_interval, wilson_interval
from codax.lm.model import LanguageModel, bits_of_codes
from codax.lm.predictor import LM
from codax.lm.sampling import extend
from codax.metrics import intelligibility, recognizers, registry, speakers, wer
from codax.metrics.signals import MetricError
from codax.storage.files import write_whole
from codax.tokens import PAD, TokenDataset
from sample import MODEL, frames_of, open_models, run

MOST_SECONDS = 10.0  # of a clip, for bits per code
RATE = 16_000  # Hz, of all metrics
BATCH = 16  # clips of a call


def bits_of_model(lm: LM, clips: Sequence[np.ndarray]) -> np.ndarray:
    """Bits of each clip's codes [frames, codebooks], by codebook: [clips, codebooks]."""
    net, longest = LanguageModel(lm.config), max(map(len, clips))
    compute = jax.jit(lambda codes: bits_of_codes(net, lm.params, codes).sum(axis=1))
    padded = np.full((-(-len(clips) // BATCH) * BATCH, longest, lm.config.codebooks), PAD, np.int32)
    for row, codes in zip(padded, clips, strict=False):
        row[: len(codes)] = codes
    return np.concatenate([compute(part) for part in np.split(padded, len(padded) // BATCH)])[: len(clips)]


def unigram(tokens: str, codebooks: int) -> np.ndarray:
    """Frequencies of the codes of the training split: [codebooks, entries]."""
    train = TokenDataset(tokens, "train")
    counts = np.ones((codebooks, max(train.about["codebook_sizes"])))
    for record in train:
        np.add.at(counts, (np.arange(codebooks), record["codes"][:, :codebooks]), 1)
    return counts / counts.sum(axis=1, keepdims=True)


def bits_of_unigram(frequencies: np.ndarray, clips: Sequence[np.ndarray]) -> np.ndarray:
    """Bits of each clip by codebook, for codes that are drawn independently: [clips, codebooks]."""
    bits, levels = -np.log2(frequencies), np.arange(len(frequencies))
    return np.stack([bits[levels, codes].sum(axis=0) for codes in clips])


def drawn_after(codes: np.ndarray, known: int, frequencies: np.ndarray, seed: int) -> np.ndarray:
    """Codes [clips, frames, codebooks] with independent draws after the first `known` frames."""
    rng, drawn = np.random.default_rng(seed), codes.copy()
    for level, shares in enumerate(frequencies):
        drawn[:, known:, level] = rng.choice(len(shares), drawn[:, known:, level].shape, p=shares)
    return drawn


def bits_of_coder(codec: codax.Codec, clips: Sequence[np.ndarray], codebooks: int) -> np.ndarray:
    """Bits of each clip in a file with adaptive frequencies, without headers: [clips]."""
    model, _ = frequency_model(codec, "adaptive", codebooks, 1, None)
    return np.asarray([8.0 * len(coding.encode_blocks(model, [codes])[0]) for codes in clips])


def measured_bits(lm: LM, codec: codax.Codec, tokens: str, split: str) -> dict[str, Any]:
    """Bits per code on the clips of a split."""
    count, most = lm.config.codebooks, frames_of(codec, MOST_SECONDS)
    clips = [np.asarray(r["codes"][:most, :count], np.int32) for r in TokenDataset(tokens, split)]
    clips = [codes for codes in clips if len(codes)]
    frames = np.asarray([len(codes) for codes in clips], np.float64)
    by_level = {
        "language model": bits_of_model(lm, clips),
        "unigram": bits_of_unigram(unigram(tokens, count), clips),
    }
    whole = {name: bits.sum(axis=1) for name, bits in by_level.items()} | {
        "adaptive coder": bits_of_coder(codec, clips, count)
    }
    return {
        name: {
            "bits_per_code": stated(ratio_interval(bits, frames * count)),
            "kbps": round(float(bits.sum() / frames.sum()) * codec.frame_rate / 1000, 3),
            "by_codebook": np.round(by_level[name].sum(axis=0) / frames.sum(), 3).tolist()
            if name in by_level
            else None,
        }
        for name, bits in whole.items()
    }


def stated(interval: Interval | None) -> list[float] | None:
    """Value, lower and upper limit."""
    return None if interval is None else [round(x, 4) for x in (interval.mean, interval.low, interval.high)]


def heard(signal: np.ndarray, prompt: np.ndarray, language: str, recognizer: Any) -> dict[str, Any]:
    """Measures of a signal [time] at 16 kHz that follows a prompt; None where silence has no value."""
    text = recognizer.transcribe(signal, language)
    values: dict[str, Any] = {"text": text, "words": len(wer.normalize(text, language).split())}
    try:
        values["speaker"] = speakers.similarity(prompt[:, None], signal[:, None])
        values["dnsmos"] = intelligibility.dnsmos(signal)["dnsmos"]
    except MetricError:
        values |= {"speaker": None, "dnsmos": None}
    return values


def to_continue(options: argparse.Namespace, frames: int, codebooks: int) -> tuple[list[str], np.ndarray]:
    """Languages, and first codes int32 [clips, frames, codebooks], of evenly spaced clips that are long enough."""
    records = [r for r in TokenDataset(options.tokens, options.split) if len(r["codes"]) >= frames]
    if not records:
        raise CodaxError(f"{options.tokens}: no clip of the split {options.split!r} is long enough to be continued")
    count = min(options.clips, len(records))
    chosen = [records[i * len(records) // count] for i in range(count)]
    codes = np.stack([r["codes"][:frames, :codebooks] for r in chosen]).astype(np.int32)
    return [r.get("language") or wer.ENGLISH for r in chosen], codes


def continuations(lm: LM, codec: codax.Codec, options: argparse.Namespace) -> dict[str, Any]:
    """Continues prompts, and measures the continuations and both references."""
    known, more = frames_of(codec, options.prompt_seconds), frames_of(codec, options.seconds)
    languages, real = to_continue(options, known + more, lm.config.codebooks)
    drawing = {"temperature": options.temperature, "top_k": options.top_k, "seed": options.seed}
    systems = {"language model": extend(lm, real[:, :known], more, **drawing), "real": real}
    systems["unigram"] = drawn_after(real, known, unigram(options.tokens, real.shape[2]), options.seed)
    recognizer = recognizers.CachedRecognizer(recognizers.open_recognizer(options.asr), recognizers.transcript_cache())
    results = {}
    for name, codes in systems.items():
        clips = []
        for number, (clip, language) in enumerate(zip(codes, languages, strict=True)):
            signal = codec.decode(clip[None])[0, :, 0]
            if options.audio:
                audio.write(Path(options.audio) / f"{number:03d} {name}.wav", signal[:, None], codec.sample_rate)
            prompt, rest = np.split(signal, [known * codec.config.hop])
            parts = [resample(part, codec.sample_rate, RATE) for part in (rest, prompt)]
            clips.append({"language": language, **heard(*parts, language, recognizer)})
        results[name] = {**summary(clips, options.seconds), "clips": clips}
    return results


def summary(clips: Sequence[dict[str, Any]], seconds: float) -> dict[str, Any]:
    """Means and shares over clips, with intervals."""
    means = {key: stated(mean_interval([clip[key] for clip in clips])) for key in ("speaker", "dnsmos")}
    share = stated(wilson_interval(sum(clip["words"] > 0 for clip in clips), len(clips)))
    rate = sum(clip["words"] for clip in clips) / len(clips) / seconds
    return {**means, "with_words": share, "words_per_second": round(rate, 3)}


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("lm", help="folder of the language model")
    parser.add_argument("--model", default=MODEL, help=f"the codec; default: {MODEL}")
    parser.add_argument("--tokens", required=True, help="token data set")
    parser.add_argument("--split", default="test")
    parser.add_argument("--clips", type=int, default=50, help="to continue, 0: only bits per code; default: 50")
    parser.add_argument("--prompt-seconds", type=float, default=3.0)
    parser.add_argument("--seconds", type=float, default=3.0, help="of the continuations, which clips must have too")
    parser.add_argument("--temperature", type=float, default=0.8)
    parser.add_argument("--top-k", type=int, default=100)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--asr", default="base", help="recogniser, as for eval.py; default: base")
    parser.add_argument("--audio", help="folder for the continuations")
    parser.add_argument("--out", required=True, help="JSON file to write")
    return parser.parse_args()


def main() -> None:
    options = arguments()
    if options.clips > 0:
        registry.select(("speaker", "dnsmos", "wer"))  # checks that their packages are installed
    lm, codec = open_models(options.lm, options.model)
    if TokenDataset(options.tokens).about["hash"] != codec.hash.hex():
        raise CodaxError(f"{options.tokens}: has tokens of another model than {codec.model_id}")
    if options.audio:
        Path(options.audio).mkdir(parents=True, exist_ok=True)
    results: dict[str, Any] = {
        "options": vars(options),
        "bits": measured_bits(lm, codec, options.tokens, options.split),
    }
    for name, values in results["bits"].items():
        print(f"{name:15s} {values['bits_per_code'][0]:.3f} bits per code, {values['kbps']:.2f} kbps")
    if options.clips > 0:
        results["continuations"] = continuations(lm, codec, options)
        for name, values in results["continuations"].items():
            numbers = {key: values[key][0] for key in ("speaker", "dnsmos", "with_words") if values[key]}
            print(f"{name:15s} " + ", ".join(f"{key} {value:.3f}" for key, value in numbers.items()))
    write_whole(Path(options.out), json.dumps(results, indent=1, ensure_ascii=False) + "\n")


if __name__ == "__main__":
    run(main)
