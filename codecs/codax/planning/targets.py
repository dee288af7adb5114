"""The devices to plan for: a TPU slice described by libtpu, or CPU devices of this process."""

from __future__ import annotations

import dataclasses
import importlib.util
import os
import re
from collections.abc import Sequence
from typing import Any

import jax

from codax.errors import CodaxError, install
from codax.planning.chips import CHIPS, Chip

FORMS = f"{', '.join(CHIPS)} with a shape, such as v5e:4x4 or v5p:2x2x1, or cpu:1 to cpu:8"
MOST_CPUS = 8

# By default libtpu queries the environment for the machine's identity, and reports what it does not find.
_ALONE = {
    "ALLOW_MULTIPLE_LIBTPU_LOAD": "1",
    "TPU_SKIP_MDS_QUERY": "1",
    "TPU_WORKER_HOSTNAMES": "localhost",
    "TPU_ACCELERATOR_TYPE": "v5litepod-16",
    "TPU_STDERR_LOG_LEVEL": "3",
    "TPU_MIN_LOG_LEVEL": "3",
}


@dataclasses.dataclass(frozen=True)
class Target:
    """Devices to compile for."""

    topology: str
    platform: str  # "tpu" or "cpu"
    devices: Sequence[Any]
    chip: Chip | None  # None for CPUs
    memory: float  # of one device, bytes: published for TPUs; for CPUs an equal share of this machine's memory


def open_target(topology: str) -> Target:
    """The devices of a topology such as "v5e:4x4" or "cpu:8".

    Raises:
      CodaxError: no such topology, or libtpu is not installed.
    """
    generation, _, shape = topology.partition(":")
    if generation == "cpu":
        return _cpus(topology, shape)
    if generation not in CHIPS or not re.fullmatch(r"\d+(x\d+){1,2}", shape):
        raise CodaxError(f"--topology {topology}: must be {FORMS}")
    if importlib.util.find_spec("libtpu") is None:
        raise CodaxError(f"--topology {topology}: libtpu, which compiles for TPUs, is not installed: {install('plan')}")
    for name, value in _ALONE.items():
        os.environ.setdefault(name, value)
    from jax.experimental import topologies

    # The two cores of a v4 chip are one device, as on Cloud TPU.
    options: dict[str, Any] = {"chip_config_name": "megacore"} if generation == "v4" else {}
    if set(shape.split("x")) == {"1"}:
        options["chips_per_host_bounds"] = (1, 1, 1)  # the default is 2 x 2 chips per host, which must divide the slice
    try:
        described = topologies.get_topology_desc(platform="tpu", topology_name=topology, **options)
    except (jax.errors.JaxRuntimeError, RuntimeError, ValueError, AttributeError) as error:
        reason = str(error).splitlines()[0]
        raise CodaxError(f"--topology {topology}: libtpu cannot describe it ({reason})") from error
    chip = CHIPS[generation]
    return Target(topology, "tpu", described.devices, chip, chip.memory)


def _cpus(topology: str, shape: str) -> Target:
    if not (shape.isascii() and shape.isdigit()) or not 1 <= int(shape) <= MOST_CPUS:
        raise CodaxError(f"--topology {topology}: must be {FORMS}")
    count = int(shape)
    try:
        jax.config.update("jax_num_cpu_devices", count)
    except RuntimeError:
        pass  # JAX is already initialised and keeps its devices
    devices = jax.devices("cpu")
    if len(devices) < count:
        raise CodaxError(f"--topology {topology}: this process has {len(devices)} CPU devices")
    total = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return Target(topology, "cpu", devices[:count], None, total / count)
