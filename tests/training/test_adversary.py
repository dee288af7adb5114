"""Discriminators one at a time: one forward pass, random parts of the signals, and draws of some of them."""

from __future__ import annotations

import functools
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from codax.config import Config, ConfigError
from codax.losses.terms import TERMS, Term
from codax.runtime.platforms import tracing_for
from codax.training import adversary
from codax.training.networks import Networks
from codax.training.parallel import Parallel
from codax.training.programs import Programs
from codax.training.randomness import draw_crops, draw_discriminators
from codax.training.stages import Stages
from codax.training.state import Stacks, init_state
from codax.training.step import make_codebook_init, phase_at
from tiny_run import WHOLE_STEP, end_of, tiny_config, train_here, voices, write_corpus

NAME = "wave0"


def two_discriminators(source: str = "none", **changes: Any) -> Config:
    settings = {"discriminator__wave_scales": 2, "discriminator__drawn": 1, "train__batch_size": 4}
    return tiny_config(source, **WHOLE_STEP | settings | changes)


@pytest.fixture(scope="module")
def signals() -> adversary.Signals:
    target = jnp.asarray(voices(4, 800))
    return target, target + 0.1 * jax.random.normal(jax.random.key(0), target.shape)


def results(config: Config, stage: Any, signals: adversary.Signals) -> Any:
    params = jax.jit(lambda: {NAME: init_state(two_discriminators()).discriminator[NAME]})()
    return jax.jit(functools.partial(stage, Networks.of(config), (NAME,), axis=None))(params, jnp.int32(3), signals)


@pytest.mark.parametrize(("accumulate", "balancer"), [(1, False), (2, True)])
def test_one_forward_pass_gives_the_gradients_of_two(
    signals: adversary.Signals, accumulate: int, balancer: bool
) -> None:
    config = two_discriminators(loss__balancer=balancer, memory__accumulate=accumulate)
    own, contribution = results(config, adversary.shared_pass, signals)
    expected_own, _ = results(config, adversary.train_discriminator, signals)
    _, expected = results(config, adversary.through_discriminator, signals)
    assert set(contribution[1]) == ({"adversarial", "feature"} if balancer else {""})
    close = functools.partial(np.testing.assert_allclose, rtol=1e-4, atol=1e-7)
    jax.tree.map(close, (own, contribution), (expected_own, expected))


