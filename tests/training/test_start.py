"""A run that starts from a finished model."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import codax
import numpy as np
import pytest
from codax.codec.codec import Codec
from codax.config import Config
from codax.errors import CodaxError
from tiny_run import WHOLE_STEP, tiny_config, train_here, write_corpus


@pytest.fixture(scope="module")
def config(tmp_path_factory: pytest.TempPathFactory) -> Config:
    """Two steps at a rate of learning that changes nothing but the codebooks, from a model of random weights."""
    folder = tmp_path_factory.mktemp("start")
    config = tiny_config(str(write_corpus(folder / "corpus")), **WHOLE_STEP, train__steps=2, train__sample_files=0)
    config.loss.adversarial = config.loss.feature = 0.0
    Codec.init_random(config, seed=5).save(folder / "model")
    config.train.start_from, config.optimizer.learning_rate = str(folder / "model"), 1e-12
    config.quantizer.decay, config.quantizer.dead_threshold = 0.999, 0.0
    return config.validate()


def test_network_and_codebooks_are_those_of_the_model_and_a_stopped_run_goes_on(
    config: Config, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    train_here(config, tmp_path / "one")
    train_here(config, tmp_path / "two", max_steps=1)
    assert "resuming from the checkpoint" not in capsys.readouterr().out
    train_here(config, tmp_path / "two")
    assert "resuming from the checkpoint" in capsys.readouterr().out
    model, one, two = (
        codax.load(folder)
        for folder in (config.train.start_from, tmp_path / "one" / "export", tmp_path / "two" / "export")
    )
    assert one.hash == two.hash != model.hash
    before, after = model.flat(), one.flat()
    for name, value in before.items():
        if name.startswith("params."):
            np.testing.assert_allclose(after[name], value, rtol=1e-6, atol=1e-8)
    books = [arrays["codebook.quantizer.embedding"] for arrays in (before, after)]
    assert 0 < np.abs(books[1] - books[0]).max() < 0.5 * np.abs(books[0]).max()  # they follow the audio slowly


@pytest.mark.parametrize(
    ("section", "field", "value", "message"),
    [
        ("model", "dilations", (3,), r"model\.dilations is \(1,\), not \(3,\)"),
        ("quantizer", "num_quantizers", 3, r"codebook\.quantizer\.\w+ is float32\[4"),
        ("train", "start_from", "absent", "absent: no such model folder"),
        ("quantizer", "start_step", 1, r"0 with train\.start_from"),
    ],
)
def test_what_does_not_fit_is_refused(config: Config, tmp_path: Path, section, field, value, message) -> None:
    changed = Config.from_dict(dataclasses.asdict(config))
    setattr(getattr(changed, section), field, value)
    changed.quantizer.kbps = ()
    with pytest.raises(CodaxError, match=message):
        train_here(changed, tmp_path / "run")
    assert not list(tmp_path.glob("run/checkpoints/*"))
