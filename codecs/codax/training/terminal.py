"""Progress of a run on the terminal."""

from __future__ import annotations

import contextlib
import sys
from typing import Any

from codax.runtime import messages
from codax.runtime.messages import clock


class Terminal:
    """Shows progress: a progress bar with the remaining time on a terminal, otherwise one line per report."""

    def __init__(self, total: int, *, name: str = "train", quiet: bool = False) -> None:
        """Args: total, the number of steps; name of the bar; quiet, print nothing (processes other than the first)."""
        self._name = name
        self._total, self._silent, self._quiet = total, quiet, quiet or messages.is_quiet()
        self._bar = self._task = None
        self._stack = contextlib.ExitStack()

    def __enter__(self) -> Terminal:
        self._stack.enter_context(messages.logged_to(self.warn, self.say))
        if sys.stdout.isatty() and not self._quiet:
            from codax.runtime.bars import make_bar

            self._bar = make_bar(lambda task: f"{task.completed:,.0f}/{self._total:,}", unit="steps/s")
            self._bar.start()
            self._task = self._bar.add_task(self._name, total=self._total, parts=())
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()
        if self._bar is not None:
            self._bar.stop()

    def say(self, text: str) -> None:
        """Shows a line."""
        if self._quiet:
            return
        if self._bar is not None:
            self._bar.console.print(text, markup=False, highlight=False)
        else:
            print(text, flush=True)

    def warn(self, text: str) -> None:
        """Shows a warning; on stderr if there is no progress bar."""
        if self._bar is not None:
            self.say(f"warning: {text}")
        elif not self._silent:
            print(f"warning: {text}", file=sys.stderr, flush=True)

    def advance(self, step: int) -> None:
        """Moves the bar to `step` finished steps."""
        if self._bar is not None and self._task is not None:
            self._bar.update(self._task, completed=step)

    def show(self, text: str) -> bool:
        """Shows a text beside the bar until the next one; returns whether there is a bar."""
        if self._bar is None or self._task is None:
            return False
        self._bar.update(self._task, parts=(text,))
        return True

    def report(self, step: int, line: dict[str, Any]) -> None:
        """Shows the numbers of a line of `metrics.jsonl`."""
        numbers = _numbers(line)
        if self._bar is not None and self._task is not None:
            self._bar.update(self._task, completed=step, parts=numbers)
            return
        rate = line.get("time/steps_per_second") or 0.0
        speed = [f"{rate:.3g} steps/s", f"left {clock((self._total - step) / rate)}"] if rate > 0 else []
        self.say("  ".join([f"step {step:,}/{self._total:,}", *speed, *numbers]))


def _numbers(line: dict[str, Any]) -> list[str]:
    """The numbers of a line of `metrics.jsonl` as text, the most important first."""
    losses = sorted(
        ((name.removeprefix("loss/"), v) for name, v in line.items() if name.startswith("loss/")),
        key=lambda loss: (loss[0] != "generator", loss),  # the sum first
    )
    parts = [f"not finite {line['bad_total']}"] if line.get("bad_total") else []
    parts += [f"{name} {value:.4g}" for name, value in losses if value is not None]
    if line.get("codebook/perplexity") is not None:
        parts.append(f"perplexity {line['codebook/perplexity']:.1f}")
    if line.get("time/steps_per_second"):
        parts.append(f"{line['time/audio_seconds_per_second']:.1f} x real time")
        parts.append(f"data {100 * line['time/data_share']:.0f} %")
    return parts
