"""ViSQOL v3, the Virtual Speech Quality Objective Listener: predicted opinion scores for speech and audio."""

from codax.metrics.visqol.errors import VisqolError
from codax.metrics.visqol.score import DEFAULT_MAPPINGS, NOMINAL_RATES, VisqolResult, visqol
from codax.metrics.visqol.search import Patch

__all__ = ["DEFAULT_MAPPINGS", "NOMINAL_RATES", "Patch", "VisqolError", "VisqolResult", "visqol"]
