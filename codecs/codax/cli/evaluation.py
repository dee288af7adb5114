"""Runs an evaluation from the flags of eval.py."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

from codax.audio import out_of_range
from codax.errors import CodaxError
from codax.runtime.messages import clock
from codax.storage.files import claim_output


def run(flags: Any) -> None:
    """Evaluates according to the flags of eval.py and prints the results. Raises CodaxError for invalid input."""
    if flags.report == "bitrates":
        from codax.evaluation import bitrates

        if flags.out:
            claim_output(Path(flags.out) / bitrates.NAME, overwrite=flags.overwrite)

        rates = bitrates.measure(flags.model, flags.recipes, flags.data, seconds=flags.seconds, split=flags.split)
        bitrates.report(rates, flags.out or None)
        return
    if not flags.out:
        raise CodaxError("--out=DIR is missing")
    if flags.sample_rate and (reason := out_of_range(flags.sample_rate, 1)):
        raise CodaxError(f"--sample_rate: {reason}")
    claim_output(flags.out, flags.data, *(flags.model or []), overwrite=flags.overwrite)
    from codax.evaluation import runner, table

    began = time.monotonic()
    results = runner.evaluate(
        flags.model or None,
        flags.data,
        flags.out,
        kbps=[_number("kbps", text) for text in flags.kbps],
        quantizers=_codebooks(flags.codebooks),
        metrics=flags.metrics,
        baselines=flags.baselines,
        asr=flags.asr,
        limit=flags.limit or None,
        split=flags.split,
        seed=flags.seed,
        sample_rate=flags.sample_rate or None,
        labels=flags.labels or None,
        channels=flags.channels,
        denoise=flags.denoise,
        snr=[_number("snr", text) for text in flags.snr],
        noise=flags.noise,
        processes=flags.processes,
    )
    table.print_table(results)
    print(f"Report: {flags.out}/report.html, after {clock(time.monotonic() - began)}")


def _number(flag: str, text: str) -> float:
    try:
        return float(text)
    except ValueError as error:
        raise CodaxError(f"--{flag}: {text!r} is not a number") from error


def _codebooks(texts: list[str]) -> list[int] | str:
    if texts == ["all"]:
        return "all"
    try:
        return [int(text) for text in texts]
    except ValueError as error:
        raise CodaxError(f"--codebooks: expected whole numbers or 'all', got {','.join(texts)}") from error
