"""Runs an evaluation from the flags of eval.py."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from codax.audio import out_of_range
from codax.errors import CodaxError
from codax.evaluation.codecs import split_name
from codax.runtime.messages import clock
from codax.storage.files import claim_output

_OF_BITRATES = {"model", "recipes", "data", "seconds", "split", "out", "overwrite"}
_OF_BITRATES_ALONE = {"recipes", "seconds"}
# Flags that others make effective: what they need, and whether it is given.
_NEEDS: dict[str, tuple[str, Callable[[Any], object]]] = {
    "noise": ("--snr", lambda flags: flags.snr),
    "labels": ("the metrics phones or abx", lambda flags: {"phones", "abx"}.intersection(flags.metrics)),
    "channels": ("--model", lambda flags: flags.model or flags.protocol),
}
_OF_PROTOCOLS = ("metrics", "asr", "split", "channels")  # their flags have defaults that a protocol replaces


def run(flags: Any) -> None:
    """Evaluates according to the flags of eval.py and prints the results. Raises CodaxError for invalid input."""
    module = "codax.cli.evaluate"
    stated = {flag.name for flag in flags.flags_by_module_dict()[module] if flag.present} - {"report"}
    if idle := stated - _OF_BITRATES if flags.report == "bitrates" else stated & _OF_BITRATES_ALONE:
        raise CodaxError(f"--{min(idle)} has no effect with --report={flags.report}")
    for name, (needs, has) in _NEEDS.items():
        if name in stated and not has(flags):
            raise CodaxError(f"--{name} has no effect without {needs}")
    if flags.report == "bitrates":
        from codax.evaluation import bitrates

        if flags.out:
            claim_output(Path(flags.out) / bitrates.NAME, overwrite=flags.overwrite)

        rates = bitrates.measure(flags.model, flags.recipes, flags.data, seconds=flags.seconds, split=flags.split)
        bitrates.report(rates, flags.out or None)
        return
    if not flags.out:
        raise CodaxError("--out=DIR is missing")
    check_rate(flags.sample_rate)
    claim_output(
        flags.out,
        flags.data,
        *(split_name(spec)[1] for spec in [*flags.model, *flags.decoded]),
        overwrite=flags.overwrite,
    )
    of_protocol = {name: flags[name].value if flags[name].present else None for name in _OF_PROTOCOLS}
    evaluate(
        flags.model or None,
        flags.data,
        flags.out,
        kbps=[_number("kbps", text) for text in flags.kbps],
        quantizers=_codebooks(flags.codebooks),
        baselines=flags.baselines,
        decoded=flags.decoded,
        protocol=flags.protocol,
        limit=flags.limit or None,
        seed=flags.seed,
        sample_rate=flags.sample_rate or None,
        labels=flags.labels or None,
        denoise=flags.denoise,
        snr=[_number("snr", text) for text in flags.snr],
        noise=flags.noise,
        processes=flags.processes,
        **of_protocol,
    )


def check_rate(sample_rate: int) -> None:
    """Raises CodaxError if there is no audio at `sample_rate` Hz; 0 = not given."""
    if sample_rate and (reason := out_of_range(sample_rate, 1)):
        raise CodaxError(f"--sample_rate: {reason}")


def evaluate(model: Any, data: str, out: str | None, **options: Any) -> None:
    """Evaluates with the options of `codax.evaluation.runner.evaluate` and prints the results."""
    from codax.evaluation import runner, table

    began = time.monotonic()
    table.print_table(runner.evaluate(model, data, out, **options))
    if out is not None:
        print(f"Report: {out}/report.html, after {clock(time.monotonic() - began)}")


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
