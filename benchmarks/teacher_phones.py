"""Phonetic information in a teacher's features: accuracy of a linear phone classifier on unseen recordings.

    pip install -e '.[content,teachers]' && pip install --no-deps ovos-ww-plugin-wakeforge==0.3.0
    python benchmarks/teacher_phones.py

English prompts of the starter corpus, aligned with PocketSphinx; logistic regression on single frames. The packaged
teacher is compared with the same network without delay compensation, and with log mel spectra.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable

import librosa
import numpy as np
from codax.data.sources.spec import load_utterances
from codax.metrics import phones
from codax.metrics.signals import MetricError
from codax.teachers.onnx import WAKEHUBERT_DELAY, OnnxTeacher, wakehubert
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

RATE, FRAME_RATE, LONGEST = 16_000, 50.0, 20.0  # Hz, per second, seconds
Recordings = list[tuple[np.ndarray, list[phones.Segment]]]


def aligned(split: str) -> Recordings:
    aligner, recordings = phones.Aligner(), []
    for utterance in load_utterances("starter", sample_rate=RATE, split=split):
        if utterance.seconds > LONGEST:
            continue
        try:
            recordings.append((utterance.audio[:, 0], aligner(utterance)))
        except MetricError:
            continue  # words that are not in the dictionary
    return recordings


def frames(features: Callable[[np.ndarray], np.ndarray], recordings: Recordings) -> tuple[np.ndarray, np.ndarray]:
    values, labels = [], []
    for audio, segments in recordings:
        one = features(audio)
        names = phones.at_frames(segments, len(one), FRAME_RATE)
        known = [name is not None for name in names]
        values.append(one[known])
        labels += [name for name in names if name is not None]
    return np.concatenate(values), np.asarray(labels)


def log_mel(audio: np.ndarray) -> np.ndarray:
    hop = round(RATE / FRAME_RATE)
    power = librosa.feature.melspectrogram(y=audio, sr=RATE, n_fft=512, hop_length=hop, n_mels=64)
    return np.log(power + 1e-3).T


def main() -> None:
    train, test = aligned("train"), aligned("test")
    print(f"{len(train)} recordings for training, {len(test)} for testing")
    kinds = {
        "log mel": log_mel,
        "wakehubert, late": OnnxTeacher(wakehubert(), RATE).whole,
        "wakehubert": OnnxTeacher(wakehubert(), RATE, WAKEHUBERT_DELAY).whole,
    }
    for name, features in kinds.items():
        classifier = make_pipeline(StandardScaler(), LogisticRegression(max_iter=60, C=0.1))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # full convergence is not needed
            classifier.fit(*frames(features, train))
        print(f"{name}: {100 * classifier.score(*frames(features, test)):.1f} % of frames", flush=True)


if __name__ == "__main__":
    main()
