"""The iterator of training batches: read ahead by threads or processes, and gone on with exactly.

Its position is the number of batches that it has given. A restored one begins its dataset there, whatever threads and
processes read ahead, now or then, and among however many processes the batch is shared. The position means nothing if
the examples, or the size of the batch, are others than they were: that is refused, as it would silently skip some
examples and repeat others.
"""

from __future__ import annotations

import dataclasses
import logging
from typing import Any

import grain
import numpy as np

from codax.errors import CodaxError

Batch = dict[str, np.ndarray]
_BATCHES_AHEAD = 2  # by each worker process
_log = logging.getLogger(__name__)


class PositionError(CodaxError):
    """A position in other data."""


@dataclasses.dataclass(frozen=True)
class Share:
    """What a position refers to.

    Attributes:
      examples: of all sources together.
      digest: of them.
      batch_size: examples in a batch of all processes.
    """

    examples: int
    digest: str
    batch_size: int


class Batches(grain.DatasetIterator[Batch]):
    """Iterates over a dataset of batches; Orbax saves and restores its state."""

    def __init__(
        self,
        dataset: grain.MapDataset[Batch],
        options: grain.ReadOptions,
        share: Share,
        *,
        workers: int = 0,
        accept_changes: bool = False,
    ):
        """Opens nothing yet.

        Args:
          dataset: endless.
          options: threads, of each process.
          share: what the dataset is made of.
          workers: processes that read ahead; 0 = threads of this one.
          accept_changes: go on, with a warning, in other examples than those of the position that is restored.
        """
        super().__init__()
        self._dataset, self._options, self._share = dataset, options, share
        self._workers, self._accept_changes = workers, accept_changes
        self._given, self._inner = 0, None

    def _opened(self) -> grain.DatasetIterator[Batch]:
        if self._inner is None:
            rest = (self._dataset[self._given :] if self._given else self._dataset).to_iter_dataset(self._options)
            if self._workers:
                from absl import flags

                if not flags.FLAGS.is_parsed():  # Grain hands them on to its processes
                    flags.FLAGS.mark_as_parsed()
                rest = rest.mp_prefetch(grain.MultiprocessingOptions(self._workers, _BATCHES_AHEAD))
            self._inner = iter(rest)
        return self._inner

    def __next__(self) -> Batch:
        batch = next(self._opened())
        self._given += 1
        return batch

    def get_state(self) -> dict[str, Any]:
        """The position, and what it refers to."""
        return {"batches": self._given, **dataclasses.asdict(self._share)}

    def set_state(self, state: dict[str, Any]) -> None:
        """Goes to a position.

        Raises:
          PositionError: it refers to something else.
        """
        if "batches" in state:
            self._check(state)
        if self._inner is not None:
            self._inner.close()
        self._inner = None
        self._given = state["batches"] if "batches" in state else state["next_index"]  # of an older checkpoint

    def _check(self, state: dict[str, Any]) -> None:
        now = self._share
        then = Share(**{field.name: state[field.name] for field in dataclasses.fields(Share)})
        if then.batch_size != now.batch_size:
            raise PositionError(
                f"its position in the data counts batches of {then.batch_size} examples, not of {now.batch_size}"
            )
        if then.digest != now.digest:
            changed = f"{then.examples} examples then, {now.examples} now"
            if then.examples == now.examples:
                changed = "as many examples, but others"
            if not self._accept_changes:
                raise PositionError(
                    f"the audio has changed since: {changed}; put it back, or go on in another order with "
                    "data.accept_changes"
                )
            _log.warning("the audio has changed since the checkpoint: %s; the order is another from here on", changed)

    def start_prefetch(self) -> None:
        """Begins to read ahead."""
        self._opened().start_prefetch()

    def close(self) -> None:
        """Ends the threads and processes."""
        if self._inner is not None:
            self._inner.close()
            self._inner = None
        super().close()
