"""The registry of the generator's losses: what recipes can weigh, and what a term may need."""

from __future__ import annotations

from collections.abc import Iterator

import jax.numpy as jnp
import pytest
from codax.config import Config, ConfigError
from codax.errors import CodaxError
from codax.losses import terms
from codax.losses.terms import Term


@pytest.fixture(autouse=True)
def registry() -> Iterator[None]:
    before = dict(terms.TERMS)
    yield
    terms.TERMS.clear()
    terms.TERMS.update(before)


def mean(config: Config, estimate: jnp.ndarray) -> jnp.ndarray:
    return jnp.mean(estimate)


def test_weights_are_by_name_and_zero_leaves_a_term_out() -> None:
    config = Config.from_dict({"loss": {"waveform": 0.5, "feature": 0, "extra": {"mean": 2}}})
    terms.register(Term("mean", mean, ("estimate",)))
    terms.register(Term("unused", mean, ("estimate",)))
    weights = {"waveform": 0.5, "spectral": 1.0, "adversarial": 1.0, "commitment": 1.0, "mean": 2.0}
    assert terms.weights_of(config.loss) == weights
    assert terms.TERMS["mean"](config, {"estimate": jnp.arange(4.0), "target": None}) == 1.5


@pytest.mark.parametrize("name", ["absent", "spectral", "windows"])
def test_a_weight_of_no_registered_term_is_named(name: str) -> None:
    config = Config.from_dict({"loss": {"extra": {name: 1.0}}})
    with pytest.raises(ConfigError, match=rf"loss\.extra: no loss named '{name}' is registered"):
        terms.weights_of(config.loss)


@pytest.mark.parametrize("value", ["1", True, None])
def test_a_weight_is_a_number(value: object) -> None:
    with pytest.raises(ConfigError, match=r"loss\.extra\.mean: expected float"):
        Config.from_dict({"loss": {"extra": {"mean": value}}})


def test_names_are_taken_once_and_never_from_a_setting() -> None:
    terms.register(Term("mean", mean, ("estimate",)))
    for name in ("mean", "spectral", "log_floor", "extra"):
        with pytest.raises(CodaxError, match=f"loss {name}: the name is taken"):
            terms.register(Term(name, mean, ("estimate",)))


def test_a_term_is_of_one_place() -> None:
    for needs in ((), ("estimate", "semantic"), ("fake", "features"), ("target", "audio")):
        with pytest.raises(CodaxError, match="loss mean needs .*: expected some of estimate, fake, key, real, target"):
            terms.register(Term("mean", mean, needs))
    assert Term("a", mean, ("target", "fake")).on_discriminators
    assert not Term("a", mean, ("semantic", "features")).on_reconstruction
    with pytest.raises(CodaxError, match="loss a needs absent, which neither the model nor the batch has"):
        Term("a", mean, ("absent",))(Config(), {"estimate": jnp.zeros(2)})
