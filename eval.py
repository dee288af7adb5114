"""Evaluates codecs and baselines: python eval.py --model=DIR --data=SPEC --out=DIR [--baselines=opus:6,opus:12]."""

from codax.cli.evaluate import run

if __name__ == "__main__":
    run("eval.py")
