"""The programs of a training step: one for the whole step, or one for each stage (`train.programs`).

The shapes of a step's arrays determine all of its programs, so that they are compiled before its first call, side by
side.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Hashable
from typing import Any

import jax

from codax.config import Config
from codax.errors import CodaxError
from codax.training import language
from codax.training.compilation import Program
from codax.training.networks import Networks
from codax.training.parallel import BATCH, SHARED, Parallel
from codax.training.stages import Stages
from codax.training.step import Phase, Step, make_step


class Programs:
    """Makes the step of each phase of a recipe; phases share the programs of their stages."""

    def __init__(self, config: Config, mapped: Parallel) -> None:
        self._config, self._mapped = config, mapped
        self._stages: Any = None if config.lm.codec else Stages(Networks.of(config), mapped.axis, mapped)
        self._whole = functools.cache(self._make_whole)
        self._listed = set[Hashable]()

    def step(self, phase: Phase) -> Step:
        """Returns the step of a phase; programs that are not compiled yet are compiled at its first call.

        Raises:
          CodaxError: see `in_pieces`.
        """
        if in_pieces(self._config, phase, self._mapped):
            return make_step(self._config, phase, self._mapped.axis, self._stages)
        return self._whole(phase)

    def outline(self, phase: Phase, state: Any, batch: Any, *frozen: Any) -> list[Program]:
        """Lists the programs of a phase's step for arguments, or shapes of arguments; none with jax.pmap.

        The order is that of their calls. Programs that were listed before, for another phase, are left out.
        """
        if self._mapped.kind == "pmap":
            return []
        state, frozen = self._mapped.shapes((state, frozen), SHARED)
        batch = self._mapped.shapes(batch, BATCH)
        if not in_pieces(self._config, phase, self._mapped):
            return [Program("step", self._whole(phase), (state, batch, *frozen))]
        outline: Any = _Outline(self._stages, self._mapped, self._listed)
        make_step(self._config, phase, self._mapped.axis, outline)(state, batch, *frozen)
        return outline.new

    def _make_whole(self, phase: Phase) -> Step:
        if self._config.lm.codec:
            return self._mapped.compile(language.make_step(self._config, phase, self._mapped.axis))
        step = make_step(self._config, phase, self._mapped.axis)
        return self._mapped.compile(step, frozen=int(self._config.loss.self_supervised > 0))


class _Outline:
    """Has the interface of `Stages`, and records the programs of a step instead of running them."""

    def __init__(self, stages: Stages, mapped: Parallel, listed: set[Hashable]) -> None:
        self.nets, self._stages, self._mapped, self._listed = stages.nets, stages, mapped, listed
        self.new: list[Program] = []

    def __call__(self, stage: Callable[..., Any], kinds: tuple[str, ...], *settings: Hashable) -> Callable[..., Any]:
        function: Any = self._stages(stage, kinds, *settings)
        names = [setting for setting in settings if isinstance(setting, tuple)]  # of discriminators
        name = " ".join([stage.__name__.replace("_", " "), *("+".join(each) for each in names)])

        def shapes_of_results(*arguments: Any) -> Any:
            placed = tuple(map(self._mapped.shapes, arguments, kinds))
            leaves, form = jax.tree.flatten(placed)
            key = (function, form, tuple((x.shape, x.dtype) for x in leaves))
            if key not in self._listed:
                self._listed.add(key)
                self.new.append(Program(name, function, placed))
            return function.eval_shape(*placed)

        return shapes_of_results


def in_pieces(config: Config, phase: Phase, mapped: Parallel) -> bool:
    """Whether each stage of a phase's step is a program.

    Raises:
      CodaxError: the recipe needs it, which is not possible with pmap in several processes.
    """
    if config.lm.codec:
        return False
    if not mapped.has_pieces:
        if phase.drawn or config.train.programs == "pieces":
            field = "discriminator.drawn" if phase.drawn else "train.programs = pieces"
            raise CodaxError(f"--parallel=pmap: {field} needs --parallel=shard_map in several processes")
        return False
    return phase.adversarial if config.train.programs == "auto" else config.train.programs == "pieces"
