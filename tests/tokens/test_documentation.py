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
    """A folder of four clips of noise in the current folder."""
    (tmp_path / "speech").mkdir()
    rng = np.random.default_rng(0)
    for i in range(4):
        clip = 0.1 * rng.normal(size=(8_000 + 1_600 * i, 1))
        audio.write(tmp_path / "speech" / f"{i}.wav", clip.astype(np.float32), 16_000)
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def tokens(speech: None) -> None:
    """The token data set that `codax tokenize speech --out tokens` makes of them."""
    build_tokens("speech", Path("tokens"), codax.load("speechtokenizer-speech"))


def run(name: str) -> dict:
    names: dict = {}
    exec(compile(code_of(name), f"{PAGE.name}:{name}", "exec"), names)
    return names


def test_the_code_for_jax(tokens: None) -> None:
    names = run("jax")
    assert names["ids"].shape == (2, 107, 8) and names["mask"].shape == (2, 107, 8)
    assert int(names["ids"].max()) < len(names["vocabulary"])


def test_the_code_for_numpy() -> None:
    names = run("numpy")
    assert names["ids"].shape == (3, 48) and names["ended"].shape == (3, 50)
    assert [x.shape for x in names["codes"]] == [(3, 8), (0, 8), (5, 8)]


def test_the_code_of_acoustic_bpe(speech: None, capsys: pytest.CaptureFixture) -> None:
    pytest.importorskip("tokenizers")
    names = run("bpe")
    np.testing.assert_array_equal(names["bpe"].decode(names["bpe"].encode(names["clips"][0])), names["clips"][0])
    assert re.fullmatch(r"tokens per second before and after: 50\.0 \d+\.\d\n", capsys.readouterr().out)


@pytest.mark.peer
def test_the_code_for_pytorch(tokens: None) -> None:
    pytest.importorskip("torch")
    names = run("torch")
    assert names["ids"].shape[0] == 2 and names["ids"].shape[2] == 8 and names["mask"].shape == names["ids"].shape[:2]
