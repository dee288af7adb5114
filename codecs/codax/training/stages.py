"""Runs the stages of a training step: as parts of one program, or as a program each."""

from __future__ import annotations

import functools
from collections.abc import Callable, Hashable
from typing import Any

from codax.training.networks import Networks
from codax.training.parallel import Parallel


class Stages:
    """Calls stages: functions of networks, settings, arrays and the mapped axis, which return (shared, local).

    Without `mapped` a stage is a plain function of one replica's arrays. With `mapped` it is a program, compiled
    once for all phases of a run.
    """

    def __init__(self, nets: Networks, axis: str | None, mapped: Parallel | None = None) -> None:
        self.nets = nets
        self._axis, self._mapped = axis, mapped
        self._programs: dict[tuple[Hashable, ...], Callable[..., Any]] = {}

    def __call__(self, stage: Callable[..., Any], kinds: tuple[str, ...], *settings: Hashable) -> Callable[..., Any]:
        """Returns `stage` as a function of arrays, whose kinds are as for `Parallel.piece`."""
        bound = functools.partial(stage, self.nets, *settings, axis=self._axis)
        if self._mapped is None:
            return bound
        key = (stage, *settings)
        if key not in self._programs:
            self._programs[key] = self._mapped.piece(bound, kinds)
        return self._programs[key]
