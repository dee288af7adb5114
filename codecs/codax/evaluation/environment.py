"""Versions of the software that can affect a score."""

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
    "speechmos",
    "torch",
    "torchmetrics",
    "utmosv2",
    "scoreq",
    "faster-whisper",
    "ctranslate2",
    "jiwer",
    "whisper-normalizer",
    "onnxruntime",
    "pocketsphinx",
    "praatio",
    "resemblyzer",
    "ovos-ww-plugin-wakeforge",
    "torchaudio",
    "matplotlib",
)


def versions() -> dict[str, str]:
    """Installed versions by name, including Python, the platform and FFmpeg's libraries."""
    installed = {"codax": codax.__version__, "python": platform.python_version(), "platform": platform.platform()}
    for name in PACKAGES:
        try:
            installed[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    if "av" in installed:
        import av

        codec = av.library_versions.get("libavcodec", ())
        installed["libavcodec"] = ".".join(map(str, codec))
    return installed
