"""Counts the operators of the programs of a training step, before compilation.

    python benchmarks/program_size.py [configs/encodec_24khz.py ...]

A TPU's compiler needs a second or more for every convolution and matrix product, whatever the number of the other
operators. A line is one program: convolutions, matrix products, all operators (StableHLO), megabytes of its text.
"""

import argparse
import collections
import functools
import os
import re
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
RECIPES = ("soundstream_24khz", "encodec_24khz", "speechtokenizer_16khz", "mimi_24khz", "dac_44khz")
_FUNCTION = re.compile(r"^  func\.func \w+ @([\w.]+)\(", re.MULTILINE)
_OPERATOR = re.compile(r"^\s*(?:%\S+ = )?\"?(?:(?:stablehlo|chlo)\.(\w+)|(?:func\.)?call @([\w.]+))", re.MULTILINE)


def sizes(program: Any) -> tuple[int, int, int, float]:
    """Convolutions, matrix products, operators, and megabytes of text of a program."""
    text = program.function.lower(*program.arguments).as_text()
    _, *parts = _FUNCTION.split(text)
    bodies = {name: _OPERATOR.findall(body) for name, body in zip(parts[::2], parts[1::2], strict=True)}

    @functools.cache
    def count(function: str) -> collections.Counter[str]:  # a function counts where it is called: compilers inline it
        total = collections.Counter[str]()
        for operator, called in bodies[function]:
            total.update(count(called) if called else {operator: 1})
        return total

    names = count("main")
    return names["convolution"], names["dot_general"], names.total(), len(text) / 1e6


def show(name: str, cells: tuple[int, int, int, float]) -> None:
    print(f"| {name} | {cells[0]} | {cells[1]} | {cells[2]:,} | {cells[3]:.1f} |", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("recipes", nargs="*", type=Path)
    args = parser.parse_args()
    os.environ["JAX_PLATFORMS"] = "cpu"
    from codax.config.recipe_files import load_recipe
    from codax.planning.abstract_step import abstract_step
    from codax.runtime.platforms import tracing_for
    from codax.training.parallel import Parallel

    print("| program | convolutions | products | operators | MB |\n| --- | --- | --- | --- | --- |")
    for recipe in args.recipes or [ROOT / "configs" / f"{name}.py" for name in RECIPES]:
        with tracing_for("tpu"):
            each = {p.name: sizes(p) for p in abstract_step(load_recipe(recipe), Parallel(), 1).programs}
        for name, cells in each.items():
            show(f"{recipe.stem}: {name}", cells)
        total: Any = tuple(map(sum, zip(*each.values(), strict=True)))
        show(f"**{recipe.stem}**", total)


if __name__ == "__main__":
    main()
