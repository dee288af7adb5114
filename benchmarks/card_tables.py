"""Prints the tables of a model card, with 95 % intervals, from the results of `eval.py`.

python benchmarks/card_tables.py runs/evaluation/librispeech runs/evaluation/starter
"""

import argparse
import json
from pathlib import Path

COLUMNS = {
    "visqol": "ViSQOL, lattice",
    "visqol_exponential": "exponential",
    "dwer": "dWER, %",
    "wer": "WER, %",
    "stoi": "STOI",
    "pesq": "PESQ",
    "dnsmos": "DNSMOS",
    "si_sdr": "SI-SDR, dB",
    "speaker": "speaker similarity",
    "level": "level, dB",
    "comb": "comb, dB",
}
DIGITS = {"dwer": 1, "wer": 1, "stoi": 3, "speaker": 3, "comb": 1, "si_sdr": 1}


def cell(metrics: dict, name: str) -> str:
    """Mean and half of the interval, and the note of a mean over fewer utterances."""
    if (interval := metrics.get(name)) is None:
        return ""
    digits = DIGITS.get(name, 2)
    note = f" ({interval['note']})" if "note" in interval else ""
    return f"{interval['mean']:z.{digits}f} ±{(interval['high'] - interval['low']) / 2:.{digits}f}{note}"


def table(results: dict) -> list[str]:
    """One line per system."""
    names = [name for name in COLUMNS if any(name in system["metrics"] for system in results["systems"])]
    lines = [" | ".join(["| system | kbps of files", *(COLUMNS[name] for name in names)]) + " |"]
    lines.append("|---|---" + "|---" * len(names) + "|")
    for system in results["systems"]:
        rate = f"{system['bits_per_second']['mean'] / 1000:.2f}" if system.get("bits_per_second") else ""
        cells = [system["label"], rate, *(cell(system["metrics"], name) for name in names)]
        lines.append("| " + " | ".join(cells) + " |")
    return lines


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folders", nargs="+", type=Path, help="--out folders of eval.py")
    for folder in parser.parse_args().folders:
        results = json.loads((folder / "results.json").read_text(encoding="utf-8"))
        utterances = max(system["utterances"] for system in results["systems"])
        seconds = max(system["seconds"] for system in results["systems"])
        print(f"{folder.name}: {utterances} utterances, {seconds:.0f} s\n")
        print("\n".join(table(results)), end="\n\n")


if __name__ == "__main__":
    main()
