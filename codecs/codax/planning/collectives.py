"""Communication between devices in a compiled program, parsed from its text."""

from __future__ import annotations

import dataclasses
import math
import re

_KINDS = "all-reduce|all-gather|reduce-scatter|all-to-all|collective-permute|collective-broadcast"
# "%name = TYPE KIND(" or "%name = TYPE KIND-start("; the "-done" half of an asynchronous pair is not counted again.
_CALL = re.compile(rf"^\s*(?:ROOT )?%?[\w.-]+ = (.+?) ({_KINDS})(-start)?\(", re.MULTILINE)
_SHAPE = re.compile(r"\b(pred|token|[a-z]+(\d+)[a-z0-9]*)\[([\d,]*)\]")


@dataclasses.dataclass(frozen=True)
class Exchange:
    """All collectives of one kind."""

    count: int
    bytes: int  # of the results on one device

    def __add__(self, other: Exchange) -> Exchange:
        return Exchange(self.count + other.count, self.bytes + other.bytes)


def collectives(text: str) -> dict[str, Exchange]:
    """The collectives of a program in XLA's text form, by kind. The body of a loop counts once."""
    exchanges: dict[str, Exchange] = {}
    for shapes, kind, start in _CALL.findall(text):
        sizes = [_size(*match) for match in _SHAPE.findall(shapes)]
        # The result type of these asynchronous operations includes their operands.
        doubled = start and kind in ("all-gather", "collective-permute", "collective-broadcast")
        size = max(sizes, default=0) if doubled else sum(sizes)
        exchanges[kind] = exchanges.get(kind, Exchange(0, 0)) + Exchange(1, size)
    return exchanges


def _size(name: str, bits: str, dimensions: str) -> int:
    """Bytes of an array type such as f32[3,4] or pred[]."""
    width = {"pred": 1, "token": 0}[name] if name in ("pred", "token") else max(1, int(bits) // 8)
    return width * math.prod(int(n) for n in dimensions.split(",") if n)
