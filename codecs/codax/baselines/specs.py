"""Parses names of baselines: `opus:6`, `mp3:32`, `amrwb:12.65`, `external:evs.json`."""

from __future__ import annotations

from codax.baselines import amrwb, external, pyav
from codax.baselines.base import Baseline, BaselineError

NAMES = (*pyav.FORMATS, "amrwb")


def parse(spec: str) -> Baseline:
    """Creates a baseline from its name.

    Args:
      spec: NAME:KBPS, or external:FILE with a codec's commands (`codax.baselines.external`).

    Raises:
      BaselineError: unknown name, unsupported rate, or an encoder that is not installed.
    """
    name, _, rate = spec.strip().partition(":")
    if name == "external":
        return external.External(rate)
    if name not in NAMES:
        raise BaselineError(
            f"unknown baseline {spec!r}: expected NAME:KBPS with NAME one of {', '.join(NAMES)}, "
            "external:FILE, anchor35 or anchor70"
        )
    try:
        kbps = float(rate)
    except ValueError as error:
        raise BaselineError(f"baseline {spec!r}: expected a rate in kbps after the colon, as in opus:6") from error
    return amrwb.AmrWb(kbps) if name == "amrwb" else pyav.PyAVBaseline(name, kbps)
