"""The data section: the sources of audio and the processing of training examples."""

import dataclasses
from typing import ClassVar

from codax.config.checks import Check, at_least, ordered, share
from codax.config.section import Section
from codax.errors import ConfigError


@dataclasses.dataclass
class MixtureConfig(Section):
    """Mixing of clips from named sources, and reverberation; the defaults are EnCodec's strategies.

    `probabilities`, `counts`, `pools` and `reverberant` have one value per strategy. A pool is a comma-separated list:
    "NAME" adds a source, "-NAME" removes it, "*" adds all. A list that begins with "-NAME" starts with all sources.
    """

    path: ClassVar[str] = "data.mixture"

    sources: tuple[str, ...] = ()  # "NAME=SPEC", with SPEC as in data.source, which they replace; () = no mixing
    probabilities: tuple[float, ...] = (0.32, 0.32, 0.24, 0.12)  # of the strategies, with sum 1
    counts: tuple[int, ...] = (1, 1, 2, 3)  # clips per example
    pools: tuple[str, ...] = ("music", "-music", "*", "-music")  # sources of the clips
    reverberant: tuple[bool, ...] = (False, True, True, True)  # whether examples of the strategy may get reverberation
    reverberation: float = 0.0  # probability; applies without `sources` too
    rt60_seconds: tuple[float, float] = (0.3, 1.3)  # uniform in this range
    reverberation_source: str = ""  # SPEC of impulse responses with an RT60 in that range; "" = synthetic ones

    @property
    def specs(self) -> dict[str, str]:
        """SPEC of each source by name."""
        return {name.strip(): spec.strip() for name, _, spec in (source.partition("=") for source in self.sources)}

    def members(self, pool: str) -> list[str]:
        """Returns the names in a pool, in the order of `sources`.

        Raises:
          ConfigError: the pool has an unknown name, or no source.
        """
        names, parts = list(self.specs), [part.strip() for part in pool.split(",")]
        chosen = set(names) if parts[0].startswith("-") else set()
        for part in parts:
            name = part.removeprefix("-")
            if part != "*" and name not in names:
                raise ConfigError(f"'{name}' is not one of the sources {', '.join(names)}")
            if part.startswith("-"):
                chosen.discard(name)
            else:
                chosen.update(names if part == "*" else [name])
        if not chosen:
            raise ConfigError(f"'{pool}' has no source")
        return [name for name in names if name in chosen]

    def checks(self) -> list[Check]:
        return [
            Check(
                all(_is_name(name) and spec for name, spec in self.specs.items()),
                "sources",
                "a list of NAME=SPEC, such as music=/data/music",
            ),
            Check(len(self.specs) == len(self.sources), "sources", "of different names"),
            Check(len(self.probabilities) > 0, "probabilities", "one or more strategies"),
            *(
                Check(
                    len(getattr(self, name)) == len(self.probabilities),
                    name,
                    f"as long as data.mixture.probabilities, {len(self.probabilities)}",
                )
                for name in ("counts", "pools", "reverberant")
            ),
            Check(
                all(p > 0 for p in self.probabilities) and abs(sum(self.probabilities) - 1) < 1e-3,
                "probabilities",
                "positive, with sum 1",
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
    """Sources of audio, and processing of training examples."""

    path: ClassVar[str] = "data"

    source: str = "starter"  # "starter", a folder, a manifest (.jsonl, .csv, .tsv) or an ArrayRecord glob
    cache_dir: str = ""  # "" = $CODAX_CACHE, or ~/.cache/codax
    split_seed: int = 0  # selects the held-out files of sources without their own split
    validation_fraction: float = 0.05  # share of the files that is held out of such sources
    min_seconds: float = 0.3  # shorter files are skipped
    silence_db: float = -60.0  # files whose loudest 50 ms stay below this (dB full scale) are skipped
    max_clipped_fraction: float = 0.01  # files with more samples at full scale than this are skipped
    normalize_peak: bool = False  # scale each crop to peak 0.95 before the gain
    gain_db: tuple[float, float] = (0.0, 0.0)  # random gain, uniform in this range
    speed: tuple[float, float] = (1.0, 1.0)  # random speed, which changes pitch too, uniform in this range
    noise_source: str = ""  # source of noise for denoising; "" = none, "starter-noise" = synthetic coloured noise
    noise_gain_db: tuple[float, float] = (-30.0, 0.0)  # random gain of the noise against the speech, in this range
    mixture: MixtureConfig = dataclasses.field(default_factory=MixtureConfig)
    read_threads: int = 2  # threads that read and cut crops
    worker_processes: int = 0  # processes with `read_threads` each that read ahead; 0 = threads of the training process
    prefetch: int = 16  # examples read ahead
    accept_changes: bool = False  # resume although the audio has changed, which changes the order of examples
    memory_mb: int = 768  # decoded audio of shards that each process keeps in memory
    timeout_seconds: float = 1800.0  # the run fails if a batch takes longer; 0 = no limit

    def checks(self) -> list[Check]:
        return [
            Check(bool(self.source), "source", "a folder, a manifest, an ArrayRecord glob or 'starter'"),
            *at_least(self, 0, "split_seed", "timeout_seconds", "worker_processes"),
            *at_least(self, 1, "read_threads", "prefetch"),
            *share(self, "validation_fraction"),
            *ordered(self, "gain_db", "speed", "noise_gain_db"),
            Check(self.speed[0] >= 0.1, "speed", "at least 0.1"),
            Check(
                not (self.mixture.sources and self.noise_source),
                "mixture.sources",
                "empty with data.noise_source: denoising takes clean audio from data.source only",
            ),
        ]
