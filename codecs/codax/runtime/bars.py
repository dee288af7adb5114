"""A progress bar that fits its terminal: whole parts of the text are shown as far as there is room."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from rich.console import Console
from rich.progress import BarColumn, Progress, ProgressColumn, Task, TextColumn
from rich.text import Text

from codax.runtime.messages import clock

_BAR = 16  # characters


def fitted(parts: Sequence[str], room: int) -> str:
    """Joins the first parts that fit into `room` characters together."""
    text = ""
    for part in parts:
        longer = f"{text}  {part}" if text else part
        if len(longer) > room:
            break
        text = longer
    return text


class _Parts(ProgressColumn):
    """The amount, the rate, the remaining time, and further parts, the most important first."""

    def __init__(self, amount: Callable[[Task], str], unit: str, console: Console) -> None:
        super().__init__()
        self._amount, self._unit, self._console = amount, unit, console

    def render(self, task: Task) -> Text:
        parts = [self._amount(task)]
        if self._unit and task.speed:
            parts.append(f"{task.speed:.3g} {self._unit}")
        if task.time_remaining is not None:
            parts.append(f"left {clock(task.time_remaining)}")
        room = self._console.width - len(task.description) - _BAR - 3
        return Text(fitted([*parts, *task.fields.get("parts", ())], room), no_wrap=True, overflow="crop")


def make_bar(
    amount: Callable[[Task], str], *, unit: str = "", console: Console | None = None, transient: bool = False
) -> Progress:
    """Returns a display of tasks, whose field `parts` has further texts.

    Args:
      amount: describes the work done.
      unit: of the rate; "" = no rate.
      console: the terminal; None = stdout.
      transient: remove the bar at the end.
    """
    console = console or Console()
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(bar_width=_BAR),
        _Parts(amount, unit, console),
        console=console,
        transient=transient,
        speed_estimate_period=300,
    )
