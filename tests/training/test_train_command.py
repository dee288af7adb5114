"""`python train.py`, as a user runs it: a whole run, a killed run that resumes, and errors."""

from __future__ import annotations

import dataclasses
import json
import re
import signal
from pathlib import Path

import codax
import numpy as np
import pytest
from codax import audio
from codax.config import Config, recipe_flags
from codax.errors import CodaxError
from codax.training import loop
from tiny_run import (
    WORKER,
    end_of,
    environment,
    metric_lines,
    run_program,
    tiny_config,
    train_here,
    write_corpus,
    write_place,
)


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a corpus, and a recipe as a Python file and as JSON."""
    folder = tmp_path_factory.mktemp("training")
    return write_place(folder, tiny_config(str(folder / "corpus")))


@pytest.fixture(scope="module")
def run(place: Path) -> Path:
    """The work directory of a run without interruption."""
    workdir = place / "run"
    env = environment()
    done = run_program("train.py", f"--config={place / 'recipe.py'}", f"--workdir={workdir}", env=env)
    assert done.returncode == 0, done.stderr
    assert "finished 20 steps" in done.stdout
    return workdir


def test_a_run_leaves_what_the_contract_says(run: Path, place: Path) -> None:
    assert Config.load(run / "config.json") == Config.load(place / "recipe.json")
    assert sorted(path.name for path in (run / "checkpoints").iterdir()) == ["15", "18", "20"]
    assert len(list(run.glob("events.out.tfevents.*"))) == 1
    samples = run / "samples" / "step_00000020"
    assert {path.name for path in samples.iterdir()} == {
        "00_original.wav",
        "00_4kbps.wav",
        "00_16kbps.wav",
        "00.png",
    }
    sound, rate = audio.read(samples / "00_16kbps.wav")
    assert rate == 8000 and len(sound) == 4 * rate
    codec = codax.load(run / "export")
    assert codec.encode(np.zeros((1, 800, 1), np.float32)).codes.shape == (1, 100, 4)


def test_metrics_hold_every_number_and_the_loss_falls(run: Path) -> None:
    lines = metric_lines(run)
    training = [line for line in lines if line["kind"] == "train"]
    assert [line["step"] for line in training] == list(range(2, 21, 2))
    assert {line["step"] for line in lines if line["kind"] == "validation"} == {10, 20}
    last = training[-1]
    for name in ("generator", "discriminator", "waveform", "spectral", "adversarial", "feature", "commitment"):
        assert np.isfinite(last[f"loss/{name}"])
    for name in ("perplexity", "used", "dead", "coverage", "dead_share"):
        assert len(last[f"codebook/{name}_levels"]) == 4
        assert last[f"codebook/{name}"] == pytest.approx(np.mean(last[f"codebook/{name}_levels"]))
    assert last["gradient/generator"] > 0 and last["gradient/discriminator"] > 0 and last["learning_rate"] == 1e-3
    assert last["loss/waveform"] < 0.9 * training[0]["loss/waveform"]
    assert last["loss/spectral"] < 0.9 * training[0]["loss/spectral"]
    raw = json.loads((run / "metrics.jsonl").read_text().splitlines()[-2])
    assert raw["time/steps_per_second"] > 0 and 0 <= raw["time/data_share"] <= 1
    assert raw["time/audio_seconds_per_second"] == pytest.approx(raw["time/steps_per_second"] * 0.8)


def test_killed_and_stopped_runs_go_on_bit_for_bit(run: Path, place: Path) -> None:
    recipe, workdir, env = place / "recipe.json", place / "killed", environment()
    killed = run_program(WORKER, "train", recipe, workdir, 7, "SIGKILL", env=env)
    assert killed.returncode == -signal.SIGKILL
    assert not (workdir / "export").exists()
    assert (workdir / ".lock").exists()  # which the next process takes over
    # What a process leaves that is killed in the middle of a line and of a checkpoint.
    (workdir / "metrics.jsonl").open("a").write('{"step": 8, "ki')
    (workdir / "checkpoints" / "9.orbax-checkpoint-tmp" / "state").mkdir(parents=True)

    stopped = run_program(WORKER, "train", recipe, workdir, 13, "SIGTERM", env=env)
    assert stopped.returncode == 0, stopped.stderr
    assert "resuming from the checkpoint of step" in stopped.stdout
    assert f"stopped on request at step 14; the same command with --workdir={workdir} resumes it" in stopped.stdout

    command = ("train.py", f"--config={place / 'recipe.py'}", f"--workdir={workdir}")
    finished = run_program(*command, env=env)
    assert finished.returncode == 0, finished.stderr
    assert "resuming from the checkpoint of step 14" in finished.stdout

    assert metric_lines(workdir) == metric_lines(run)
    states = [end_of(Config.load(recipe), folder) for folder in (run, workdir)]
    assert states[0][".step"] == 20 and set(states[0]) == set(states[1])
    for name, value in states[0].items():
        np.testing.assert_array_equal(value, states[1][name], err_msg=name)
    assert codax.load(run / "export").hash == codax.load(workdir / "export").hash


def test_a_step_that_never_ends_ends_at_sigterm(place: Path) -> None:
    recipe, workdir, env = place / "recipe.json", place / "hung", environment()
    hung = run_program(WORKER, "hang", recipe, workdir, 5, 3, env=env)
    assert hung.returncode == 1
    line = "error: no step, evaluation or checkpoint ended within 3 s of the signal to stop; "
    assert hung.stderr.splitlines()[-1] == line + "the checkpoint of step 3 is intact"
    assert end_of(Config.load(recipe), workdir)[".step"] == 3


def test_a_finished_run_is_left_as_it_is_and_can_be_prolonged(run: Path, place: Path) -> None:
    before, config = (run / "metrics.jsonl").read_bytes(), Config.load(place / "recipe.json")
    train_here(config, run)
    assert (run / "metrics.jsonl").read_bytes() == before
    config.model.channels = 8
    with pytest.raises(CodaxError, match=r"model\.channels = 4, not 8"):
        train_here(config, run)


MISTAKES = {
    "--config.train.batchsize=3": "unknown config field train.batchsize",
    "--config.train.batch_size=many": "config field train.batch_size = 'many': expected a whole number",
    "--config.model.strides=(2,0.5)": "config field model.strides: expected int, got 0.5",
    "--config.loss.distillation=1": "model.semantic_dimension = 0: must be positive with loss.distillation",
}


@pytest.mark.parametrize("flag", MISTAKES)
def test_mistakes_are_named(flag: str, place: Path) -> None:
    with pytest.raises(CodaxError, match=re.escape(MISTAKES[flag])):
        recipe_flags.read(str(place / "recipe.py"), [flag])


@pytest.mark.parametrize(
    ("flag", "message"),
    [
        ("--config.data.source=nowhere", "nowhere"),
        ("--config=recipes/none.py", "recipes/none.py: no such recipe"),
    ],
)
def test_mistakes_give_one_line_and_status_1(flag: str, message: str, place: Path, tmp_path: Path) -> None:
    recipe = [] if flag.startswith("--config=") else [f"--config={place / 'recipe.py'}"]
    done = run_program("train.py", *recipe, f"--workdir={tmp_path / 'run'}", flag, env=environment())
    assert done.returncode == 1
    assert done.stderr.startswith("error: ") and done.stderr.count("\n") == 1
    assert message in done.stderr


@pytest.mark.parametrize("arguments", [(), ("--workdir=run",), ("--config=",), ("--config.train.steps=3",)])
def test_a_recipe_is_asked_for(arguments: tuple[str, ...]) -> None:
    done = run_program("train.py", *arguments, env=environment())
    expected = "error: --config is missing: give a recipe such as --config=quickstart\n"
    assert (done.returncode, done.stderr) == (1, expected)


def test_the_help_lists_the_recipe_and_its_fields() -> None:
    text = run_program("train.py", "--help", env=environment()).stdout
    assert "--config: Recipe: a Python file" in text and "--workdir: " in text
    for section in Config().sections():
        for field in dataclasses.fields(section):
            if not dataclasses.is_dataclass(getattr(section, field.name)) and (section.path or field.name != "version"):
                assert f"--config.{section.place(field.name)}=" in text
    assert "--config.model.family=soundstream (or dac, encodec, mimi)" in text


def test_steps_that_stay_infinite_stop_the_run_after_the_limit(place: Path, tmp_path: Path) -> None:
    config = Config.load(place / "recipe.json")
    config.optimizer.learning_rate = 1e38  # the first update makes the second step infinite
    config.quantizer.start_step = config.discriminator.start_step = 100
    config.train = dataclasses.replace(config.train, max_bad_steps=3, eval_batches=0, sample_files=0)
    with pytest.raises(CodaxError, match="not finite in 3 steps in a row"):
        train_here(config, tmp_path / "run")


@pytest.mark.usefixtures("run")  # which leaves the compiled programs: none could be kept here
def test_a_full_disk_ends_the_run_and_keeps_what_was_saved(place: Path, tmp_path: Path) -> None:
    """A limit on the size of files stands in for the full disk."""
    recipe = place / "recipe.json"
    program = f"""
