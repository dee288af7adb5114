"""Warnings about collapsing codebooks: a level that uses few of its entries for long."""

from __future__ import annotations

from typing import Any

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
