"""Trains one recipe with several processes on this machine, injects a fault into each run, and reports what happens.

    python benchmarks/faulty_processes.py --out=DIR [--processes=4] [--only=paused,hung] -- \\
        --config=configs/quickstart.py --config.train.steps=60 --config.train.checkpoint_every=10 \\
        --config.train.log_every=1 --config.train.batch_size=12

A line is one fault: how the run ended and after how many seconds, the message, the steps that were computed twice, and
whether the export equals that of an uninterrupted run, byte for byte. A run that ended is started again with the same
command ("fewer": with one process less, so sums are in another order, and the losses at the end are compared).
"""

import argparse
import dataclasses
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from codax.training.logs import read_metrics
from killed_run import TRAIN, compare, newest

HEARTBEAT = 10  # seconds
PAUSE, AWAY, SLOW = 15.0, 60.0, 20.0  # seconds of a paused process, of a missing folder, of a slow process
LIMIT = 600.0  # seconds that any wait may take


@dataclasses.dataclass
class Run:
    """A run of several processes on this machine; their output is in FOLDER-INDEX.txt beside its folder."""

    folder: Path
    flags: list[str]
    processes: list[subprocess.Popen[bytes]] = dataclasses.field(default_factory=list)

    def start(self, count: int) -> None:
        with socket.socket() as free:
            free.bind(("localhost", 0))
            port = free.getsockname()[1]
        common = [f"--workdir={self.folder}", f"--coordinator=localhost:{port}", f"--num_processes={count}"]
        self.processes = []
        for index in range(count):
            command = [sys.executable, str(TRAIN), *self.flags, *common, f"--process_index={index}"]
            with self.log(index).open("ab") as log:
                self.processes.append(
                    subprocess.Popen(
                        [*command, f"--heartbeat_seconds={HEARTBEAT}"],
                        stdout=log,
                        stderr=subprocess.STDOUT,
                        env={**os.environ, "JAX_PLATFORMS": "cpu"},
                    )
                )

    def log(self, index: int) -> Path:
        return self.folder.with_name(f"{self.folder.name}-{index}.txt")

    def steps(self) -> list[int]:
        """Steps that were logged, in the order of the file."""
        return [line["step"] for line in self.trained()]

    def trained(self) -> list[dict[str, Any]]:
        """The logged values of each step."""
        return [line for line in read_metrics(self.folder) if line["kind"] == "train"]

    def wait_for_step(self, step: int) -> None:
        until(lambda: max(self.steps(), default=0) >= step or self.ended(), f"{self.folder}: no step {step}")

    def ended(self) -> bool:
        return any(process.poll() is not None for process in self.processes)

    def finish(self) -> list[int]:
        """Waits for all processes but stopped ones, which are killed; returns the statuses."""
        until(lambda: all(self.is_over(process) for process in self.processes), f"{self.folder}: does not end")
        for process in self.processes:
            process.kill()
        return [process.wait() for process in self.processes]

    def is_over(self, process: subprocess.Popen[bytes]) -> bool:
        if process.poll() is not None:
            return True
        state = Path(f"/proc/{process.pid}/stat").read_text(encoding="utf-8").rsplit(")", 1)[1].split()[0]
        return state == "T"  # stopped


def until(condition: Callable[[], bool], what: str) -> None:
    end = time.monotonic() + LIMIT
    while not condition():
        if time.monotonic() > end:
            sys.exit(f"{what} after {LIMIT:.0f} s")
        time.sleep(0.1)


def paused(run: Run) -> None:
    run.processes[-1].send_signal(signal.SIGSTOP)
    time.sleep(PAUSE)
    run.processes[-1].send_signal(signal.SIGCONT)


def hung(run: Run) -> None:
    run.processes[-1].send_signal(signal.SIGSTOP)


def slow(run: Run) -> None:
    end = time.monotonic() + SLOW
    while time.monotonic() < end and not run.ended():
        run.processes[-1].send_signal(signal.SIGSTOP)
        time.sleep(0.4)
        run.processes[-1].send_signal(signal.SIGCONT)
        time.sleep(0.1)


def killed(run: Run) -> None:
    run.processes[-1].kill()


