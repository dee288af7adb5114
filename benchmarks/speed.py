"""Time and memory of codax and of every PyTorch codec that is installed, case by case, in one run.

    pip install torch==2.13.0 transformers einops librosa
    pip install --no-deps encodec==0.1.1 moshi==0.2.13 speechtokenizer
    python benchmarks/speed.py --out runs/speed [--peer-python OTHER/bin/python] [--only encodec_24khz] [--rounds 7]

Each side of a case is a separate process on the same cores, with the same weights if weights matter; the sides take
turns, A B C A B C ..., and ratios are those of medians. Results are kept in --out/results.json, so that an interrupted
run resumes; `--again` repeats all measurements. With `--warm` codax uses programs compiled by an earlier process, as
its commands do from the second run on; otherwise it compiles them. `--against CHECKOUT` adds an older checkout of codax
as the side "before", which then writes the weights: newer versions read older model folders.
"""

from __future__ import annotations

import argparse
import dataclasses
import functools
import json
import os
import statistics
import subprocess
import sys
from pathlib import Path

import numpy as np

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE / "sides"))

from case import Case, folder_of  # noqa: E402
from report import row, write_report  # noqa: E402

PEERS = {
    "encodec_24khz": ("encodec", "transformers"),
    "encodec_48khz": ("encodec", "transformers"),
    "mimi_24khz": ("moshi", "transformers"),
    "speechtokenizer_16khz": ("speechtokenizer",),
    "dac_44khz": ("dac", "transformers"),
}
LONGEST_OF_PEERS = 60  # seconds
BEFORE = "before"  # the side that is an older checkout of codax


def cases() -> list[Case]:
    """All cases of the table."""
    coding = []
    for model in PEERS:
        for seconds, batch in ((10, 1), (60, 1), (10, 8)):
            coding += [Case(model, task, seconds, batch) for task in ("encode", "decode")]
    training = [Case("encodec_24khz", "train", 1, 8, pieces=n) for n in (1, 4)]
    return [*coding, Case("mimi_24khz", "stream", 1), *training]


def curves() -> list[Case]:
    """Cases that vary length, batch and number of levels."""
    lengths = [Case("encodec_24khz", task, t) for task in ("encode", "decode") for t in (1, 3, 10, 30, 60, 300, 1800)]
    batches = [Case("encodec_24khz", "encode", 3, n) for n in (1, 2, 4, 8, 16)]
    return [*lengths, *batches, *(Case("encodec_24khz", "encode", 10, 1, n) for n in (1, 2, 4, 8, 16, 32))]


def accelerator_cases() -> list[Case]:
    """Cases that use a GPU better than a single file does."""
    coding = [Case("encodec_24khz", task, 10, 64) for task in ("encode", "decode")]
    sizes, kinds = (8, 64), ("float32", "bfloat16")
    return [*coding, *(Case("encodec_24khz", "train", 1, n, dtype=dtype) for dtype in kinds for n in sizes)]


def sides_of(case: Case) -> list[str]:
    """codax and the peers that support a case; peers hold a whole signal in memory, so none codes half an hour."""
    if case.seconds > LONGEST_OF_PEERS:
        return ["codax"]
    if case.task == "stream":
        return ["codax", "moshi"]
    return ["codax", "encodec"] if case.task == "train" else ["codax", *PEERS[case.model]]


def write_weights_before(weights: Path, model: str, checkout: Path) -> None:
    """As `write_weights`, written by an older checkout's own code, and linked for the side "before"."""
    code = "import speed, sys; from pathlib import Path; speed.write_weights(Path(sys.argv[1]), sys.argv[2])"
    path = os.pathsep.join((str(checkout / "codecs"), str(checkout / "benchmarks")))
    command = [sys.executable, "-c", code, str(weights.absolute()), model]
    subprocess.run(command, check=True, env=os.environ | {"PYTHONPATH": path})
    link = folder_of(weights / BEFORE, model, "codax")
    link.parent.mkdir(parents=True, exist_ok=True)
    if not link.exists():
        link.symlink_to(folder_of(weights, model, "codax").absolute())


def write_weights(weights: Path, model: str) -> None:
    """Writes the same random weights in the format of each side."""
    from codax.codec.codec import Codec
    from codax.config.recipe_files import load_recipe
    from codax.interop import dac, encodec, speechtokenizer
    from codax.interop.formats import export_huggingface, export_kyutai
    from codax.storage.tensors import safetensors_bytes

    if folder_of(weights, model, "codax").is_dir():
        return
    codec = Codec.init_random(load_recipe(HERE.parent / "configs" / f"{model}.py"))

    def write(side: str, state: dict, values: dict | None = None) -> None:
        folder = folder_of(weights, model, side)
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "model.safetensors").write_bytes(safetensors_bytes(state))
        (folder / "config.json").write_text(json.dumps(values or {}), encoding="utf-8")

    config, flat = codec.config, codec.flat()
    kind = model.split("_", maxsplit=1)[0]
    if kind == "encodec":
        write("encodec", encodec.from_codax(flat, config, encodec.NATIVE))
    if kind == "speechtokenizer":
        state = encodec.from_codax(flat, config, encodec.NATIVE)
        write(kind, state, speechtokenizer.config_values(config))
    if kind == "dac":
        made = {
            "encoder_dim": config.model.channels,
            "encoder_rates": list(config.model.strides),
            "decoder_dim": config.model.decoder_channels * 2 ** len(config.model.strides),
            "decoder_rates": list(reversed(config.model.strides)),
            "n_codebooks": config.quantizer.num_quantizers,
            "sample_rate": config.model.sample_rate,
        }
        write(kind, dac.from_codax(flat, config, dac.DESCRIPT), made)
    if kind == "mimi":
        export_kyutai(codec, folder_of(weights, model, "moshi"))
    if "transformers" in PEERS[model]:
        export_huggingface(codec, folder_of(weights, model, "transformers"))
    codec.save(folder_of(weights, model, "codax"))


