"""Maps a training step over devices: one device, `jax.shard_map` over a mesh, or `jax.pmap`; all give the same numbers.

A step processes one replica's shard of the batch and takes the name of the mapped axis (None on one device). The state
is replicated, and the batch is split along its first axis.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import jax
import numpy as np
from jax.sharding import NamedSharding, PartitionSpec

from codax.errors import CodaxError

AXIS = "data"
KINDS = ("shard_map", "pmap")

# Arguments of a piece: equal on every replica, the same with memory that is free afterwards, a result of another piece
# that belongs to a replica, and a batch.
SHARED, DONATED, LOCAL, BATCH = "shared", "donated", "local", "batch"


def mean_over(tree: Any, axis: str | None) -> Any:
    """Averages over the mapped axis; without an axis, returns the tree unchanged."""
    return tree if axis is None else jax.lax.pmean(tree, axis)


class Parallel:
    """Maps steps over devices.

    Attributes:
      kind: "single", "shard_map" or "pmap".
      axis: name of the mapped axis, for `make_step` and `make_codebook_init`; None for "single".
      devices: number of devices of all processes.
      batch_sharding: sharding of the arrays of a batch.
      state_sharding: sharding of every array of the state, before and after a step.
    """

    def __init__(self, kind: str = "shard_map", devices: Sequence[Any] | None = None) -> None:
        """Uses all devices; with one device, "shard_map" is plain `jax.jit`.

        Args:
          kind: "shard_map" or "pmap".
          devices: devices to compile for, if not the available ones; only with "shard_map".

        Raises:
          CodaxError: the kind is unknown.
        """
        if kind not in KINDS:
            raise CodaxError(f"--parallel={kind}: must be one of {', '.join(KINDS)}")
        self.devices = jax.device_count() if devices is None else len(devices)
        self.kind = "single" if kind == "shard_map" and self.devices == 1 else kind
        self.axis = None if self.kind == "single" else AXIS
        self._mesh = jax.make_mesh((self.devices,), (AXIS,), axis_types=(jax.sharding.AxisType.Auto,), devices=devices)
        self.state_sharding = NamedSharding(self._mesh, PartitionSpec())
        self.batch_sharding = NamedSharding(self._mesh, PartitionSpec(AXIS))

    def local_batch(self, batch_size: int, pieces: int = 1) -> int:
        """Returns the number of examples that this process contributes to a batch of `batch_size`.

        Args:
          pieces: number of microbatches per device (`memory.accumulate`).

        Raises:
          CodaxError: the batch does not divide evenly among the devices, or a device's examples among microbatches.
        """
        if batch_size % self.devices:
            raise CodaxError(
                f"config field train.batch_size = {batch_size}: must be a multiple of the {self.devices} devices"
            )
        if batch_size // self.devices % pieces:
            raise CodaxError(
                f"config field memory.accumulate = {pieces}: must divide the {batch_size // self.devices} examples of "
                "each device"
            )
        return batch_size // self.devices * jax.local_device_count()

    def compile(self, step: Callable[..., tuple[Any, Any]], *, frozen: int = 0) -> Any:
        """Maps `step(state, shard, *frozen) -> (state, metrics)`, built with this object's `axis`.

        The result takes batches from `place`, donates its input state, and is compiled at its first call.

        Args:
          frozen: number of trees that the step takes after the batch, with arrays in `state_sharding`.
        """
        if self.kind == "single":
            return jax.jit(step, donate_argnums=0)
        return self._map(step, (None, 0, *(None,) * frozen), None, donated=(0,))

    def _map(self, function: Callable[..., Any], in_axes: tuple, out_axes: Any, donated: tuple[int, ...]) -> Any:
        """Maps a function over replicas; axes are None for what is equal on all of them, and 0 for their parts."""
        if self.kind == "pmap":
            return jax.pmap(function, axis_name=AXIS, in_axes=in_axes, out_axes=out_axes, donate_argnums=donated)

        def specs(axes: Any) -> Any:
            if isinstance(axes, tuple):
                return tuple(map(specs, axes))
            return PartitionSpec() if axes is None else PartitionSpec(AXIS)

        # check_vma=True would sum the gradients of replicated parameters before the step averages them over replicas.
        mapped = jax.shard_map(
            function, mesh=self._mesh, in_specs=specs(in_axes), out_specs=specs(out_axes), check_vma=False
        )
        return jax.jit(mapped, donate_argnums=donated)

    @property
    def has_pieces(self) -> bool:
        """Whether `piece` works: with pmap in several processes, a restored state has arrays of all of them."""
        return self.kind != "pmap" or jax.process_count() == 1

    def piece(self, function: Callable[..., tuple[Any, Any]], kinds: tuple[str, ...]) -> Callable[..., tuple[Any, Any]]:
        """Maps a part of a step, `function(*arguments) -> (shared, local)`, built with this object's `axis`.

        Args:
          function: its first result is equal on every replica, its second belongs to the replica.
          kinds: SHARED, DONATED, LOCAL or BATCH for each argument.
        """
        donated = tuple(i for i, kind in enumerate(kinds) if kind == DONATED)
        is_shared = [kind in (SHARED, DONATED) for kind in kinds]
        if self.kind == "single" or (self.kind == "pmap" and all(is_shared)):
            return jax.jit(function, donate_argnums=donated)  # jax.pmap needs an argument that differs
        axes = tuple(None if shared else 0 for shared in is_shared)
        if self.kind == "pmap":
            return self._map(function, axes, (None, 0), donated)

        def of_replica(*arguments: Any) -> tuple[Any, Any]:
            own = [jax.tree.map(lambda x: x[0], a) if k == LOCAL else a for a, k in zip(arguments, kinds, strict=True)]
            shared, local = function(*own)
            return shared, jax.tree.map(lambda x: x[None], local)

        return self._map(of_replica, axes, (None, 0), donated)

    def place(self, batch: dict[str, np.ndarray]) -> Any:
        """Places this process's part of a batch, arrays [local examples, ...], on its devices."""
        if self.kind == "pmap":
            local = jax.local_device_count()
            return jax.tree.map(lambda x: np.reshape(x, (local, -1, *x.shape[1:])), batch)
        return jax.tree.map(lambda x: jax.make_array_from_process_local_data(self.batch_sharding, x), batch)

    def shared(self, state: Any) -> Any:
        """Returns the state as global arrays, which all processes save together; with pmap, each has local arrays."""
        if self.kind != "pmap" or jax.process_count() == 1:
            return state

        def joined(x: jax.Array) -> jax.Array:
            pieces = [shard.data for shard in x.addressable_shards]
            return jax.make_array_from_single_device_arrays(x.shape, self.state_sharding, pieces)

        return jax.tree.map(joined, state)

    def initialise(self, make: Callable[[], Any]) -> Any:
        """Runs `make() -> state` on all devices, so that every replica starts with the same state."""
        # On the CPU, optimising this single run would take longer than the unoptimised run.
        options = {"xla_backend_optimization_level": 0} if jax.default_backend() == "cpu" else None
        return jax.jit(make, out_shardings=self.state_sharding, compiler_options=options)()

    def abstract(self, make: Callable[[], Any]) -> Any:
        """Returns the shapes, types and shardings of `initialise(make)` without computing it."""
        return self.shapes(jax.eval_shape(make), SHARED)

    def shapes(self, tree: Any, kind: str) -> Any:
        """Returns the shapes, types and shardings of arrays that are an argument of a piece; see `piece`."""
        is_divided = kind == BATCH or (kind == LOCAL and self.kind != "single")
        sharding = self.batch_sharding if is_divided else self.state_sharding

        def shape(x: Any) -> jax.ShapeDtypeStruct:
            return jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=sharding, weak_type=getattr(x, "weak_type", False))

        return jax.tree.map(shape, tree)

    def describe(self) -> str:
        """Names devices, processes and mapping, for the log."""
        how = {"single": "jit", "shard_map": "jit of shard_map", "pmap": "pmap"}[self.kind]
        name = jax.devices()[0].device_kind
        processes = f" in {jax.process_count()} processes" if jax.process_count() > 1 else ""
        return f"{self.devices} x {name}{processes}, {how}"
