"""Which packages codax has: pyproject.toml, which has all else, cannot name one beside those that are searched for."""

from setuptools import find_packages, setup

setup(
    # The sources are in codecs/, because Python's standard library owns the name `codecs`. The recipes are at the top
    # of the repository; in a wheel they are part of the package, for `--config=NAME`.
    package_dir={"": "codecs", "codax.recipes": "configs"},
    packages=[*find_packages("codecs"), "codax.recipes"],
)
