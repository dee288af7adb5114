"""`codax train`, `codax eval`, `codax completion`, `python -m codax`, and what every command has."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from codax.cli.completion import commands_of
from codax.cli.main import app
from codax.cli.options import with_common_options
from codax.config import Config
from codax.config.recipe_files import load_recipe, packaged

ROOT = Path(__file__).parents[2]


def _codax(*arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    environment = os.environ | {"PYTHONPATH": str(ROOT / "codecs"), "JAX_PLATFORMS": "cpu", "COLUMNS": "100"}
    command = [sys.executable, "-m", "codax", *arguments]
    return subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True, check=False)


def test_recipes_are_known_by_name():
    names = {path.stem for path in (ROOT / "configs").glob("*.py")}
    assert set(packaged()) == names
    assert isinstance(load_recipe("quickstart"), Config)
    assert load_recipe("dac_44khz:16khz").model.sample_rate == 16_000


def test_a_recipe_that_is_named_is_read_from_any_folder(tmp_path):
    done = _codax("train", "--config=quickstart", "--config.data.source=nowhere", "--workdir=run", "-q", cwd=tmp_path)
    assert done.returncode == 1 and done.stdout == ""
    assert done.stderr.startswith("error: nowhere: no such file or folder") and done.stderr.count("\n") == 1


def test_the_help_of_programs_lists_their_flags(tmp_path):
    for name, flags in (("train", ("--workdir", "--config.train.steps=")), ("eval", ("--baselines", "--kbps"))):
        done = _codax(name, "-h", cwd=tmp_path)
        assert all(flag in done.stdout for flag in flags), done.stdout
        assert f"codax {name} --" in done.stdout


def test_evaluation_fails_in_one_line(tmp_path):
    done = _codax("eval", "--model=soundstream-speech", "--quiet", cwd=tmp_path)
    assert (done.returncode, done.stdout, done.stderr) == (1, "", "codax: --out=DIR is missing\n")


def test_every_command_has_the_common_options(run):
    root = with_common_options(app)
    for words, (command, choices) in commands_of(root).items():
        names = [name for choice in choices for name in choice.names]
        assert {"-h", "-q", "-v"} <= set(names), words
        assert len(names) == len(set(names)), words  # no option has two meanings
        assert command.get_short_help_str()
    assert run("-V") == run("--version")
    assert run("mushra", "build", "-h")[0] == 0


def test_an_error_of_a_verbose_program_has_its_traceback(run, tmp_path):
    status, _, err = run("info", str(tmp_path / "none"), "-v")
    assert status == 1 and err.startswith("Traceback") and err.splitlines()[-1].startswith("codax: ")


@pytest.fixture(scope="module")
def script(tmp_path_factory) -> Path:
    done = _codax("completion", "bash", cwd=tmp_path_factory.mktemp("bash"))
    assert done.returncode == 0, done.stderr
    path = tmp_path_factory.mktemp("script") / "codax.bash"
    path.write_text(done.stdout)
    return path


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("enc", "encode"),
        ("mushra ''", "build serve analyze"),
        ("encode --ent", "--entropy"),
        ("encode --entropy ''", "adaptive lm best"),
        ("encode --model sp", "speechtokenizer-speech"),
        ("stream encode --format ''", "f32 s16"),
        ("train --config = quick", "quickstart quickstart_lm"),
        ("train --work", "--workdir"),
        ("completion ''", "bash zsh fish"),
        ("encode in.wav ''", ""),  # files
    ],
)
def test_bash_completes(script, words, expected):
    code = f". {script}; COMP_WORDS=(codax {words}); COMP_CWORD=$((${{#COMP_WORDS[@]}} - 1)); _codax"
    show = '; echo "${COMPREPLY[@]}"'
    done = subprocess.run(["bash", "-c", code + show], capture_output=True, text=True, check=True)
    assert (done.stdout.strip(), done.stderr) == (expected, "")


def test_zsh_and_fish_know_every_command_and_option(run):
    zsh, fish = run("completion", "zsh")[1], run("completion", "fish")[1]
    assert zsh.startswith("autoload -U +X bashcompinit")
    for words, (_, choices) in commands_of(with_common_options(app)).items():
        assert f"'{words}')" in zsh
        for choice in choices:
            assert all(name in zsh for name in choice.names)
            assert all(f"-l {name[2:]}" in fish for name in choice.names if name.startswith("--"))
    assert run("completion", "csh")[0] == 2
