"""Makes speakers.npz with the `resemblyzer` package: embeddings of signals that `speaker_signals` makes again.

pip install torch==2.13.0 librosa && pip install --no-deps resemblyzer==0.1.4
python tests/golden/make_speakers.py
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest

FOLDER = Path(__file__).parent
sys.path.append(str(FOLDER.parent))
from peer_package import import_peer  # noqa: E402 (found only now)

SECONDS = (0.4, 1.6, 2.35, 2.95, 6.0)


def speaker_signals() -> list[np.ndarray]:
    """Buzzes float32 [time] at 16 kHz, whose pitch and loudness change."""
    signals = []
    for number, seconds in enumerate(SECONDS):
        time = np.arange(round(seconds * 16_000)) / 16_000
        phase = 2 * np.pi * np.cumsum(110 + 30 * number + 20 * np.sin(4 * time)) / 16_000
        buzz = sum(np.sin(k * phase) / k for k in range(1, 20))
        signals.append((10.0 ** (-number / 2) * 0.2 * buzz * (1 + np.sin(20 * time))).astype(np.float32))
    return signals


def main() -> None:
    with pytest.MonkeyPatch.context() as patch:
        import_peer(patch, "resemblyzer", without=("webrtcvad", "scipy.ndimage.morphology"))
        from resemblyzer.audio import normalize_volume
        from resemblyzer.voice_encoder import VoiceEncoder

        encoder = VoiceEncoder("cpu", verbose=False)
        actual = {
            f"{seconds}": encoder.embed_utterance(normalize_volume(signal, -30, increase_only=True))
            for seconds, signal in zip(SECONDS, speaker_signals(), strict=True)
        }
    np.savez_compressed(FOLDER / "speakers.npz", **actual)


if __name__ == "__main__":
    main()
