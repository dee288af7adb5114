"""Apache Beam as an engine of builds: the work goes to whatever machines a runner has.

Work items and results are a few bytes each; what is built goes straight into the folder of the build, which all
machines must see under the same path. A runner may work on an item twice, or at two places at once; items do not mind.

`array_record.beam` has a sink as well, but with it the runner decides which record goes into which shard, and when.
"""

from __future__ import annotations

import contextlib
import io
import logging
import re
from collections.abc import Callable, Sequence
from typing import Any

from codax.data.shards.build import Engine
from codax.errors import CodaxError

_LOCAL = "FnApiRunner"


def engine(runner: str, arguments: Sequence[str] = ()) -> Engine:
    """An engine that runs a pipeline.

    Args:
      runner: DirectRunner, FlinkRunner, SparkRunner, DataflowRunner or another that Beam knows.
      arguments: Beam's own options, as on a command line.

    Raises:
      CodaxError: Beam is not installed, or does not know an option.
    """
    root = logging.getLogger()
    level = root.level
    root.setLevel(logging.ERROR)  # Beam warns of parts of Google's client that are missing, in every process
    try:
        import apache_beam  # pyright: ignore[reportMissingImports]
        from apache_beam.options.pipeline_options import PipelineOptions  # pyright: ignore[reportMissingImports]
    except ImportError as error:
        raise CodaxError("--engine beam needs Apache Beam: pip install 'codax[beam]'") from error
    finally:
        root.setLevel(level)
    # Beam's own DirectRunner would first fetch a program that runs pipelines from the network.
    chosen = _LOCAL if runner == "DirectRunner" else runner
    said = io.StringIO()
    try:
        with contextlib.redirect_stderr(said):
            options = PipelineOptions(["--runner", chosen, *arguments])
            everything = options.get_all_options(retain_unknown_options=True)
            known = options.get_all_options()
    except SystemExit as error:
        reason = said.getvalue().strip().rpartition("error: ")[2]
        raise CodaxError(f"options for Beam: {reason or ' '.join(arguments)}") from error
    unknown = sorted(everything.keys() - known.keys())
    if chosen == _LOCAL and unknown:  # other runners may know more options than Beam does
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
    """The line of a CodaxError that went through a runner, or what the runner says itself."""
    text = str(error).strip()
    found = re.findall(r"CodaxError: (.*)", text)
    line = found[-1] if found else (text.splitlines() or [type(error).__name__])[-1]
    return re.sub(r" \[while running .*", "", line).strip()[:400]
