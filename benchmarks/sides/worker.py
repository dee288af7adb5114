"""One side of a comparison as a process: builds a case, then runs it on request, so that sides take turns.

Started by `benchmarks/speed.py` as `python worker.py SIDE CASE WEIGHTS THREADS`. For each line on stdin, a number of
runs, it prints one line of JSON.
"""

from __future__ import annotations

import importlib
import json
import os
import re
import sys
import time
from pathlib import Path

BEGAN = time.perf_counter()


def peak_bytes() -> int:
    """Peak memory of this process in bytes; 0 if the system does not report it."""
    try:
        match = re.search(r"VmHWM:\s+(\d+) kB", Path("/proc/self/status").read_text(encoding="utf-8"))
    except OSError:
        return 0
    return 1024 * int(match.group(1)) if match else 0


def device_peak_bytes() -> int:
    """Peak memory of this process on its accelerator in bytes; 0 on a CPU."""
    if torch := sys.modules.get("torch"):
        return torch.cuda.max_memory_allocated() if torch.cuda.is_available() else 0
    return (sys.modules["jax"].devices()[0].memory_stats() or {}).get("peak_bytes_in_use", 0)


def peaks() -> dict[str, int]:
    """Peak memory of the process, and of its accelerator if it has one, in bytes."""
    return {"peak": peak_bytes(), "device_peak": device_peak_bytes()}


def main() -> None:
    if sys.argv[1] != "codax":
        serve()
        return
    from codax.runtime.allocator import use_huge_pages
    from codax.runtime.program import program

    use_huge_pages()  # as in train.py and the codax command
    with program():
        serve()


def serve() -> None:
    side, case, weights, threads = sys.argv[1], json.loads(sys.argv[2]), Path(sys.argv[3]), int(sys.argv[4])
    os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:threads])
    os.environ["OMP_NUM_THREADS"] = str(threads)
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # output of libraries goes to the log

    import numpy as np
    from case import Case

    task = Case(**case)
    run = importlib.import_module(f"side_{side}").build(task, weights)
    loaded = time.perf_counter() - BEGAN
    result = run()
    first = time.perf_counter() - BEGAN - loaded
    if task.task == "encode":
        np.save(weights / f"result_{side}.npy", np.asarray(result.cpu() if hasattr(result, "cpu") else result))
    print(json.dumps({"load": loaded, "first": first, **peaks()}), file=answers, flush=True)
    for line in sys.stdin:
        seconds = []
        for _ in range(int(line)):
            start = time.perf_counter()
            run()
            seconds.append(time.perf_counter() - start)
        print(json.dumps({"seconds": seconds, **peaks()}), file=answers, flush=True)


if __name__ == "__main__":
    main()
