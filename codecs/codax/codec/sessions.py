"""Many live streams through one codec, frame by frame, as in a server of conversations.

Every slot has its own state and starts, stops and restarts independently. One step, compiled once, serves all slots,
whichever of them are busy.
"""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from codax.audio.arrays import as_chunk
from codax.codec.checks import checked_codes, checked_levels
from codax.codec.engine import Engine
from codax.codec.module import CodecModel
from codax.errors import CodaxError


class _Direction:
    """The encoder or the decoder, frame by frame, with the states of all slots."""

    def __init__(self, engine: Engine, slots: int, method: Any, shape: tuple[int, ...], *more: Any) -> None:
        """Args: `shape` is that of a slot's input; `more` are the method's arguments after the input."""

        def step(variables, state, x):
            y, updated = engine.module.apply(
                {**variables, "stream": state},
                x[None],
                *more,
                engine.condition(1, 1, False),
                method=method,
                mutable=["stream"],
            )
            return y[0], updated["stream"]

        def steps(variables, states, x, busy, fresh):
            def pick(flags: jax.Array, yes: jax.Array, no: jax.Array | float) -> jax.Array:
                return jnp.where(flags.reshape(-1, *[1] * (yes.ndim - 1)), yes, no)

            states = jax.tree.map(lambda old: pick(~fresh, old, jnp.zeros((), old.dtype)), states)
            y, after = jax.vmap(step, in_axes=(None, 0, 0))(variables, states, x)
            return pick(busy, y, jnp.zeros((), y.dtype)), jax.tree.map(lambda a, b: pick(busy, a, b), after, states)

        example = jax.ShapeDtypeStruct(shape, jnp.float32)
        _, state = jax.eval_shape(step, engine.folded, {}, example)
        self._states = jax.tree.map(lambda s: jnp.zeros((slots, *s.shape), s.dtype), state)
        self._variables = engine.folded
        self._steps = jax.jit(steps, donate_argnums=1)
        self.fresh = np.ones(slots, bool)  # slots whose next step clears their state

    def run(self, x: Any, busy: np.ndarray) -> np.ndarray:
        y, self._states = self._steps(self._variables, self._states, x, busy, self.fresh & busy)
        self.fresh = self.fresh & ~busy
        return np.asarray(y)


class Sessions:
    """Slots for live streams; see the module.

    Attributes:
      busy: bool [slots], the started sessions.
    """

    def __init__(self, engine: Engine, slots: int, *, num_quantizers: int | None = None) -> None:
        """Args: `num_quantizers` is the number of quantizers to encode with; None = all.

        Raises:
          CodaxError: the model cannot code frame by frame, or has fewer quantizers.
        """
        config = engine.config
        if not engine.streams:
            raise CodaxError(f"model {config.name} is not causal and cannot stream")
        if engine.start_frames > 1:
            raise CodaxError(f"model {config.name} reflects the start of a signal: it cannot begin with a single frame")
        if slots < 1:
            raise CodaxError(f"{slots} sessions: there must be at least one")
        self._engine = engine
        self.levels = checked_levels(config, num_quantizers)
        self.busy = np.zeros(slots, bool)
        self._shape = (slots, config.hop, config.model.audio_channels)
        self._encoder = _Direction(engine, slots, CodecModel.encode, self._shape[1:], self.levels)
        self._decoder = _Direction(engine, slots, CodecModel.decode_latent, (1, config.model.dimension))

    def start(self) -> int:
        """Starts a session in a free slot and returns its number. Raises CodaxError if all are busy."""
        free = np.flatnonzero(~self.busy)
        if not len(free):
            raise CodaxError(f"all {len(self.busy)} sessions are busy")
        self.busy[free[0]] = True
        self.reset(int(free[0]))
        return int(free[0])

    def stop(self, slot: int) -> None:
        """Ends a session and frees its slot."""
        self._check(slot)
        self.busy[slot] = False

    def reset(self, slot: int) -> None:
        """Clears a session's state: its next frame is the first of a new signal."""
        self._check(slot)
        self._encoder.fresh[slot] = self._decoder.fresh[slot] = True

    def encode(self, audio: np.ndarray, slots: np.ndarray | None = None) -> np.ndarray:
        """Encodes one frame of each session.

        Args:
          audio: float32 [slots, hop, channels] at the model's rate; rows outside `slots` are ignored. Audio that is
            rejected (see `codax.audio.arrays`) leaves every session as it was.
          slots: bool [slots], the sessions that have a frame; None = all busy ones.

        Returns:
          Codes int32 [slots, 1, quantizers]; 0 in the other rows.
        """
        chosen = self._chosen(slots)
        batch, time, channels = self._shape
        return self._encoder.run(as_chunk(audio, batch=batch, time=time, channels=channels, rows=chosen), chosen)

    def decode(self, codes: np.ndarray, slots: np.ndarray | None = None) -> np.ndarray:
        """Decodes codes int32 [slots, 1, quantizers] to audio float32 [slots, hop, channels]; see `encode`."""
        chosen = self._chosen(slots)
        codes = checked_codes(self._engine.config, codes, len(self.busy), frames=1, rows=chosen)
        decoded = self._decoder.run(self._engine.dequantize(codes), chosen)
        return self._engine.amplified(decoded, codes.shape[-1])

    def _chosen(self, slots: np.ndarray | None) -> np.ndarray:
        if slots is None:
            return self.busy.copy()
        slots = np.asarray(slots)
        if slots.dtype != bool or slots.shape != self.busy.shape or (slots & ~self.busy).any():
            raise CodaxError(f"slots must be bool [{len(self.busy)}], and true for started sessions alone")
        return slots

    def _check(self, slot: int) -> None:
        if not 0 <= slot < len(self.busy) or not self.busy[slot]:
            raise CodaxError(f"session {slot} is not started")
