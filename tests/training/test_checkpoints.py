"""Checkpoints: what comes back, what is refused, what is ignored."""

from __future__ import annotations

import errno
import gc
import json
import os
import re
import threading
import time
from collections.abc import Iterable, Iterator
from pathlib import Path

import grain
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from codax.config import ConfigError
from codax.config.recipe_files import load_recipe
from codax.errors import CodaxError
from codax.losses.balancer import BalancerState
from codax.runtime.program import quiet_checkpoints
from codax.training.checkpoints import CheckpointError, Checkpoints
from codax.training.parallel import Parallel
from codax.training.start import resume
from codax.training.state import TrainState
from codax.training.workdir import alone_in, check_same_config, write_config
from full_disk import small_file_system
from tiny_run import ROOT, tiny_config, train_here

OLD = json.loads((ROOT / "tests" / "golden" / "configs_version_1.json").read_text())
STATE = {"weights": jnp.arange(12.0).reshape(3, 4), "step": jnp.int32(7), "flag": jnp.ones((), jnp.bool_), "none": {}}


def numbers() -> grain.DatasetIterator:
    return iter(grain.MapDataset.range(100).seed(1).shuffle().repeat().batch(4).to_iter_dataset())


def shapes() -> dict:
    return jax.tree.map(lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=x.sharding), STATE)


def test_state_data_and_log_come_back(tmp_path: Path) -> None:
    data = numbers()
    next(data)
    log = {"window": {"loss": [0.1 + 0.2, 3.0]}}
    with Checkpoints(tmp_path, kept=2) as checkpoints:
        assert checkpoints.latest() is None
        for step in (1, 2, 3):
            checkpoints.save(step, STATE, data, log)
        checkpoints.save(3, STATE, data, log)  # saved already: nothing happens
    following, fresh = next(data), numbers()
    with Checkpoints(tmp_path, kept=2) as checkpoints:
        assert checkpoints.latest() == 3
        state, restored_log = checkpoints.restore(3, shapes(), fresh)
    jax.tree.map(np.testing.assert_array_equal, state, STATE)
    assert restored_log == log
    np.testing.assert_array_equal(next(fresh), following)
    assert sorted(path.name for path in (tmp_path / "checkpoints").iterdir()) == ["2", "3"]


@pytest.fixture
def collected() -> Iterator[None]:
    """Lets go, in the test that made them, of the reads that Orbax leaves unfinished when one array cannot be read."""
    yield
    gc.collect()


@pytest.mark.usefixtures("collected")
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning", "ignore:.*never awaited:RuntimeWarning")
def test_unfinished_and_damaged_checkpoints(tmp_path: Path) -> None:
    with Checkpoints(tmp_path, kept=2) as checkpoints:
        checkpoints.save(3, STATE, numbers(), {})
    (tmp_path / "checkpoints" / "5.orbax-checkpoint-tmp" / "state").mkdir(parents=True)
    (tmp_path / "checkpoints" / "6").mkdir()
    with Checkpoints(tmp_path, kept=2) as checkpoints:
        assert checkpoints.latest() == 3
        wrong = shapes()
        wrong["weights"] = jax.ShapeDtypeStruct((5, 5), jnp.float32, sharding=wrong["weights"].sharding)
        with pytest.raises(CheckpointError, match="checkpoints/3: cannot be restored"):
            checkpoints.restore(3, wrong, numbers())


def test_another_number_of_processes_goes_on(tmp_path: Path) -> None:
    data = numbers()
    next(data)
    with Checkpoints(tmp_path, kept=1) as checkpoints:
        checkpoints.save(3, STATE, data, {"best": 0.5})
    following = next(data)
    folder = tmp_path / "checkpoints" / "3"
    (folder / "checksums.json").unlink()  # the files of two processes are made up here
    place = (folder / "data" / "process_0-of-1.json").rename(folder / "data" / "process_0-of-2.json")

    def restored() -> tuple[dict, dict, np.ndarray]:
        fresh = numbers()
        with Checkpoints(tmp_path, kept=1) as checkpoints:
            return *checkpoints.restore(3, shapes(), fresh), next(fresh)

    with pytest.raises(CheckpointError, match="positions in the data do not agree"):
        restored()
    other = place.with_name("process_1-of-2.json")
    other.write_bytes(place.read_bytes())
    state, log, batch = restored()
    jax.tree.map(np.testing.assert_array_equal, state, STATE)
    np.testing.assert_array_equal(batch, following)
    assert log == {"best": 0.5}
    other.write_text('{"next_index": 7}')
    with pytest.raises(CheckpointError, match="do not agree"):
        restored()
    other.write_text("{")
    with pytest.raises(CheckpointError, match="the position in the data"):
        restored()


