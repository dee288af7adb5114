"""Runs the commands and the code of README.md and of the tutorials as written, as a new user would, start to end.

python tests/newcomer.py                  # in full: about an hour and a half on two cores, with an installation
python tests/newcomer.py --quick          # trainings of a few steps and evaluations of two utterances
python tests/newcomer.py README.md        # some pages only, in this order

It clones the last commit into a temporary folder, with an empty home and an environment of PATH and the settings of pip
and proxies, writes recordings where a page expects the user's, and stops at the first command that fails.
"""

from __future__ import annotations

import argparse
import array
import math
import os
import random
import re
import subprocess
import sys
import tempfile
import time
import wave
from pathlib import Path

import pages

ORDER = (
    "README.md",
    "docs/index.md",
    *(f"docs/tutorials/{name}.md" for name in ("first-codec", "fine-tune", "language-model", "live-stream")),
    *(f"docs/tutorials/{name}.md" for name in ("compare", "listening-test", "pods")),
)
KEPT = ("PATH", "LANG", "PYENV_ROOT", "SSL_CERT_FILE", "REQUESTS_CA_BUNDLE")
RATE = 16_000


def program(page: Path, *, quick: bool) -> str:
    """Returns a page as one bash script: its blocks of commands and of Python, in order, that are to be run."""
    lines = ["set -eo pipefail", "if [ -e .venv ]; then . .venv/bin/activate; fi"]
    python: list[str] = []
    for block in pages.blocks(page):
        if block.mark != "not run" and block.language == "":
            text = shortened(block.text) if quick else block.text
            lines += [f"echo {line!r} >&2" for line in text.strip().splitlines()[:1]]
            lines.append(text)
        elif block.mark != "not run" and block.language == "python":
            python.append(block.text)  # blocks of a page belong together
    if python:
        lines += ["python - <<'END_OF_PYTHON'", *python, "END_OF_PYTHON"]
    return "\n".join(lines) + "\n"


def shortened(text: str) -> str:
    """Returns commands with trainings of a few steps and evaluations of two utterances."""

    def short(match: re.Match[str]) -> str:
        # The quickstart's codebooks start at step 300; the other recipes begin with a model, or have no codebooks.
        steps = 310 if re.search("=quickstart|=mine", match[0]) else 4
        return re.sub(r" --config\.train\.steps=\d+", "", match[0]) + f" --config.train.steps={steps}"

    def limited(match: re.Match[str]) -> str:
        return match[0] if "--limit=" in match[0] else f"codax eval --limit=2 {match[1]}"

    text = re.sub(r"codax train(?:[^\n\\&]|\\\n)*[^\n\\& ]", short, text)
    text = re.sub(r"codax eval ((?:[^\n\\]|\\\n)*)", limited, text)
    return text.replace("make train", "make train STEPS=310 LIMIT=2")


def environment(home: Path) -> dict[str, str]:
    """The environment of a new user."""
    kept = re.compile(rf"(?:{'|'.join(KEPT)}|PIP_\w+|\w+_proxy)$", re.IGNORECASE)
    return {name: value for name, value in os.environ.items() if kept.match(name)} | {"HOME": str(home)}


def write_recording(path: Path, seconds: float, seed: int) -> None:
    """Writes a buzzing voice of gliding pitch in syllables, as a WAV file."""
    rng = random.Random(seed)
    samples, phase, formant = array.array("h"), 0.0, 0.0
    for i in range(round(seconds * RATE)):
        time_ = i / RATE
        pitch = 130 + 15 * seed % 90 + 25 * math.sin(2.3 * time_)
        phase = (phase + pitch / RATE) % 1
        syllable = max(0.0, math.sin(2 * math.pi * 2.2 * time_))
        formant = 0.72 * formant + (phase < 0.1) + 0.03 * rng.gauss(0, 1)  # a pulse train, low-passed, with breath
        samples.append(round(9_000 * syllable * max(-3.0, min(3.0, formant - 0.35))))
    path.parent.mkdir(parents=True, exist_ok=True)
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(RATE)
        file.writeframes(samples.tobytes())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("pages", nargs="*", default=ORDER, help="default: README.md, get started, all tutorials")
    parser.add_argument("--quick", action="store_true", help="few steps, two utterances")
    parser.add_argument("--keep", type=Path, help="folder to work in, which is kept; default: a temporary one")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        place = options.keep or Path(temporary)
        clone, home = place / "codax", place / "home"
        home.mkdir(parents=True, exist_ok=True)
        if clone.exists():
            subprocess.run(["git", "-C", str(clone), "pull", "--quiet"], check=True)
        else:
            subprocess.run(["git", "clone", "--quiet", str(pages.ROOT), str(clone)], check=True)
            write_recording(clone / "speech.wav", 4.0, 0)
            for number in range(1, 16):
                folder = "recordings" if number <= 12 else "heldout"
                write_recording(clone / folder / f"{number}.wav", 2.0 + number % 3, number)
        for page in options.pages:
            began = time.monotonic()
            # What earlier pages wrote is removed; the installation and the user's recordings stay.
            excluded = [f"--exclude={name}" for name in (".venv", "*.egg-info", "speech.wav", "recordings", "heldout")]
            subprocess.run(["git", "-C", str(clone), "clean", "-qfdx", *excluded], check=True)
            script = program(clone / page, quick=options.quick)
            status = subprocess.run(["bash", "-c", script], cwd=clone, env=environment(home), check=False).returncode
            if status:
                sys.exit(f"{page}: exit status {status} after {time.monotonic() - began:.0f} s")
            print(f"{page}: {time.monotonic() - began:.0f} s", flush=True)


if __name__ == "__main__":
    main()
