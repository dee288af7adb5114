"""`codax eval` and eval.py: evaluates codecs and baselines."""

from __future__ import annotations

import functools
import sys

from absl import app, flags, logging

from codax.audio.channels import MODES
from codax.config.recipe_flags import show_help
from codax.errors import CodaxError
from codax.evaluation import protocols
from codax.metrics import registry
from codax.runtime.allocator import use_huge_pages
from codax.runtime.program import named_devices, program

USAGE = "Evaluates codecs: codax eval --model=DIR --data=SPEC --out=DIR [--baselines=opus:6,opus:12]"
FLAGS = flags.FLAGS
flags.DEFINE_list(
    "model", [], "Models: folders, files and names as for --model of codax encode, or NAME=MODEL; empty = none."
)
flags.DEFINE_string("data", "starter", "Folder of audio, manifest, ArrayRecord glob, or 'starter'.")
flags.DEFINE_string("out", "", "Folder for results.json, per_file.csv, rate_quality.png, report.html and audio/.")
flags.DEFINE_bool("overwrite", False, "Replace existing results in --out, which are otherwise kept.")
flags.DEFINE_list("kbps", [], "Rates of the model in kilobits per second; empty = those its config reports.")
flags.DEFINE_list("codebooks", [], "Rates of the model as numbers of codebooks, instead of --kbps; 'all' = 1, 2, ...")
flags.DEFINE_list("metrics", list(registry.DEFAULT), f"Some of {', '.join(registry.names())}.")
flags.DEFINE_string("protocol", "", f"Settings of published tables: {', '.join(protocols.names())}, or a file.")
flags.DEFINE_list("decoded", [], "Folders with decoded files of other codecs, FOLDER or NAME=FOLDER.")
flags.DEFINE_list("baselines", [], "Baselines, such as opus:6,amrwb:12.65,external:evs.json,anchor35.")
flags.DEFINE_string("asr", "base", "Speech recogniser: base, tiny.en, or a name or folder: faster-whisper, HuBERT CTC.")
flags.DEFINE_string("labels", "", "Folder with phone labels, ID.TextGrid or ID.phn; empty = forced alignment.")
flags.DEFINE_integer("limit", 0, "Number of utterances, evenly spaced; 0 = all.", lower_bound=0)
flags.DEFINE_enum("report", "quality", ["quality", "bitrates"], "Quality of models, or the rates of their files.")
flags.DEFINE_list("recipes", [], "With --report=bitrates: recipes in addition to models; they get random weights.")
flags.DEFINE_float("seconds", 20.0, "With --report=bitrates: seconds of speech to code.", lower_bound=1.0)
flags.DEFINE_string("split", "test", "Split of the data, if it has splits.")
flags.DEFINE_enum("channels", "each", MODES, "How models code the channels: each at the rate, mixed, mid and side.")
flags.DEFINE_bool("denoise", False, "Evaluate models that can denoise with denoising too.")
flags.DEFINE_list("snr", [], "Signal-to-noise ratios in dB, such as 0,5,10: systems get noisy utterances at each too.")
flags.DEFINE_string("noise", "starter-noise", "Noise for --snr: a SPEC as for --data, or starter-noise (synthetic).")
flags.DEFINE_integer("processes", 1, "Number of processes that share the utterances.", lower_bound=1)
flags.DEFINE_integer("seed", 0, "Seed of the bootstrap intervals.", lower_bound=0)
flags.DEFINE_integer("sample_rate", 0, "Hz of the evaluation; 0 = the model's, or 16000 without one.", lower_bound=0)


def main(_: list[str], *, name: str = "codax") -> None:
    """Evaluates; `name` is that of the program, for messages."""
    logging.set_verbosity(logging.WARNING)
    try:
        with program(), named_devices():
            from codax.cli import evaluation

            evaluation.run(FLAGS)
    except CodaxError as error:
        sys.exit(f"{name}: {error}")
    except KeyboardInterrupt:
        print(f"{name}: interrupted; the same command resumes", file=sys.stderr)
        sys.exit(130)


def run(name: str = "codax") -> None:
    """Runs the program with the flags of `sys.argv`, and exits."""
    use_huge_pages()
    show_help(__name__, USAGE)
    app.run(functools.partial(main, name=name))
