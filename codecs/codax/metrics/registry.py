"""The registry of metrics: their names for `--metrics`, and the selection of those that an evaluation computes.

Installed packages add metrics by entry points of the group `GROUP`; they are loaded when an evaluation selects them.
"""

from __future__ import annotations

import dataclasses
import importlib.metadata
from collections.abc import Iterable

from codax.metrics import builtin
from codax.metrics.builtin import CODE_VALUES, CONTENT_VALUES, DEFAULT, TEXT_VALUES
from codax.metrics.measures import CODES, SIGNALS, TEXTS, Measure, Pooled, Value
from codax.metrics.signals import MetricError, optional

GROUP = "codax.metrics"
MEASURES: list[Measure] = [*builtin.MEASURES]
POOLED: list[Pooled] = [*builtin.POOLED]
VALUES: dict[str, Value] = {
    value.key: value
    for value in (*(v for m in (*MEASURES, *POOLED) for v in m.values), *TEXT_VALUES, *CODE_VALUES, *CONTENT_VALUES)
}
NAMES: dict[str, tuple[str, ...]] = {**builtin.NAMES}


def register(name: str, measure: Measure | Pooled) -> None:
    """Adds a metric; evaluations select it by name and report all of its values.

    The workers of an evaluation in several processes have only the metrics that `import codax` registers, and those of
    entry points.

    Raises:
      MetricError: a name is taken, or the measure needs an unknown input.
    """
    if isinstance(measure, Measure) and (unknown := set(measure.needs) - {*SIGNALS, *TEXTS, *CODES}):
        raise MetricError(f"metric {name} needs {min(unknown)}: expected {', '.join((*SIGNALS, *TEXTS, *CODES))}")
    keys = tuple(value.key for value in measure.values)
    if name in NAMES or VALUES.keys() & set(keys):
        raise MetricError(f"metric {name}: its name or that of a value is taken")
    if isinstance(measure, Measure):
        MEASURES.append(measure)
    else:
        POOLED.append(measure)
    VALUES.update({value.key: value for value in measure.values})
    NAMES[name] = keys


def names() -> list[str]:
    """Names of all metrics, those of entry points too; nothing is loaded."""
    return list(dict.fromkeys([*NAMES, *(normal(point.name) for point in _entry_points())]))


@dataclasses.dataclass(frozen=True)
class Selection:
    """The metrics of one evaluation.

    Attributes:
      keys: keys of the values to report, in the order of the registry.
      measures: computations over single utterances.
      pooled: computations over all utterances of a system.
      text: whether a recogniser is needed.
      codes: whether the use of codes is measured.
      phones: whether codes are compared with phones.
      abx: whether ABX errors are measured.
    """

    keys: tuple[str, ...]
    measures: tuple[Measure, ...]
    pooled: tuple[Pooled, ...]
    text: bool
    codes: bool
    phones: bool
    abx: bool


def normal(name: str) -> str:
    """The form of a metric's name that the registry has."""
    return name.strip().lower().replace("-", "_")


def select(names: Iterable[str] = DEFAULT) -> Selection:
    """Selects metrics by name and checks that their packages are installed.

    Raises:
      MetricError: a name is unknown, a package is missing, or an entry point is broken.
    """
    selected: set[str] = set()
    for name in names:
        if normal(name) not in NAMES:
            _register_installed(name)
        selected.update(NAMES[normal(name)])
    if not selected:
        raise MetricError(f"no metrics: expected some of {_known()}")
    measures = tuple(m for m in MEASURES if any(v.key in selected for v in m.values))
    pooled = tuple(m for m in POOLED if any(v.key in selected for v in m.values))
    for measure in (*measures, *pooled):
        for module, extra in measure.packages:
            optional(module, extra)
        if measure.check is not None:
            measure.check()
        for mapping in {v.mapping for v in measure.values} & {"lattice", "svr"}:
            _check_visqol_model(mapping)
    text = any(v.key in selected for v in TEXT_VALUES)
    if text:
        from codax.metrics import wer

        wer.check_installed()
    text = text or any(set(TEXTS).intersection(measure.needs) for measure in measures)
    keys = tuple(key for key in VALUES if key in selected)
    codes = any(v.key in selected for v in CODE_VALUES)
    return Selection(keys, measures, pooled, text, codes, phones="pnmi" in selected, abx="abx" in selected)


def _known() -> str:
    return ", ".join(names())


def _entry_points() -> list[importlib.metadata.EntryPoint]:
    return list(importlib.metadata.entry_points(group=GROUP))


def _register_installed(name: str) -> None:
    """Registers the metric of an entry point. Raises MetricError: there is none, or it is broken."""
    points = [point for point in _entry_points() if normal(point.name) == normal(name)]
    if not points:
        raise MetricError(f"unknown metric {name!r}: expected some of {_known()}")
    owners = sorted(point.dist.name if point.dist else point.value for point in points)
    if len(points) > 1:
        raise MetricError(f"metric {name}: of several packages, {' and '.join(owners)}")
    try:
        register(normal(name), as_measure(points[0].load()))
    except Exception as error:  # anything can happen in a module of others
        reason = " ".join(str(error).split())
        reason = reason if isinstance(error, MetricError) else f"{type(error).__name__}: {reason}"
        raise MetricError(f"metric {name} of the package {owners[0]} cannot be used ({reason})") from error


def as_measure(source: object) -> Measure | Pooled:
    """A measure from a module, a class without arguments, or any object with the attributes of `Measure` or `Pooled`.

    Raises:
      MetricError: an attribute is missing or ill-typed.
    """
    source = source() if isinstance(source, type) else source
    if isinstance(source, Measure | Pooled):
        return source
    kind = Pooled if hasattr(source, "statistics") else Measure
    fields = {field.name for field in dataclasses.fields(kind) if hasattr(source, field.name)}
    required = {"values", "statistics", "compare"} if kind is Pooled else {"values", "compute"}
    if missing := required - fields:
        raise MetricError(f"it has no {min(missing)}")
    measure = kind(**{name: getattr(source, name) for name in fields})
    if not measure.values or not all(isinstance(value, Value) for value in measure.values):
        raise MetricError("its values are not a tuple of codax.metrics.registry.Value")
    return measure


def _check_visqol_model(mapping: str) -> None:
    from codax.metrics.visqol import mapping as mappings

    mappings.find_model(mappings.LATTICE_FILE if mapping == "lattice" else mappings.SVR_FILE)
