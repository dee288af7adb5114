"""The registry of metrics: their names for `--metrics`, and the selection of those that an evaluation computes."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable

from codax.metrics import builtin
from codax.metrics.builtin import CODE_VALUES, CONTENT_VALUES, DEFAULT, TEXT_VALUES
from codax.metrics.measures import CODES, SIGNALS, TEXTS, Measure, Value
from codax.metrics.signals import MetricError, optional

MEASURES: list[Measure] = [*builtin.MEASURES]
VALUES: dict[str, Value] = {
    value.key: value
    for value in (*(v for m in MEASURES for v in m.values), *TEXT_VALUES, *CODE_VALUES, *CONTENT_VALUES)
}
NAMES: dict[str, tuple[str, ...]] = {**builtin.NAMES}


def register(name: str, measure: Measure) -> None:
    """Adds a metric; evaluations select it by name and report all of its values.

    The workers of an evaluation in several processes have only the metrics that `import codax` registers.

    Raises:
      MetricError: a name is taken, or the measure needs an unknown input.
    """
    if unknown := set(measure.needs) - {*SIGNALS, *TEXTS, *CODES}:
        raise MetricError(f"metric {name} needs {min(unknown)}: expected {', '.join((*SIGNALS, *TEXTS, *CODES))}")
    keys = tuple(value.key for value in measure.values)
    if name in NAMES or VALUES.keys() & set(keys):
        raise MetricError(f"metric {name}: its name or that of a value is taken")
    MEASURES.append(measure)
    VALUES.update({value.key: value for value in measure.values})
    NAMES[name] = keys


@dataclasses.dataclass(frozen=True)
class Selection:
    """The metrics of one evaluation.

    Attributes:
      keys: keys of the values to report, in the order of the registry.
      measures: computations over single utterances.
      text: whether a recogniser is needed.
      codes: whether the use of codes is measured.
      phones: whether codes are compared with phones.
      abx: whether ABX errors are measured.
    """

    keys: tuple[str, ...]
    measures: tuple[Measure, ...]
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
      MetricError: a name is unknown, or a package is missing.
    """
    selected: set[str] = set()
    for name in names:
        key = normal(name)
        if key not in NAMES:
            raise MetricError(f"unknown metric {name!r}: expected some of {', '.join(NAMES)}")
        selected.update(NAMES[key])
    if not selected:
        raise MetricError(f"no metrics: expected some of {', '.join(NAMES)}")
    measures = tuple(m for m in MEASURES if any(v.key in selected for v in m.values))
    for measure in measures:
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
    return Selection(keys, measures, text, codes, phones="pnmi" in selected, abx="abx" in selected)


def _check_visqol_model(mapping: str) -> None:
    from codax.metrics.visqol import mapping as mappings

    mappings.find_model(mappings.LATTICE_FILE if mapping == "lattice" else mappings.SVR_FILE)