def coordinator(run: Run) -> None:
    run.processes[0].kill()


def preempted(run: Run) -> None:
    run.processes[-1].terminate()


def folder(run: Run) -> None:
    away = run.folder.with_name(run.folder.name + "-away")
    run.folder.rename(away)
    time.sleep(AWAY)
    if run.folder.exists():  # made again by the run
        run.folder.rename(run.folder.with_name(run.folder.name + "-made-meanwhile"))
    away.rename(run.folder)


FAULTS: dict[str, tuple[str, Callable[[Run], None]]] = {
    "paused": (f"one process stands still for {PAUSE:.0f} s, longer than a heartbeat", paused),
    "hung": ("one process stands still for ever", hung),
    "slow": (f"one process computes a fifth of the time, for {SLOW:.0f} s", slow),
    "killed": ("SIGKILL to the last process", killed),
    "coordinator": ("SIGKILL to the first process, which coordinates", coordinator),
    "preempted": ("SIGTERM to the last process", preempted),
    "folder": (f"the work directory is missing for {AWAY:.0f} s", folder),
    "fewer": ("SIGKILL to the last process; then one process less", killed),
}


def message(run: Run, statuses: list[int]) -> str:
    """The last line of the first process that reported why it ended."""
    for index, status in enumerate(statuses):
        lines = run.log(index).read_text(encoding="utf-8", errors="replace").splitlines()
        reasons = [line for line in lines if line.startswith(("error:", "stopped"))]
        if reasons and (status == 1 or reasons[-1].startswith("stopped")):
            return reasons[-1][:200]
    return ""


def last_losses(run: Run) -> dict[str, float]:
    return {key: value for key, value in run.trained()[-1].items() if key.startswith("loss/") and value}


def try_fault(name: str, run: Run, whole: Run, count: int, at: int) -> str:
    """Runs once with the fault, and again until the end; returns the row of the table."""
    text, inject = FAULTS[name]
    run.start(count)
    run.wait_for_step(at)
    if run.ended():
        sys.exit(f"{run.log(0)}: the run ended before the fault")
    began = time.monotonic()
    inject(run)
    statuses = run.finish()
    seconds, reason = time.monotonic() - began, message(run, statuses)
    reached, kept, how = max(run.steps()), newest(run.folder), "finished"
    if any(statuses) or reached < max(whole.steps()):
        how = f"ended {statuses}, resumed from step {kept} of {reached}"
        run.start(count - 1 if name == "fewer" else count)
        if any(resumed := run.finish()):
            sys.exit(f"{run.log(0)}: cannot be resumed: {resumed}")
    if name == "fewer":
        ours, theirs = last_losses(run), last_losses(whole)
        most = max(abs(ours[key] / value - 1) for key, value in theirs.items())
        same = f"losses of the last step within {most:.1e}"
    else:
        different = compare(run.folder / "export", whole.folder / "export")
        same = f"differ: {', '.join(different)}" if different else "equal"
    return f"| {text} | {how} | {seconds:.0f} | {reason} | {same} |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--processes", type=int, default=4)
    parser.add_argument("--only", default=",".join(FAULTS), help="; ".join(f"{k}: {v[0]}" for k, v in FAULTS.items()))
    parser.add_argument("--at", type=int, default=25, help="step after which the fault happens")
    parser.add_argument("flags", nargs="+", help="of train.py")
    options = parser.parse_args()
    options.out.mkdir(parents=True)
    whole = Run(options.out.resolve() / "whole", options.flags)
    began = time.monotonic()
    whole.start(options.processes)
    if any(statuses := whole.finish()):
        sys.exit(f"{whole.log(0)}: ended with {statuses}")
    print(f"without a fault: {time.monotonic() - began:.0f} s\n")
    print("| fault | what happened | seconds until then | message | export |\n|---|---|---|---|---|", flush=True)
    for name in options.only.split(","):
        run = Run(options.out.resolve() / name, options.flags)
        try:
            print(try_fault(name, run, whole, options.processes, options.at), flush=True)
        finally:
            for process in run.processes:
                process.kill()


if __name__ == "__main__":
    main()