@pytest.mark.usefixtures("collected")
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning", "ignore:.*never awaited:RuntimeWarning")
@pytest.mark.parametrize("damage", ["cut", "flip", "remove"])
def test_every_file_of_a_checkpoint_is_watched(tmp_path: Path, damage: str) -> None:
    with Checkpoints(tmp_path / "good", kept=2) as checkpoints:
        checkpoints.save(2, STATE, numbers(), {})
        checkpoints.save(3, STATE, numbers(), {})
    folder = tmp_path / "good/checkpoints/3"
    files = [path for path in folder.rglob("*") if path.is_file()]
    assert len(files) > 8
    with Checkpoints(tmp_path / "good", kept=2) as checkpoints:
        for path in files:
            content = path.read_bytes()
            if damage == "remove":
                path.unlink()
            else:
                flipped = bytearray(content)
                flipped[len(content) // 2] ^= 16
                path.write_bytes(flipped[: len(content) // 2] if damage == "cut" else flipped)
            if path.name == "checksums.json" and damage == "remove":
                checkpoints.restore(3, shapes(), numbers())  # as after a kill before they were written
            else:
                name = re.escape(path.relative_to(folder).as_posix())
                if path.name == "checksums.json" and damage == "flip":
                    name = ".*"  # of the file whose checksum it was
                with pytest.raises(CheckpointError, match=f"{name} is (damaged|missing); remove that folder"):
                    checkpoints.restore(3, shapes(), numbers())
            path.write_bytes(content)
        checkpoints.restore(3, shapes(), numbers())


@pytest.mark.usefixtures("collected")
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning", "ignore:.*never awaited:RuntimeWarning")
def test_a_full_disk_keeps_the_checkpoint_before_it(tmp_path: Path) -> None:
    large = STATE | {"weights": jax.random.normal(jax.random.key(0), (1_000_000,))}
    with small_file_system(tmp_path, 1 << 20), quiet_checkpoints():
        with Checkpoints(tmp_path, kept=2) as checkpoints:
            checkpoints.save(1, STATE, numbers(), {})
            checkpoints.wait()
            reason = (
                r"a checkpoint could not be written \(No space left on device\); the checkpoint of step 1 is intact"
            )
            with pytest.raises(CheckpointError, match=reason):
                checkpoints.save(2, large, numbers(), {})
                checkpoints.wait()
        assert [path.name for path in (tmp_path / "checkpoints").iterdir()] == ["1"]
        with Checkpoints(tmp_path, kept=2) as checkpoints:
            assert checkpoints.latest() == 1
            checkpoints.restore(1, shapes(), numbers())
            checkpoints.save(2, STATE, numbers(), {})


def test_files_that_are_written_after_a_failure_are_removed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def write() -> None:
        for number in range(12):
            folder = tmp_path / "checkpoints" / "1.orbax-checkpoint-tmp" / "state"
            folder.mkdir(parents=True, exist_ok=True)
            (folder / str(number)).touch()
            time.sleep(0.02)

    def fail() -> None:
        writer.start()
        raise OSError(errno.ENOSPC, "full")

    writer = threading.Thread(target=write)
    with Checkpoints(tmp_path, kept=2) as checkpoints, monkeypatch.context() as patch:
        patch.setattr(checkpoints._manager, "wait", fail)
        with pytest.raises(CheckpointError, match="No space left"):
            checkpoints.wait()
    writer.join()
    assert not list((tmp_path / "checkpoints").iterdir())


@pytest.mark.usefixtures("collected")
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning", "ignore:.*never awaited:RuntimeWarning")
def test_a_folder_that_disappears_is_named_and_intact_when_it_is_back(tmp_path: Path) -> None:
    run, away = tmp_path / "run", tmp_path / "away"
    missing = rf"{re.escape(str(run / 'checkpoints'))}: a checkpoint could not be written \(.*\); the folder is missing"
    with pytest.raises(CheckpointError, match=missing), Checkpoints(run, kept=2) as checkpoints:
        checkpoints.save(1, STATE, numbers(), {})
        checkpoints.wait()
        run.rename(away)
        checkpoints.save(2, STATE, numbers(), {})
        checkpoints.wait()
    assert not run.exists()
    away.rename(run)
    with Checkpoints(run, kept=2) as checkpoints:
        assert checkpoints.latest() == 1
        jax.tree.map(np.testing.assert_array_equal, checkpoints.restore(1, shapes(), numbers())[0], STATE)


def test_two_runs_in_one_work_directory(tmp_path: Path) -> None:
    with alone_in(tmp_path / "run"):
        with pytest.raises(CodaxError, match=rf"/run: another run is training there \(process {os.getpid()} on "):
            train_here(tiny_config(), tmp_path / "run")
        assert [path.name for path in (tmp_path / "run").iterdir()] == [".lock"]
    assert not list((tmp_path / "run").iterdir())


def test_the_best_stay(tmp_path: Path) -> None:
    scores = {1: 3.0, 2: 1.0, 3: None, 4: 2.0, 5: 4.0, 6: None}
    with Checkpoints(tmp_path, kept=1, best=2) as checkpoints:
        for step, score in scores.items():
            checkpoints.save(step, STATE, numbers(), {}, score)
    with Checkpoints(tmp_path, kept=1, best=2) as checkpoints:
        assert checkpoints.latest() == 6
        checkpoints.save(7, STATE, numbers(), {}, 1.5)
    assert sorted(path.name for path in (tmp_path / "checkpoints").iterdir()) == ["2", "7"]


def test_a_folder_that_cannot_be_used_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(CheckpointError, match="file/checkpoints: cannot be used for checkpoints"):
        Checkpoints(tmp_path / "file", kept=1)


def test_another_config_is_refused_and_its_field_named(tmp_path: Path) -> None:
    config = tiny_config()
    write_config(tmp_path, config)
    check_same_config(tmp_path, config)
    check_same_config(tmp_path, tiny_config(train__steps=99, train__log_every=7, train__checkpoint_every=11))
    check_same_config(tmp_path, tiny_config(quantizer__alarm_coverage=0.5, discriminator__alarm_steps=7))
    with pytest.raises(ConfigError, match=r"model\.channels = 4, not 8"):
        check_same_config(tmp_path, tiny_config(model__channels=8))
    older = config.to_json().replace('"spectral_start_step": 0,', "")
    assert older != config.to_json()
    (tmp_path / "config.json").write_text(older)
    check_same_config(tmp_path, config)  # a field that did not exist then counts as its default
    (tmp_path / "config.json").write_text("{")
    with pytest.raises(ConfigError, match="cannot be read"):
        check_same_config(tmp_path, config)


def state_with(names: Iterable[str]) -> TrainState:
    """A state whose balancer has a sum of its own for every loss."""
    norm = {name: jnp.float32(i + 1) for i, name in enumerate(names)}
    weight = {name: jnp.float32(10 + i) for i, name in enumerate(names)}
    part, count = {"kernel": jnp.arange(3.0)}, jnp.int32(3)
    return TrainState(count, part, {}, {}, part, (part,), {}, BalancerState(norm, weight), count, count)


def test_the_balancer_is_restored_by_name(tmp_path: Path) -> None:
    """Runs used to keep all four of these, also a loss without weight; `added` is a loss that they did not know."""
    before = state_with(["waveform", "spectral", "adversarial", "feature"])
    with Checkpoints(tmp_path, kept=1) as checkpoints:
        checkpoints.save(3, before, numbers(), {"best": 0.5})
    mapped, data = Parallel(), numbers()
    shapes = mapped.abstract(lambda: state_with(["spectral", "feature", "added", "adversarial"]))
    with Checkpoints(tmp_path, kept=1) as checkpoints:
        state, log = resume(checkpoints, 3, shapes, data)
    assert log == {"best": 0.5}
    assert jax.tree.map(float, vars(state.balancer)) == {
        "norm": {"spectral": 2.0, "adversarial": 3.0, "feature": 4.0, "added": 0.0},
        "weight": {"spectral": 11.0, "adversarial": 12.0, "feature": 13.0, "added": 0.0},
    }
    assert jax.tree.map(lambda x: (x.shape, x.dtype, x.sharding), state) == jax.tree.map(
        lambda x: (x.shape, x.dtype, x.sharding), shapes
    )
    rest = {"balancer": None}
    jax.tree.map(np.testing.assert_array_equal, state.replace(**rest), before.replace(**rest))


@pytest.mark.parametrize("name", OLD)
def test_a_run_of_version_1_is_resumed(tmp_path: Path, name: str) -> None:
    """Its config.json has fields that did nothing then and no longer exist."""
    (tmp_path / "config.json").write_text(json.dumps(OLD[name]))
    recipe = load_recipe(ROOT / "configs" / f"{name}.py")
    check_same_config(tmp_path, recipe)
    recipe.model.channels += 1
    with pytest.raises(ConfigError, match=rf"model\.channels = {recipe.model.channels - 1}, not"):
        check_same_config(tmp_path, recipe)
    recipe.model = recipe.model.of_class("mimi" if recipe.model.family != "mimi" else "dac")
    with pytest.raises(ConfigError, match=r"model\.family = "):
        check_same_config(tmp_path, recipe)
