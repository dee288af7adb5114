"""Trains a codec: python train.py --config=configs/quickstart.py --workdir=runs/quickstart [--config.train.steps=9]"""

from codax.cli.train import run

if __name__ == "__main__":
    run()
