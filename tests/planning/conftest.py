"""The command line in this process."""

from command import run  # noqa: F401 (a fixture)
