"""The example with PyTorch's loader, where it is installed."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import numpy as np
import pytest
from codax import tokens

pytestmark = pytest.mark.peer
torch = pytest.importorskip("torch")
EXAMPLE = Path(__file__).parents[2] / "examples" / "tokens_torch.py"


@pytest.mark.parametrize("name", tokens.LAYOUTS)
def test_the_loader_gives_every_clip_once(name: str) -> None:
    spec = importlib.util.spec_from_file_location("tokens_torch", EXAMPLE)
    assert spec is not None and spec.loader is not None
    example = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(example)
    rng, vocabulary, restored = np.random.default_rng(0), tokens.Vocabulary((1024, 1024)), []
    records = [{"codes": rng.integers(0, 1024, (n, 2)).astype(np.int16)} for n in (4, 1, 9, 30, 7)]
    for batch in example.loader(records, vocabulary, name, 2):
        assert batch["tokens"].dtype == torch.int64
        for row in tokens.unpad(batch["tokens"].numpy(), batch["mask"].numpy()):
            restored.append(vocabulary.decode(tokens.layout(name).invert(row, 2)))
    assert sorted(x.tolist() for x in restored) == sorted(r["codes"].tolist() for r in records)
