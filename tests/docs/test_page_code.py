"""The Python code of README.md and of every page runs, in order, in a folder with the files that the page speaks of."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import codax
import jax
import numpy as np
import pages
import pytest
from codax import audio
from codax.codec.codec import Codec
from codax.config.recipe_files import load_recipe
from codax.deploy.onnx_files import export_onnx
from codax.deploy.stablehlo import export_stablehlo
from codax.lm.config import LMConfig
from codax.lm.model import LanguageModel
from codax.lm.predictor import LM
from codax.lm.storage import save_lm
from codax.tokens.build import build_tokens
from signals import syllables

ROOT = pages.ROOT
PAGES = [*pages.markdown(), *sorted(ROOT.glob("examples/*/README.md"))]
# In the suite; the other pages are in the nightly tier.
QUICK = ("README.md", "docs/extending.md")


def code(page: Path) -> str:
    """The code of a page as one program; blocks with a mark are left out."""
    blocks = [block.text for block in pages.blocks(page) if block.language == "python" and not block.mark]
    return "\n".join(blocks)


WITH_CODE = [page for page in PAGES if code(page)]


def material(page: str, folder: Path) -> None:
    """Writes the files that the code of a page reads."""
    speech = syllables(3.0)[:, None].astype(np.float32)
    audio.write(folder / "speech.wav", speech, 16_000)
    (folder / "speech.pcm").write_bytes(audio.to_int16(speech).astype("<i2").tobytes())
    if page == "docs/deployment.md":
        codec = Codec.init_random(load_recipe("quickstart"), seed=1)
        export_stablehlo(codec, folder / "out")
        export_onnx(codec, folder / "out", compare=False)  # the last writes codec.json
    if "lm" in page or "language-model" in page:
        codec = codax.load("speechtokenizer-speech")
        (folder / "recordings").mkdir()
        for number in range(6):
            audio.write(folder / "recordings" / f"{number}.wav", speech[: 16_000 * (number % 3 + 1)], 16_000)
        build_tokens(str(folder / "recordings"), folder / "tokens", codec)
        for place in ("runs/lm/export", "runs/speech_lm/run/best"):
            small_lm(codec, folder / place)


def small_lm(codec: Codec, folder: Path) -> None:
    """A language model of a codec's codes with random weights, in the layout of the recipe `speech_lm`."""
    recipe = load_recipe("speech_lm")
    lm = recipe.lm
    lm.dim, lm.layers, lm.heads, lm.hidden = 16, 1, 2, 32
    recipe.quantizer, recipe.model = codec.config.quantizer, codec.config.model
    config = LMConfig.of_recipe(recipe)
    shape = np.zeros((1, 4, config.codebooks), np.int32)
    params = LanguageModel(config).init(jax.random.key(0), shape)["params"]
    save_lm(LM(config, params), codec.config, folder, codec_hash=codec.hash)


def described(page: Path) -> str:
    return str(page.relative_to(ROOT))


@pytest.mark.parametrize(
    "page",
    [pytest.param(p, marks=() if described(p) in QUICK else pytest.mark.nightly, id=described(p)) for p in WITH_CODE],
)
def test_the_code_runs(page: Path, tmp_path: Path) -> None:
    material(described(page), tmp_path)
    run = subprocess.run(
        [sys.executable, "-c", code(page)], cwd=tmp_path, capture_output=True, text=True, check=False, timeout=300
    )
    assert run.returncode == 0, run.stderr[-2000:]


def test_code_that_does_not_run_says_why() -> None:
    unmarked = [
        described(page)
        for page in PAGES
        for block in pages.blocks(page)
        if block.language not in ("", "python", "toml", "text", "json", "sh")
    ]
    assert not unmarked, "blocks of a language that no test runs: " + ", ".join(unmarked)
    tested = (ROOT / "tests" / "tokens" / "test_documentation.py").read_text()
    for page in PAGES:
        if any(block.mark == "run" for block in pages.blocks(page)):
            assert page.name in tested, f"{page.name}: marked as run by another test, and not in it"
