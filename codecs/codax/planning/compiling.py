"""Compiles a training step for devices that are not present, and reads its requirements."""

from __future__ import annotations

import dataclasses
import math
import re
import time
from collections.abc import Sequence
from typing import Any

import jax

from codax.config import Config
from codax.errors import CodaxError
from codax.planning.abstract_step import AbstractStep, abstract_step
from codax.planning.chips import GIB
from codax.planning.collectives import Exchange, collectives
from codax.planning.loops import loop_factor
from codax.planning.targets import Target
from codax.runtime.platforms import tracing_for
from codax.training.compilation import Program
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
class Piece:
    """The compiler's figures of a program of a step, for one device."""

    name: str
    seconds: float  # of compilation, CPU time
    memory: Memory
    flops: float
    accessed: float  # bytes read and written


@dataclasses.dataclass(frozen=True)
class Compiled:
    """The compiler's figures of a step, for one device."""

    memory: Memory
    pieces: tuple[Piece, ...]
    exchanges: dict[str, Exchange]
    notes: tuple[str, ...]

    @property
    def flops(self) -> float:
        return sum(piece.flops for piece in self.pieces)

    @property
    def accessed(self) -> float:
        """Bytes read and written."""
        return sum(piece.accessed for piece in self.pieces)


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
    pieces, exchanges = [], dict[str, Exchange]()
    with tracing_for(target.platform):
        planned = abstract_step(config, mapped, per_device)
        for program in planned.programs:
            try:
                piece, exchanged = _compile(program, target)
            except jax.errors.JaxRuntimeError as error:
                if "RESOURCE_EXHAUSTED" not in str(error):
                    raise CodaxError(
                        f"{target.topology}: cannot compile {program.name} ({str(error).splitlines()[0]})"
                    ) from error
                return TooBig(*parse_memory(str(error)), planned.notes)
            pieces.append(piece)
            for kind, each in exchanged.items():
                exchanges[kind] = exchanges.get(kind, Exchange(0, 0)) + each
    memory = _memory(planned, pieces, len(target.devices))
    return judged(Compiled(memory, tuple(pieces), exchanges, planned.notes), target)


def judged(result: Compiled, target: Target) -> Compiled | TooBig:
    """Returns the result, unless its pieces fit one by one, which the compiler checks, but not together."""
    total = result.memory.total
    if target.platform == "tpu" and len(result.pieces) > 1 and total > target.memory:
        return TooBig(total, int(target.memory), result.notes)
    return result


def _compile(program: Program, target: Target) -> tuple[Piece, dict[str, Exchange]]:
    traced = program.function.trace(*program.arguments)
    lowered = traced.lower(lowering_platforms=(target.platform,))
    began = time.process_time()
    compiled = lowered.compile()
    seconds = time.process_time() - began
    stats, costs = compiled.memory_analysis(), compiled.cost_analysis()
    memory = Memory(
        arguments=stats.argument_size_in_bytes,
        outputs=stats.output_size_in_bytes,
        aliased=stats.alias_size_in_bytes,
        temporaries=stats.temp_size_in_bytes,
        code=stats.generated_code_size_in_bytes,
    )
    factor = loop_factor(traced.jaxpr)
    accessed = factor * costs.get("bytes accessed", 0.0)
    piece = Piece(program.name, seconds, memory, factor * costs.get("flops", 0.0), accessed)
    return piece, collectives(compiled.as_text())


def _memory(planned: AbstractStep, pieces: Sequence[Piece], devices: int) -> Memory:
    """Returns the memory of a step whose pieces run one after another, and keep their results until its end."""
    if len(pieces) == 1:
        return pieces[0].memory
    state = _size(planned.state)
    arguments = state + _size(planned.batch) // devices
    kept = peak = 0
    for piece in pieces:
        kept += piece.memory.outputs - piece.memory.aliased
        peak = max(peak, kept + piece.memory.temporaries)
    aliased = sum(piece.memory.aliased for piece in pieces)
    code = sum(piece.memory.code for piece in pieces)
    return Memory(arguments, state, aliased, max(0, peak - state + aliased), code)


def _size(tree: Any) -> int:
    return sum(math.prod(x.shape) * x.dtype.itemsize for x in jax.tree.leaves(tree))


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
