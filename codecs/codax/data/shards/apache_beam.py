"""An engine that builds shards on the machines of an Apache Beam runner.

Work items and results are a few bytes each. The shards are written directly to the build folder, which all machines
must see under the same path. A runner may execute an item twice, or on two machines at once; items are idempotent.

The sink of `array_record.beam` is not used: it leaves the assignment of records to shards, and their order, to the
runner.
"""

from __future__ import annotations

import contextlib
import io
import logging
import re
from collections.abc import Callable, Sequence
from typing import Any

from codax.data.shards.build import Engine
from codax.errors import CodaxError, install

_LOCAL = "FnApiRunner"


def engine(runner: str, arguments: Sequence[str] = ()) -> Engine:
    """Returns an engine that runs a Beam pipeline.

    Args:
      runner: DirectRunner, FlinkRunner, SparkRunner, DataflowRunner or another runner known to Beam.
      arguments: Beam's own options, as on a command line.

    Raises:
      CodaxError: Beam is not installed, or does not know an option.
    """
    root = logging.getLogger()
    level = root.level
    root.setLevel(logging.ERROR)  # every process would warn of missing optional parts of Google's client
    try:
        import apache_beam  # pyright: ignore[reportMissingImports]
        from apache_beam.options.pipeline_options import PipelineOptions  # pyright: ignore[reportMissingImports]
    except ImportError as error:
        raise CodaxError(f"--engine beam needs Apache Beam: {install('beam')}") from error
    finally:
        root.setLevel(level)
    # Beam's own DirectRunner would first download a pipeline runner.
    chosen = _LOCAL if runner == "DirectRunner" else runner
    messages = io.StringIO()
    try:
        with contextlib.redirect_stderr(messages):
            options = PipelineOptions(["--runner", chosen, *arguments])
            given = options.get_all_options(retain_unknown_options=True)
            known = options.get_all_options()
    except SystemExit as error:
        reason = messages.getvalue().strip().rpartition("error: ")[2]
        raise CodaxError(f"options for Beam: {reason or ' '.join(arguments)}") from error
    unknown = sorted(given.keys() - known.keys())
    if chosen == _LOCAL and unknown:  # other runners may accept options that Beam does not declare
        raise CodaxError(f"options for Beam: no such option: --{unknown[0]}")

    def run(items: Sequence[Any], work: Callable[[Any], Any]) -> None:
        try:
            with apache_beam.Pipeline(options=options) as pipeline:
                (
                    pipeline
                    | "Items" >> apache_beam.Create(list(items))
                    | "Spread" >> apache_beam.Reshuffle()
                    | "Work" >> apache_beam.Map(work)
                )
        except Exception as error:
            raise CodaxError(f"{runner}: {_reason(error)}") from error

    return run


def _reason(error: BaseException) -> str:
    """The message of a CodaxError raised in a worker, or the last line of the runner's own message."""
    text = str(error).strip()
    messages = re.findall(r"CodaxError: (.*)", text)
    line = messages[-1] if messages else (text.splitlines() or [type(error).__name__])[-1]
    return re.sub(r" \[while running .*", "", line).strip()[:400]
