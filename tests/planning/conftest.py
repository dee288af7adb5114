"""Plans are made of the training tests' tiny recipe."""

import sys
from pathlib import Path

sys.path.append(str(Path(__file__).parents[1] / "training"))