class Side:
    """A worker process with a case."""

    def __init__(
        self, name: str, case: Case, weights: Path, python: str, threads: int, kept: Path | None, checkout: Path
    ) -> None:
        """Args: `kept` is the folder of compiled programs or None; `checkout` has the benchmark code of the side."""
        self.name = name
        cache = {"JAX_COMPILATION_CACHE_DIR": str(kept), "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0.3"}
        shared = {"XLA_PYTHON_CLIENT_PREALLOCATE": "false"}  # the sides share a GPU
        self.log = open(weights / f"log_{name}.txt", "w", encoding="utf-8")  # noqa: SIM115  (closed in `end`)
        side = "codax" if name == BEFORE else name
        own = {"PYTHONPATH": str(checkout / "codecs")} if side == "codax" else {}
        worker = checkout / "benchmarks" / "sides" / "worker.py"
        command = [python, str(worker), side, json.dumps(dataclasses.asdict(case))]
        self.process = subprocess.Popen(
            [*command, str(weights / BEFORE if name == BEFORE else weights), str(threads)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self.log,
            text=True,
            env=os.environ | shared | own | (cache if kept else {}),
        )
        self.seconds: list[float] = []
        self.began = self._answer()

    def _answer(self) -> dict:
        line = self.process.stdout.readline()
        if not line:
            self.end()
            lines = Path(self.log.name).read_text(encoding="utf-8").strip().splitlines()
            raise RuntimeError(lines[-1].strip()[:200] if lines else f"ended with status {self.process.returncode}")
        return json.loads(line)

    def run(self, times: int) -> None:
        """Runs the case `times` times."""
        self.process.stdin.write(f"{times}\n")
        self.process.stdin.flush()
        answer = self._answer()
        self.seconds += answer["seconds"]
        self.began |= {name: value for name, value in answer.items() if name != "seconds"}

    def end(self) -> None:
        """Closes the process."""
        self.process.stdin.close()
        self.process.wait()
        self.log.close()


def measure(case: Case, weights: Path, args: argparse.Namespace) -> dict:
    """Medians, spread, memory, start and first result of every side; compares codes of the peers with codax's."""
    if args.against:
        write_weights_before(weights, case.model, args.against)
    else:
        write_weights(weights, case.model)
    for stale in weights.glob("result_*.npy"):
        stale.unlink()
    sides, missing = [], {}
    for name in [*sides_of(case), *([BEFORE] if args.against else [])]:
        if args.sides and name not in args.sides:
            continue
        try:
            own = name in ("codax", BEFORE)
            checkout = args.against if name == BEFORE else HERE.parent
            kept = args.out / "compiled" if own and args.warm else None
            python = args.before_python if name == BEFORE else sys.executable if own else args.peer_python
            start = functools.partial(Side, name, case, weights, python, args.threads, kept, checkout)
            if kept:
                start().end()  # which compiles
            sides.append(start())
        except RuntimeError as error:
            missing[name] = str(error)
    # Several runs in a row, as in use: a virtual machine's host may reclaim memory of an idle process.
    times = {"stream": 20, "train": 4}.get(case.task, 3 if case.seconds * case.batch <= 10 else 1)
    for number in range(args.rounds + 1):  # the first round warms up
        for side in sides:
            side.run(times)
            if not number:
                side.seconds.clear()
    for side in sides:
        side.end()
    result = {"case": dataclasses.asdict(case), "missing": missing, "sides": {}}
    for side in sides:
        entry = {"median": statistics.median(side.seconds), "seconds": sorted(side.seconds), **side.began}
        own = weights / "result_codax.npy"
        other = weights / BEFORE / own.name if side.name == BEFORE else weights / f"result_{side.name}.npy"
        if own.exists() and other.exists():
            ours, theirs = np.load(own), np.load(other)
            entry["same_codes"] = float(np.mean(ours == theirs)) if ours.shape == theirs.shape else None
        result["sides"][side.name] = entry
    return result


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--peer-python", default=sys.executable, help="the Python that has PyTorch and the peers")
    parser.add_argument("--only", nargs="*", default=[], help="parts of the names of cases")
    parser.add_argument("--sides", nargs="*", default=[])
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--threads", type=int, default=min(2, os.cpu_count() or 1))
    parser.add_argument("--curves", action="store_true", help="cost against length, batch and levels instead")
    parser.add_argument("--accelerator", action="store_true", help="large batches and bfloat16 instead")
    parser.add_argument(
        "--against", type=lambda p: Path(p).absolute(), help="an older checkout of codax to compare with"
    )
    parser.add_argument("--before-python", default=sys.executable, help="the Python of that side, with its own JAX")
    parser.add_argument("--again", action="store_true")
    parser.add_argument(
        "--warm", action="store_true", help="use programs compiled by an earlier process; needs an --out of its own"
    )
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    file = args.out / "results.json"
    results = {} if args.again or not file.exists() else json.loads(file.read_text(encoding="utf-8"))
    chosen = curves() if args.curves else accelerator_cases() if args.accelerator else cases()
    for case in chosen:
        if args.only and not any(part in case.name for part in args.only):
            continue
        if case.name not in results:
            results[case.name] = measure(case, args.out, args)
            file.write_text(json.dumps(results, indent=1), encoding="utf-8")
        print(row(results[case.name]), flush=True)
        for name, reason in results[case.name]["missing"].items():
            print(f"  {name} is not measured: {reason}", file=sys.stderr)
    write_report(args.out, list(results.values()))


if __name__ == "__main__":
    main()
