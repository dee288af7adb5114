"""The resumable iterator of training batches, which reads ahead with threads or processes.

Its state is the number of batches it has returned. A restored iterator continues with the next batch, whatever the
number of read-ahead threads, worker processes or training processes was and is now. If the examples or the global batch
size have changed, the state is rejected: resuming would silently skip some examples and repeat others.
"""

from __future__ import annotations

import dataclasses
import logging
from typing import Any

import grain
import numpy as np

from codax.errors import CodaxError

Batch = dict[str, np.ndarray]
_BATCHES_AHEAD = 2  # read ahead by each worker process
_log = logging.getLogger(__name__)


class PositionError(CodaxError):
    """The restored position refers to other data."""


@dataclasses.dataclass(frozen=True)
class DataIdentity:
    """Identifies the data that a position refers to.

    Attributes:
      examples: number of examples in all sources.
      digest: of the list of examples.
      batch_size: global batch size, in examples.
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
        identity: DataIdentity,
        *,
        workers: int = 0,
        accept_changes: bool = False,
    ):
        """Creates the iterator; reading starts with the first batch.

        Args:
          dataset: endless.
          options: read-ahead threads of each process.
          identity: the data that positions refer to.
          workers: number of processes that read ahead; 0 reads ahead with threads of this process.
          accept_changes: if the examples have changed since the restored position, warn instead of raising.
        """
        super().__init__()
        self._dataset, self._options, self._identity = dataset, options, identity
        self._workers, self._accept_changes = workers, accept_changes
        self._returned, self._inner = 0, None

    def _iterator(self) -> grain.DatasetIterator[Batch]:
        if self._inner is None:
            rest = (self._dataset[self._returned :] if self._returned else self._dataset).to_iter_dataset(self._options)
            if self._workers:
                from absl import flags

                if not flags.FLAGS.is_parsed():  # Grain passes the flags to its worker processes
                    flags.FLAGS.mark_as_parsed()
                rest = rest.mp_prefetch(grain.MultiprocessingOptions(self._workers, _BATCHES_AHEAD))
            self._inner = iter(rest)
        return self._inner

    def __next__(self) -> Batch:
        batch = next(self._iterator())
        self._returned += 1
        return batch

    def get_state(self) -> dict[str, Any]:
        """The number of batches returned, and the identity of the data."""
        return {"batches": self._returned, **dataclasses.asdict(self._identity)}

    def set_state(self, state: dict[str, Any]) -> None:
        """Continues after the batch that a saved state names.

        Raises:
          PositionError: the state was saved with other data.
        """
        if "batches" in state:
            self._check(state)
        if self._inner is not None:
            self._inner.close()
        self._inner = None
        self._returned = state["batches"] if "batches" in state else state["next_index"]  # older checkpoints

    def _check(self, state: dict[str, Any]) -> None:
        now = self._identity
        then = DataIdentity(**{field.name: state[field.name] for field in dataclasses.fields(DataIdentity)})
        if then.batch_size != now.batch_size:
            raise PositionError(
                f"its position in the data counts batches of {then.batch_size} examples, not of {now.batch_size}"
            )
        if then.digest != now.digest:
            changed = f"{then.examples} examples then, {now.examples} now"
            if then.examples == now.examples:
                changed = "the number of examples is the same, the examples differ"
            if not self._accept_changes:
                raise PositionError(
                    f"the audio has changed since the checkpoint: {changed}; restore it, or accept a different order "
                    "with data.accept_changes"
                )
            _log.warning("the audio has changed since the checkpoint: %s; the order differs from here on", changed)

    def start_prefetch(self) -> None:
        """Starts reading ahead."""
        self._iterator().start_prefetch()

    def close(self) -> None:
        """Stops the threads and processes."""
        if self._inner is not None:
            self._inner.close()
            self._inner = None
        super().close()