@pytest.mark.parametrize(("shared", "add", "accumulate"), [(False, False, 1), (True, True, 2)])
def test_a_group_trains_as_its_discriminators_alone(
    signals: adversary.Signals, shared: bool, add: bool, accumulate: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    own = Term("own", lambda config, fake: jnp.mean(fake[0][0] ** 2) if len(fake) == 1 else jnp.nan, ("fake",))
    monkeypatch.setitem(TERMS, "own", own)  # a term processes one discriminator, also of a group
    config = two_discriminators(
        loss__extra={"own": 1.0},
        discriminator__periods=(2, 3),
        discriminator__hifigan_max_channels=4,
        discriminator__shared_forward=shared,
        discriminator__drawn=0,
        loss__sum_discriminators=add,
        memory__accumulate=accumulate,
    )
    state = jax.jit(lambda: init_state(config))()

    def compute() -> Any:
        def train(state: Any, signals: adversary.Signals) -> Any:
            stacks = Stacks(state.discriminator, state.discriminator_optimizer)
            trained = adversary.train(Stages(Networks.of(config), None), stacks, jnp.int32(3), signals, ())
            (losses, gradients) = adversary.joined(config, trained.contributions, len(trained.losses))
            return trained.losses, trained.norms, trained.stacks.params, losses, gradients

        return jax.jit(train)(state, signals)

    apart = compute()
    with tracing_for("tpu"):
        together = compute()
    assert set(apart[0]) == set(state.discriminator) == {"period2", "period3", "wave0", "wave1"}
    jax.tree.map(functools.partial(np.testing.assert_allclose, rtol=2e-4, atol=2e-6), together, apart)


def test_discriminators_process_the_same_part_of_both_signals(signals: adversary.Signals) -> None:
    config = two_discriminators(discriminator__crop_seconds=0.05)
    starts, length = draw_crops(config, jnp.int32(3), (4, 800, 1), None)
    assert length == 400 and starts is not None and len(set(starts.tolist())) == 4
    _, (_, gradients) = results(config, adversary.through_discriminator, signals)
    inside = (np.arange(800) >= starts[:, None]) & (np.arange(800) < starts[:, None] + length)
    assert np.all(np.asarray(gradients[""])[~inside] == 0)
    assert np.mean(np.asarray(gradients[""])[inside] != 0) > 0.9
    parts = [jnp.stack([x[s : s + length] for x, s in zip(signal, starts.tolist(), strict=True)]) for signal in signals]
    (loss, _), _ = results(two_discriminators(), adversary.train_discriminator, (parts[0], parts[1]))
    (actual, _), _ = results(config, adversary.train_discriminator, signals)
    np.testing.assert_allclose(actual[NAME], loss[NAME], rtol=1e-6)


def test_draws_depend_on_seed_and_step_alone() -> None:
    config = two_discriminators()
    draws = [draw_discriminators(config, step) for step in range(200)]
    assert draws == [draw_discriminators(config, step) for step in range(200)]
    assert 80 < draws.count(("wave0",)) < 120 and set(draws) == {("wave0",), ("wave1",)}
    config.seed = 1
    assert draws != [draw_discriminators(config, step) for step in range(200)]
    config.discriminator.drawn = 3
    with pytest.raises(ConfigError, match=r"discriminator\.drawn = 3: must be at most the 2 discriminators"):
        draw_discriminators(config, 0)


def test_options_that_exclude_each_other_are_refused() -> None:
    with pytest.raises(ConfigError, match=r"train\.programs = 'one': must be auto or pieces with discriminator\.drawn"):
        two_discriminators(train__programs="one")
    with pytest.raises(ConfigError, match=r"discriminator\.crop_seconds = 0\.2: must be 0, or from twice the longest"):
        two_discriminators(discriminator__crop_seconds=0.2)


def test_a_step_changes_the_drawn_discriminators_alone() -> None:
    config = two_discriminators()
    mapped = Parallel(devices=jax.devices()[:1])
    batch = {"audio": voices(4, config.segment_samples)}
    state = jax.jit(lambda: init_state(config))()
    state, _ = mapped.compile(make_codebook_init(config, None))(state, batch)
    compile_step: Any = Programs(config, mapped).step
    drawn: list[str] = []
    for step in range(4):
        phase = phase_at(config, step)
        before = jax.device_get((state.discriminator, state.discriminator_optimizer, state.generator))
        audio = np.full_like(batch["audio"], np.nan) if step == 3 else batch["audio"]
        state, metrics = compile_step(phase)(state, {"audio": audio})
        for new, old in ((state.discriminator, before[0]), (state.discriminator_optimizer, before[1])):
            assert {name for name in old if differs(new[name], old[name])} == (set(phase.drawn) if step < 3 else set())
        assert differs(state.generator, before[2]) == (step < 3)
        assert {name for name in metrics if name.startswith("discriminator/")} == {f"discriminator/{phase.drawn[0]}"}
        drawn += phase.drawn
    assert int(metrics["bad_steps"]) == 1 and set(drawn[:3]) == {"wave0", "wave1"}
    counts = {name: int(state.discriminator_optimizer[name][0].count) for name in ("wave0", "wave1")}
    assert counts == {name: drawn[:3].count(name) for name in counts}


def differs(a: Any, b: Any) -> bool:
    return any(bool(np.any(np.asarray(x) != np.asarray(y))) for x, y in zip(*map(jax.tree.leaves, (a, b)), strict=True))


def test_a_resumed_run_draws_what_the_uninterrupted_one_draws(tmp_path: Path) -> None:
    config = two_discriminators(str(write_corpus(tmp_path / "corpus")), train__steps=4, train__eval_every=50)
    train_here(config, tmp_path / "whole", max_steps=3)
    train_here(config, tmp_path / "parts", max_steps=1)
    train_here(config, tmp_path / "parts", max_steps=3)
    whole, parts = (end_of(config, tmp_path / name) for name in ("whole", "parts"))
    assert set(whole) == set(parts)
    for name, value in whole.items():
        np.testing.assert_array_equal(parts[name], value, err_msg=name)
