"""Versions of everything that can move a score."""

from __future__ import annotations

import importlib.metadata
import platform

import codax

PACKAGES = (
    "jax",
    "jaxlib",
    "flax",
    "numpy",
    "scipy",
    "librosa",
    "soxr",
    "soundfile",
    "av",
    "visqol-python",
    "pystoi",
    "pesq",
    "faster-whisper",
    "ctranslate2",
    "jiwer",
    "whisper-normalizer",
    "matplotlib",
)


def versions() -> dict[str, str]:
    """Installed versions by name, with Python, the machine's kind and FFmpeg's libraries."""
    found = {"codax": codax.__version__, "python": platform.python_version(), "platform": platform.platform()}
    for name in PACKAGES:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    if "av" in found:
        import av

        codec = av.library_versions.get("libavcodec", ())
        found["libavcodec"] = ".".join(map(str, codec))
    return found
