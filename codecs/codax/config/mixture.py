"""The configuration of examples that are mixed from several sources."""

from __future__ import annotations

import dataclasses

from codax.errors import ConfigError


@dataclasses.dataclass
class MixtureConfig:
    """Examples of one or several clips from named sources, and reverberation; the defaults are EnCodec's strategies.

    `probabilities`, `counts`, `pools` and `reverberant` have one value for each strategy. A pool is names with commas
    between them: "NAME" puts a source in, "-NAME" takes it out, "*" puts all in, as does a "-NAME" at the beginning.
    """

    sources: tuple[str, ...] = ()  # "NAME=SPEC", SPEC as for data.source, which they replace; () = no mixing
    probabilities: tuple[float, ...] = (0.32, 0.32, 0.24, 0.12)
    counts: tuple[int, ...] = (1, 1, 2, 3)  # clips of an example
    pools: tuple[str, ...] = ("music", "-music", "*", "-music")  # where the clips come from
    reverberant: tuple[bool, ...] = (False, True, True, True)  # strategies whose examples may get reverberation
    reverberation: float = 0.0  # probability, with and without `sources`
    rt60_seconds: tuple[float, float] = (0.3, 1.3)  # uniform in this range
    reverberation_source: str = ""  # SPEC of impulse responses with an RT60 in that range; "" = synthetic ones

    @property
    def specs(self) -> dict[str, str]:
        """SPEC by name."""
        return {name.strip(): spec.strip() for name, _, spec in (source.partition("=") for source in self.sources)}

    def members(self, pool: str) -> list[str]:
        """Names in a pool, in the order of `sources`.

        Raises:
          ConfigError: a name in it is none of a source, or no source is left.
        """
        names, parts = list(self.specs), [part.strip() for part in pool.split(",")]
        chosen = set(names) if parts[0].startswith("-") else set()
        for part in parts:
            name = part.removeprefix("-")
            if part != "*" and name not in names:
                raise ConfigError(f"'{name}' is none of the sources {', '.join(names)}")
            if part.startswith("-"):
                chosen.discard(name)
            else:
                chosen.update(names if part == "*" else [name])
        if not chosen:
            raise ConfigError(f"'{pool}' leaves no source")
        return [name for name in names if name in chosen]
