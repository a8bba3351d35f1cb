"""Briefly trained runs of each kind of net; one table for the tests of what is made of checkpoints."""

from pathlib import Path

from lossscape.config import experiment_from
from lossscape.runs import Run
from lossscape.train import train

NETS = {
    "mlp": {"name": "mlp", "hidden": [12], "dropout": 0.3},
    "mlp_batch_norm": {"name": "mlp", "hidden": [12], "batch_norm": True, "activation": "prelu"},
    "cnn": {"name": "cnn", "channels": [6, 10]},
    "resnet": {"name": f"{Path(__file__).parent / 'nets.py'}:small_resnet"},
}
WITH_STATISTICS = ("mlp_batch_norm", "resnet")


def train_briefly(net: str, folder: Path) -> Run:
    """An epoch on a few digits."""
    experiment = experiment_from(
        {
            "name": net,
            "dataset": {"name": "digits", "train_size": 200, "test_size": 40},
            "model": NETS[net],
            "optimizer": {"name": "momentum", "lr": 0.02},
            "training": {"epochs": 1, "batch_size": 20},
        }
    )
    return train(experiment, folder)
