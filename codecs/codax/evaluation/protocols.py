"""Protocols: files that fix the settings of an evaluation, so that its numbers are comparable with others.

A protocol is a JSON object with the fields of `Protocol`. Those of the package are in the folder `protocols`.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from codax.config.parsing import build
from codax.errors import CodaxError, ConfigError
from codax.metrics import registry
from codax.storage import strict_json
from codax.storage.digests import sha256

FOLDER = Path(__file__).parent / "protocols"
DEFAULTS: dict[str, Any] = {"metrics": registry.DEFAULT, "asr": "base", "split": "test", "channels": "each"}


@dataclasses.dataclass(frozen=True)
class Protocol:
    """The settings that an evaluation must have; "", 0 and () = not fixed.

    Attributes:
      description: what is measured, in one sentence.
      follows: the published tables whose settings it has, and the differences.
      metrics: names of `codax.metrics.registry`; an evaluation may add others.
      asr: the speech recogniser.
      sample_rate: of the evaluation, in Hz.
      channels: how models code the channels.
      split: of the data, if it has splits.
      utterances: their number; an evaluation with another number is marked.
      name: of the file, without its extension.
      hash: SHA-256 of the file.
    """

    description: str = ""
    follows: str = ""
    metrics: tuple[str, ...] = ()
    asr: str = ""
    sample_rate: int = 0
    channels: str = ""
    split: str = ""
    utterances: int = 0
    name: str = ""
    hash: str = ""

    def settings(self, options: Mapping[str, Any]) -> dict[str, Any]:
        """The options of an evaluation with the values that the protocol fixes.

        Args:
          options: by name; those that were not given are None.

        Raises:
          CodaxError: an option contradicts the protocol.
        """
        merged = dict(options)
        for name in ("metrics", "asr", "sample_rate", "channels", "split"):
            fixed, own = getattr(self, name), options[name]
            if not fixed:
                continue
            if name == "metrics" and own is not None and {*fixed} <= {registry.normal(each) for each in own}:
                continue
            if own is not None and own != fixed:
                own = ",".join(own) if name == "metrics" else getattr(own, "name", own)
                fixed = ",".join(fixed) if name == "metrics" else fixed
                raise CodaxError(f"protocol {self.name}: has {name} {fixed}, not {own}")
            merged[name] = fixed
        return merged

    def departures(self, utterances: int) -> list[str]:
        """The differences between an evaluation and the protocol."""
        if not self.utterances or utterances == self.utterances:
            return []
        return [f"{utterances} utterances instead of {self.utterances}"]

    def facts(self, utterances: int) -> dict[str, Any]:
        """The description in results.json."""
        names = ("name", "hash", "description", "follows")
        return {name: getattr(self, name) for name in names} | {"departures": self.departures(utterances)}


def names() -> list[str]:
    """Names of the protocols of the package."""
    return sorted(path.stem for path in FOLDER.glob("*.json"))


def load(name: str) -> Protocol:
    """Loads a protocol of the package by name, or a file.

    Raises:
      CodaxError: there is none, or it is invalid.
    """
    path = FOLDER / f"{name}.json"
    if name not in names():
        path = Path(name)
        if not path.is_file():
            raise CodaxError(f"protocol {name}: no such file; the protocols of the package are {', '.join(names())}")
    values = strict_json.read_object(path, "protocol")
    try:
        if reserved := {"name", "hash"} & values.keys():
            raise ConfigError(f"unknown config field {min(reserved)}")
        protocol = build(Protocol, values, "")
    except ConfigError as error:
        raise CodaxError(f"{path}: {str(error).replace('config field', 'protocol field')}") from error
    metrics = tuple(registry.normal(each) for each in protocol.metrics)
    return dataclasses.replace(protocol, name=path.stem, hash=sha256(path.read_bytes()).hexdigest(), metrics=metrics)
