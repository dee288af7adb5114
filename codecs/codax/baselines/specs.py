"""Baselines by name: `opus:6`, `mp3:32`, `amrwb:12.65`."""

from __future__ import annotations

from codax.baselines import amrwb, pyav
from codax.baselines.base import Baseline, BaselineError

NAMES = (*pyav.FORMATS, "amrwb")


def parse(spec: str) -> Baseline:
    """A baseline that is ready to run.

    Args:
      spec: NAME:KBPS.

    Raises:
      BaselineError: unknown name, a rate that the codec does not have, or an encoder that is not installed.
    """
    name, _, rate = spec.strip().partition(":")
    if name not in NAMES:
        raise BaselineError(f"unknown baseline {spec!r}: expected NAME:KBPS with NAME one of {', '.join(NAMES)}")
    try:
        kbps = float(rate)
    except ValueError as error:
        raise BaselineError(f"baseline {spec!r}: expected a rate in kbps after the colon, as in opus:6") from error
    return amrwb.AmrWb(kbps) if name == "amrwb" else pyav.PyAVBaseline(name, kbps)
