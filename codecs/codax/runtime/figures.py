"""Figures of Matplotlib, with names that the user chose."""

from __future__ import annotations

import contextlib
import io
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from codax.storage.files import write_whole

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def empty(width: float, height: float, *, dpi: int, layout: Any) -> Figure:
    """Returns a figure of a size in inches."""
    # The object interface needs no display and does not change pyplot's global state.
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), dpi=dpi, layout=layout)
    FigureCanvasAgg(figure)
    return figure


@contextlib.contextmanager
def plain_text() -> Iterator[None]:
    """Draws text in the block as it is: a dollar begins no formula, and a character without a glyph gives no warning.

    Matplotlib would raise an error for a name such as "a$_$".
    """
    import matplotlib as mpl

    with mpl.rc_context({"text.parse_math": False}), warnings.catch_warnings():
        warnings.filterwarnings("ignore", r"Glyph .* missing|constrained_layout not applied", UserWarning)
        yield


@plain_text()
def write_png(path: Path, figure: Figure, **options: Any) -> None:
    """Writes a figure; `options` are those of its `savefig`. Raises OSError as `write_whole`."""
    picture = io.BytesIO()
    figure.savefig(picture, format="png", **options)
    write_whole(path, picture.getvalue())
