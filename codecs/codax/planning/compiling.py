"""Compiles a training step for devices that are not present, and reads its requirements."""

from __future__ import annotations

import dataclasses
import re

import jax

from codax.config import Config
from codax.errors import CodaxError
from codax.planning.abstract_step import abstract_step
from codax.planning.chips import GIB
from codax.planning.collectives import Exchange, collectives
from codax.planning.loops import loop_factor
from codax.planning.targets import Target
from codax.runtime.platforms import tracing_for
from codax.training.parallel import Parallel

_UNITS = {"": 1, "K": 2**10, "M": 2**20, "G": GIB, "T": 2**40}


@dataclasses.dataclass(frozen=True)
class Memory:
    """Memory of one device, in bytes."""

    arguments: int  # training state and batch
    outputs: int  # training state and metrics
    aliased: int  # outputs that reuse the memory of arguments
    temporaries: int
    code: int

    @property
    def total(self) -> int:
        """Peak memory."""
        return self.arguments + self.outputs - self.aliased + self.temporaries + self.code


@dataclasses.dataclass(frozen=True)
class Compiled:
    """The compiler's figures of a step, for one device."""

    memory: Memory
    flops: float
    accessed: float  # bytes read and written
    exchanges: dict[str, Exchange]
    notes: tuple[str, ...]


@dataclasses.dataclass(frozen=True)
class TooBig:
    """A step that the compiler rejects because it does not fit in memory."""

    needed: int | None  # bytes, if reported; a lower bound, because the compiler stops at the first failure
    available: int | None
    notes: tuple[str, ...]


def compile_step(config: Config, target: Target, per_device: int, *, level: str = "") -> Compiled | TooBig:
    """Compiles the training step of a recipe, mapped by `shard_map` as in training.

    Args:
      config: the recipe.
      target: devices to compile for.
      per_device: examples on each device.
      level: optimisation level, "O0" to "O3"; "" = the compiler's default.

    Raises:
      CodaxError: the recipe cannot be planned.
    """
    mapped = Parallel("shard_map", target.devices)
    jax.config.update("jax_optimization_level", level or "UNKNOWN")
    with tracing_for(target.platform):
        planned = abstract_step(config, mapped, per_device)
        traced = planned.step.trace(planned.state, planned.batch, *planned.frozen)
        lowered = traced.lower(lowering_platforms=(target.platform,))
        try:
            compiled = lowered.compile()
        except jax.errors.JaxRuntimeError as error:
            if "RESOURCE_EXHAUSTED" not in str(error):
                raise CodaxError(
                    f"{target.topology}: cannot compile the step ({str(error).splitlines()[0]})"
                ) from error
            return TooBig(*parse_memory(str(error)), planned.notes)
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
        notes=planned.notes,
    )


def parse_memory(message: str) -> tuple[int | None, int | None]:
    """Parses needed and available bytes of "... (512.00G) exceeds available HBM (15.75G)" or "Used 20.1G of 15.75G"."""
    for pattern in (
        r"\(([\d.]+)([KMGT]?)\) exceeds available HBM \(([\d.]+)([KMGT]?)",
        r"Used ([\d.]+)([KMGT]?) of ([\d.]+)([KMGT]?)",
    ):
        if match := re.search(pattern, message):
            needed, unit, available, other = match.groups()
            return int(float(needed) * _UNITS[unit]), int(float(available) * _UNITS[other])
    return None, None
