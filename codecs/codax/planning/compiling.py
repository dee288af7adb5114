"""Compiles a training step for devices that are not there, and reads what it will need."""

from __future__ import annotations

import dataclasses
import re

import jax

from codax.config import Config
from codax.errors import CodaxError
from codax.planning.chips import GIB
from codax.planning.collectives import Exchange, collectives
from codax.planning.loops import loop_factor
from codax.planning.subject import subject
from codax.planning.targets import Target
from codax.runtime.platforms import tracing_for
from codax.training.parallel import Parallel

_UNITS = {"": 1, "K": 2**10, "M": 2**20, "G": GIB, "T": 2**40}


@dataclasses.dataclass(frozen=True)
class Memory:
    """Bytes of one device."""

    arguments: int  # state and batch
    outputs: int  # state and metrics
    aliased: int  # outputs that take the place of arguments
    temporaries: int
    code: int

    @property
    def total(self) -> int:
        """The most that is in use at a time."""
        return self.arguments + self.outputs - self.aliased + self.temporaries + self.code


@dataclasses.dataclass(frozen=True)
class Compiled:
    """What the compiler says of a step, of one device."""

    memory: Memory
    flops: float
    accessed: float  # bytes read and written
    exchanges: dict[str, Exchange]
    notes: tuple[str, ...]


@dataclasses.dataclass(frozen=True)
class TooBig:
    """A step that the compiler refuses: it does not fit."""

    needed: int | None  # bytes, as far as the compiler says: it stops at what cannot fit whatever comes
    available: int | None
    notes: tuple[str, ...]


def compile_step(config: Config, target: Target, per_device: int, *, level: str = "") -> Compiled | TooBig:
    """Compiles the step of a recipe, mapped by `shard_map` as in training, for so many examples on each device.

    Args:
      level: of optimisation, "O0" to "O3"; "" = the compiler's own.

    Raises:
      CodaxError: a recipe that cannot be planned.
    """
    mapped = Parallel("shard_map", target.devices)
    jax.config.update("jax_optimization_level", level or "UNKNOWN")
    with tracing_for(target.platform):
        what = subject(config, mapped, per_device)
        traced = what.step.trace(what.state, what.batch)
        lowered = traced.lower(lowering_platforms=(target.platform,))
        try:
            compiled = lowered.compile()
        except jax.errors.JaxRuntimeError as error:
            if "RESOURCE_EXHAUSTED" not in str(error):
                raise CodaxError(
                    f"{target.topology}: cannot compile the step ({str(error).splitlines()[0]})"
                ) from error
            return TooBig(*memory_wanted(str(error)), what.notes)
    stats, costs = compiled.memory_analysis(), compiled.cost_analysis()
    factor = loop_factor(traced.jaxpr)
    memory = Memory(
        arguments=stats.argument_size_in_bytes,
        outputs=stats.output_size_in_bytes,
        aliased=stats.alias_size_in_bytes,
        temporaries=stats.temp_size_in_bytes,
        code=stats.generated_code_size_in_bytes,
    )
    return Compiled(
        memory=memory,
        flops=factor * costs.get("flops", 0.0),
        accessed=factor * costs.get("bytes accessed", 0.0),
        exchanges=collectives(compiled.as_text()),
        notes=what.notes,
    )


def memory_wanted(message: str) -> tuple[int | None, int | None]:
    """Bytes needed and available of XLA's "... (512.00G) exceeds available HBM (15.75G)" or "Used 20.1G of 15.75G"."""
    for pattern in (
        r"\(([\d.]+)([KMGT]?)\) exceeds available HBM \(([\d.]+)([KMGT]?)",
        r"Used ([\d.]+)([KMGT]?) of ([\d.]+)([KMGT]?)",
    ):
        if found := re.search(pattern, message):
            needed, unit, available, other = found.groups()
            return int(float(needed) * _UNITS[unit]), int(float(available) * _UNITS[other])
    return None, None
