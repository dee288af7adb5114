"""Warnings about parts of a run that do not train: codebooks with few used entries, discriminators without effect."""

from __future__ import annotations

from typing import Any

from codax.config import DiscriminatorConfig

LOGS = 3  # consecutive lines of the log


class CollapseAlarm:
    """Watches `codebook/coverage` of every level (`codax.quantizers.codebook.use_metrics`) in the lines of the log.

    It warns once about a level that stays below the threshold for `LOGS` lines; a line above the threshold resets it.
    """

    def __init__(self, threshold: float, saved: dict[str, int] | None = None) -> None:
        """Args: threshold of the coverage, 0 = never warn; saved, the result of `save`."""
        self._threshold = threshold
        self._low = {int(level): count for level, count in (saved or {}).items()}

    def save(self) -> dict[str, int]:
        """Returns the number of consecutive lines below the threshold, by level, as plain values."""
        return {str(level): count for level, count in self._low.items()}

    def check(self, step: int, line: dict[str, Any]) -> list[str]:
        """Returns the warnings that a line of the log causes."""
        warnings = []
        for level, coverage in enumerate(line.get("codebook/coverage_levels", [])):
            if coverage is None:
                continue  # no example has used this level since the last line
            if coverage >= self._threshold:
                self._low.pop(level, None)
                continue
            self._low[level] = self._low.get(level, 0) + 1
            if self._low[level] == LOGS:
                perplexity = line["codebook/perplexity_levels"][level]
                warnings.append(
                    f"step {step:,}: codebook {level + 1} collapses: coverage {coverage:.2f} in {LOGS} logs in a row "
                    f"(quantizer.alarm_coverage = {self._threshold:g}), perplexity {perplexity:.1f}"
                )
        return warnings


class DiscriminatorAlarm:
    """Watches the loss of each discriminator (`discriminator/NAME`) in the lines of the log.

    It warns once about a loss that stays at that of chance, or near 0, for `discriminator.alarm_steps` steps; any other
    loss resets it.
    """

    def __init__(self, config: DiscriminatorConfig, chance: float, saved: dict[str, Any] | None = None) -> None:
        """Args: chance, the loss of a discriminator that has learned nothing; saved, the result of `save`."""
        self._config, self._chance = config, chance
        self._since: dict[str, tuple[str, int, bool]] = {name: tuple(since) for name, since in (saved or {}).items()}

    def save(self) -> dict[str, list]:
        """Returns the reason, the step since which it holds, and whether it is reported, by discriminator."""
        return {name: list(since) for name, since in self._since.items()}

    def check(self, step: int, line: dict[str, Any]) -> list[str]:
        """Returns the warnings that a line of the log causes."""
        warnings, prefix = [], "discriminator/"
        for key, loss in line.items():
            if not key.startswith(prefix) or loss is None or not self._config.alarm_steps:
                continue
            name, reason = key.removeprefix(prefix), self._reason(loss)
            before, first, is_reported = self._since.get(name, ("", step, False))
            if reason != before:
                first, is_reported = step, False
            if reason and not is_reported and step - first >= self._config.alarm_steps:
                is_reported = True
                warnings.append(
                    f"step {step:,}: discriminator {name} {reason}: loss {loss:.3f} for {step - first:,} steps, and "
                    f"{self._chance:g} is chance (discriminator.alarm_steps = {self._config.alarm_steps})"
                )
            self._since[name] = (reason, first, is_reported)
        return warnings

    def _reason(self, loss: float) -> str:
        if loss >= self._config.alarm_chance * self._chance:
            return "has learned nothing"
        return "leaves nothing to learn" if loss <= self._config.alarm_certain * self._chance else ""
