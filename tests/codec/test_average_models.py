"""tools/average_models.py: the mean of two models' weights."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import numpy as np
import pytest
from codax.codec.folder import read_model, write_model
from codax.config import Config
from codax.errors import CodaxError

PATH = Path(__file__).parents[2] / "tools" / "average_models.py"
SPEC = importlib.util.spec_from_file_location("average_models", PATH)
average_models = importlib.util.module_from_spec(SPEC)
SPEC.loader.exec_module(average_models)

FIRST = {"kernel": np.array([1.0, 2.0], np.float32), "steps": np.array([True])}
SECOND = {"kernel": np.array([3.0, 6.0], np.float32), "steps": np.array([True])}


def test_the_mean_has_the_config_of_the_second(tmp_path):
    write_model(tmp_path / "a", Config(name="first"), FIRST)
    write_model(tmp_path / "b", Config(name="second"), SECOND, half=True)
    arguments = [str(tmp_path / "a"), str(tmp_path / "b"), "--share", "0.25", "--out", str(tmp_path / "out")]
    assert average_models.main(arguments) == 0
    config, arrays = read_model(tmp_path / "out")
    assert config.name == "second" and arrays["kernel"].dtype == np.float32
    np.testing.assert_array_equal(arrays["kernel"], [1.5, 3.0])
    np.testing.assert_array_equal(arrays["steps"], [True])


@pytest.mark.parametrize(
    "change", [{"kernel": np.zeros(3, np.float32)}, {"other": np.zeros(1, np.float32)}, {"steps": np.array([False])}]
)
def test_models_of_another_shape_are_refused(change):
    with pytest.raises(CodaxError, match=next(iter(change))):
        average_models.average(FIRST, SECOND | change, 0.5)


def test_a_missing_model_is_one_line(tmp_path, capsys):
    assert average_models.main([str(tmp_path), str(tmp_path), "--out", str(tmp_path / "out")]) == 1
    assert capsys.readouterr().err.count("\n") == 1 and not (tmp_path / "out").exists()
