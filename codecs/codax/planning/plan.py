"""The requirements of a recipe on a topology, as plain values and as text."""

from __future__ import annotations

import dataclasses
import functools
from typing import Any

import jax

from codax.config import Config
from codax.planning.chips import GIB, roofline
from codax.planning.compiling import Compiled, TooBig, compile_step
from codax.planning.search import Largest, largest
from codax.planning.targets import Target
from codax.training.parallel import Parallel


@dataclasses.dataclass(frozen=True)
class Plan:
    """The requirements of a recipe on each device of a target."""

    config: Config
    target: Target
    per_device: int  # examples on each device
    result: Compiled | TooBig
    largest: Largest | None  # None = not searched for

    @property
    def fits(self) -> bool:
        """Whether the step fits in memory: by the TPU compiler, or by the memory of this machine's CPUs."""
        if isinstance(self.result, TooBig):
            return False
        return self.target.platform == "tpu" or self.result.memory.total <= self.target.memory


def make_plan(config: Config, target: Target, *, search: bool = True, level: str = "") -> Plan:
    """Compiles the step of a recipe for a target; with `search`, also finds the largest batch that fits.

    Raises:
      CodaxError: the recipe cannot be planned or compiled, or the batch cannot be divided among the devices.
    """
    devices = len(target.devices)
    mapped = Parallel("shard_map", target.devices)
    mapped.local_batch(config.train.batch_size, config.memory.accumulate)  # raises if it cannot be divided
    attempt = functools.cache(lambda n: compile_step(config, target, n, level=level))
    each = config.train.batch_size // devices
    plan = Plan(config, target, each, attempt(each), None)
    if not search or target.platform != "tpu":
        return plan
    batch = largest(attempt, each, target.memory, multiple=config.memory.accumulate)
    return dataclasses.replace(plan, largest=batch)


def advice(plan: Plan) -> str:
    """One line for a step that does not fit: the missing memory, and what to change."""
    result, each = plan.result, plan.per_device
    if isinstance(result, TooBig):
        needed, available = result.needed, result.available
    else:
        needed, available = result.memory.total, int(plan.target.memory)
    sizes = f" ({needed / GIB:.1f} GiB needed, {available / GIB:.2f} GiB available)" if needed and available else ""
    changes = []
    if plan.largest and plan.largest.fits:
        changes.append(f"--config.train.batch_size={plan.largest.fits * len(plan.target.devices)} or less")
    elif each > 1:
        changes.append("a smaller --config.train.batch_size")
    if plan.config.memory.remat != "nets" and not plan.config.lm.codec:
        changes.append("--config.memory.remat=nets")
    if plan.config.train.programs != "one" and not plan.config.lm.codec and not plan.config.discriminator.drawn:
        changes.append("--config.train.programs=one, whose compilation takes longer")
    finer = [n for n in range(plan.config.memory.accumulate + 1, each + 1) if each % n == 0]
    if finer:
        changes.append(f"--config.memory.accumulate={finer[0]}")
    changes.append("or more devices")
    return (
        f"{plan.config.name}: {each} examples of {plan.config.train.segment_seconds:g} s do not fit one device of "
        f"{plan.target.topology}{sizes}: try {', '.join(changes)}"
    )


def as_values(plan: Plan) -> dict[str, Any]:
    """The plan as plain values for JSON. Bytes, FLOPs and seconds are per device and step."""
    config, target, result = plan.config, plan.target, plan.result
    values: dict[str, Any] = {
        "recipe": config.name,
        "topology": target.topology,
        "devices": len(target.devices),
        "chip": target.chip.name if target.chip else "CPU",
        "hbm_bytes": int(target.memory),
        "batch_size": config.train.batch_size,
        "per_device_batch": plan.per_device,
        "segment_seconds": config.train.segment_seconds,
        "compute_dtype": config.train.compute_dtype,
        "remat": config.memory.remat,
        "accumulate": config.memory.accumulate,
        "fits": plan.fits,
        "notes": list(result.notes),
        "jax": jax.__version__,
    }
    if plan.largest is not None:
        values["largest_per_device_batch"] = plan.largest.fits
        values["refused_per_device_batch"] = plan.largest.refused
    if isinstance(result, TooBig):
        return values | {"needed_bytes": result.needed, "available_bytes": result.available}
    values["memory_bytes"] = {**dataclasses.asdict(result.memory), "peak": result.memory.total}
    values["flops"], values["bytes_accessed"] = result.flops, result.accessed
    values["programs"] = [
        {
            "name": piece.name,
            "compile_cpu_seconds": piece.seconds,
            "flops": piece.flops,
            "bytes_accessed": piece.accessed,
            "memory_bytes": dataclasses.asdict(piece.memory),
        }
        for piece in result.pieces
    ]
    values["collectives"] = {kind: dataclasses.asdict(x) for kind, x in result.exchanges.items()}
    if target.chip:
        line = roofline(
            target.chip,
            flops=result.flops,
            accessed=result.accessed,
            reduced=sum(x.bytes for x in result.exchanges.values()),
            devices=len(target.devices),
        )
        values["roofline"] = {
            "compute_seconds": line.compute,
            "memory_seconds": line.memory,
            "network_seconds": line.network,
            "step_seconds": line.step,
            "bound": line.bound,
            "audio_seconds_per_second": config.train.batch_size * config.train.segment_seconds / line.step,
        }
    return values