import resource, signal, sys
from codax.config import Config, recipe_flags
from codax.errors import CodaxError
from codax.runtime.program import quiet_checkpoints
from codax.training import checkpoints, loop
save = checkpoints.Checkpoints.save
def limited(self, step, *arguments):
    if step > 3:
        self.wait()
        resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))
    save(self, step, *arguments)
checkpoints.Checkpoints.save = limited
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
config = Config.load({str(recipe)!r})
with quiet_checkpoints():
    try:
        loop.train(config, {str(tmp_path / "run")!r})
    except CodaxError as error:
        recipe_flags.fail(error)
"""
    done = run_program("-c", program, env=environment(JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS="1000"))
    assert done.returncode == 1, done.stderr
    assert "a checkpoint could not be written (File too large); the checkpoint of step 3 is intact" in done.stderr
    assert done.stderr.count("\n") == 1, done.stderr
    assert end_of(Config.load(recipe), tmp_path / "run")[".step"] == 3


def with_corpus(place: Path, folder: Path, **data: object) -> Config:
    """The recipe on a corpus of its own."""
    config = Config.load(place / "recipe.json")
    config.data = dataclasses.replace(config.data, source=str(write_corpus(folder / "corpus")), **data)
    return config


def test_files_that_die_are_named_and_the_run_goes_on_when_they_are_back(
    place: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    config = with_corpus(place, tmp_path, memory_mb=0)
    config.quantizer.start_step = config.discriminator.start_step = 100
    config.train.eval_batches = config.train.sample_files = 0
    phase_at = loop.phase_at

    def with_damage(recipe, step):
        if step == 7:
            for path in Path(config.data.source).glob("*.wav"):
                path.write_bytes(b"RIFF")
        return phase_at(recipe, step)

    with monkeypatch.context() as patch:
        patch.setattr(loop, "phase_at", with_damage)
        with pytest.raises(CodaxError) as died:
            train_here(config, tmp_path / "run")
    assert str(died.value) == f"{config.data.source}: 8 files in a row cannot be read; has the folder been removed?"
    assert f"warning: skipped while training (1 so far): {config.data.source}/" in capsys.readouterr().err
    write_corpus(tmp_path / "corpus")
    train_here(config, tmp_path / "run")
    messages = capsys.readouterr().out
    assert "resuming from the checkpoint of step" in messages and "finished 20 steps" in messages


def test_a_loader_that_hangs_is_named(place: Path, tmp_path: Path) -> None:
    """A thread that hangs cannot be stopped: the process ends itself."""
    config = with_corpus(place, tmp_path, timeout_seconds=3.0)
    (tmp_path / "recipe.json").write_text(config.to_json(), encoding="utf-8")
    program = f"""
import time
from codax.config import Config
from codax.data.crops import Crops
from codax.training import loop
crop = Crops.with_features
calls = []
def hanging(self, index, rng):
    calls.append(index)
    if len(calls) > 60:
        time.sleep(1000)
    return crop(self, index, rng)
Crops.with_features = hanging
loop.train(Config.load({str(tmp_path / "recipe.json")!r}), {str(tmp_path / "run")!r})
"""
    hung = run_program("-c", program, env=environment())
    assert hung.returncode == 1
    last = hung.stderr.splitlines()[-1]
    assert last.startswith(f"error: {config.data.source}: no batch for 3 s (data.timeout_seconds); the checkpoint of ")
    assert last.endswith(" is intact")
    assert not (tmp_path / "run" / "export").exists()
