"""docs/tokens.md: its table is that of the recipes, and its code runs."""

from __future__ import annotations

import re
from pathlib import Path

import codax
import numpy as np
import pytest
from codax import audio
from codax.config.recipe_files import load_recipe
from codax.tokens.build import build_tokens
from command import run  # noqa: F401

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "tokens.md"


def table() -> str:
    rows = ["| recipe | frames per second | codebooks | entries | kbps | tokens per second |", "|---" * 6 + "|"]
    for path in sorted((ROOT / "configs").glob("*.py")):
        config = load_recipe(path).validate()
        if config.lm.codec:
            continue  # a language model's recipe
        count, size = config.quantizer.num_quantizers, config.quantizer.codebook_size
        name = f"[{path.stem}](../configs/{path.name})"
        kbps, rate = config.kbps(count), config.frame_rate
        rows.append(f"| {name} | {rate:.4g} | {count} | {size} | {kbps:.4g} | {rate * count:.4g} |")
    return "\n".join(rows)


def test_the_table_of_rates_is_that_of_the_recipes() -> None:
    text = re.search(r"<!-- rates -->\n(.*?)\n?<!-- /rates -->", PAGE.read_text(), re.S)
    assert text is not None
    assert text[1] == table(), f"the table should be\n{table()}"


def code_of(name: str) -> str:
    block = re.search(rf"<!-- run: {name} -->\n```python\n(.*?)```", PAGE.read_text(), re.S)
    assert block is not None
    return block[1]


@pytest.fixture
def speech(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder of ten clips of noise in the current folder."""
    (tmp_path / "speech").mkdir()
    rng = np.random.default_rng(0)
    for i in range(10):
        clip = 0.1 * rng.normal(size=(8_000 + 1_600 * (i % 4), 1))
        audio.write(tmp_path / "speech" / f"{i}.wav", clip.astype(np.float32), 16_000)
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def tokens(speech: None) -> None:
    """The token data set that `codax tokenize speech --out tokens` makes of them."""
    build_tokens("speech", Path("tokens"), codax.load("speechtokenizer-speech"))


def executed(name: str) -> dict:
    names: dict = {}
    exec(compile(code_of(name), f"{PAGE.name}:{name}", "exec"), names)
    return names


def test_the_code_for_jax(tokens: None) -> None:
    names = executed("jax")
    assert names["ids"].shape == (2, 107, 8) and names["mask"].shape == (2, 107, 8)
    assert int(names["ids"].max()) < len(names["vocabulary"])


def test_the_code_for_numpy() -> None:
    names = executed("numpy")
    assert names["ids"].shape == (3, 48) and names["ended"].shape == (3, 50)
    assert [x.shape for x in names["codes"]] == [(3, 8), (0, 8), (5, 8)]


def test_the_command_and_the_code_of_acoustic_bpe(tokens: None, run) -> None:  # noqa: F811
    pytest.importorskip("tokenizers")
    command = ("tokens", "bpe", "tokens", "--out", "bpe.json", "--vocab")
    status, _, error = run(*command, 1000)
    assert status == 1 and error.endswith("1000 tokens are fewer than the 1024 entries of the codebook\n")
    status, text, _ = run(*command, 1100)
    assert status == 0
    assert re.fullmatch(r"bpe\.json: 1\d{3} tokens, 50 tokens per second become \d+\.\d, \d+ % fewer\n", text)
    assert run(*command, 1100)[2].startswith("codax: bpe.json: already exists")
    names = executed("bpe")
    np.testing.assert_array_equal(names["codes"], names["records"][0]["codes"][:, 0])
    assert names["frames"].sum() == len(names["codes"])


def test_acoustic_bpe_needs_records(speech: None, run) -> None:  # noqa: F811
    Path("tokens").mkdir()
    status, _, error = run("tokens", "bpe", "tokens", "--out", "bpe.json", "--vocab", 4096)
    assert status == 1 and "tokens: holds no dataset.json" in error and error.count("\n") == 1


@pytest.mark.peer
def test_the_code_for_pytorch(tokens: None) -> None:
    pytest.importorskip("torch")
    names = executed("torch")
    assert names["ids"].shape[0] == 2 and names["ids"].shape[2] == 8 and names["mask"].shape == names["ids"].shape[:2]
