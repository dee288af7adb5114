"""The data section: where audio comes from and how training examples are made of it."""

import dataclasses
from typing import ClassVar

from codax.config.checks import Check, at_least, ordered, share
from codax.config.section import Section
from codax.errors import ConfigError


@dataclasses.dataclass
class MixtureConfig(Section):
    """Examples of one or several clips from named sources, and reverberation; the defaults are EnCodec's strategies.

    `probabilities`, `counts`, `pools` and `reverberant` have one value for each strategy. A pool is names with commas
    between them: "NAME" puts a source in, "-NAME" takes it out, "*" puts all in, as does a "-NAME" at the beginning.
    """

    path: ClassVar[str] = "data.mixture"

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

    def checks(self) -> list[Check]:
        return [
            Check(
                all(_is_name(name) and spec for name, spec in self.specs.items()),
                "sources",
                "of the form NAME=SPEC each, as in music=/data/music",
            ),
            Check(len(self.specs) == len(self.sources), "sources", "of different names"),
            Check(len(self.probabilities) > 0, "probabilities", "one or more strategies"),
            *(
                Check(
                    len(getattr(self, name)) == len(self.probabilities),
                    name,
                    f"as many as data.mixture.probabilities, {len(self.probabilities)}",
                )
                for name in ("counts", "pools", "reverberant")
            ),
            Check(
                all(p > 0 for p in self.probabilities) and abs(sum(self.probabilities) - 1) < 1e-3,
                "probabilities",
                "positive, with the sum 1",
            ),
            Check(all(count >= 1 for count in self.counts), "counts", "1 or more each"),
            *self._pool_checks(),
            *share(self, "reverberation"),
            Check(0 < self.rt60_seconds[0] <= self.rt60_seconds[1], "rt60_seconds", "(low, high), both positive"),
        ]

    def _pool_checks(self) -> list[Check]:
        try:
            for pool in self.pools if self.sources else ():
                self.members(pool)
        except ConfigError as error:
            return [Check(False, "pools", f"names in data.mixture.sources, or '*': {error}")]
        return []


def _is_name(name: str) -> bool:
    return name not in ("", "*") and "," not in name and name[0] != "-"


@dataclasses.dataclass
class DataConfig(Section):
    """Where audio comes from and how training examples are made of it."""

    path: ClassVar[str] = "data"

    source: str = "starter"  # "starter", a folder, a manifest (.jsonl, .csv, .tsv) or an ArrayRecord glob
    cache_dir: str = ""  # "" = $CODAX_CACHE, or ~/.cache/codax
    split_seed: int = 0  # for sources without a split of their own: which files are held out
    validation_fraction: float = 0.05
    min_seconds: float = 0.3  # shorter files are skipped
    silence_db: float = -60.0  # files whose loudest 50 ms stay below this (dB full scale) are skipped
    max_clipped_fraction: float = 0.01  # files with more samples at full scale than this are skipped
    normalize_peak: bool = False  # scale each crop to peak 0.95 before the gain
    gain_db: tuple[float, float] = (0.0, 0.0)  # random gain, uniform in this range
    speed: tuple[float, float] = (1.0, 1.0)  # random speed, and with it pitch, uniform in this range
    noise_source: str = ""  # a source of noise for denoising; "" = none, "starter-noise" = synthetic coloured noise
    noise_gain_db: tuple[float, float] = (-30.0, 0.0)
    mixture: MixtureConfig = dataclasses.field(default_factory=MixtureConfig)
    read_threads: int = 2
    worker_processes: int = 0  # that read ahead, each with so many threads; 0 = threads of the training process alone
    prefetch: int = 16  # examples read ahead
    accept_changes: bool = False  # go on from a checkpoint although the audio has changed since, in another order
    memory_mb: int = 768  # decoded audio of shards that is kept in memory by each process
    timeout_seconds: float = 1800.0  # the run ends if a batch takes longer; 0 = it waits

    def checks(self) -> list[Check]:
        return [
            Check(bool(self.source), "source", "a folder, a manifest, an ArrayRecord glob or 'starter'"),
            *at_least(self, 0, "timeout_seconds", "worker_processes"),
            *ordered(self, "gain_db", "speed", "noise_gain_db"),
            Check(self.speed[0] >= 0.1, "speed", "at least 0.1"),
            Check(
                not (self.mixture.sources and self.noise_source),
                "mixture.sources",
                "empty with data.noise_source: denoising takes clean audio from data.source alone",
            ),
        ]
