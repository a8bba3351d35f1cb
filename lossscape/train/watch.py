"""What a user sees while a run trains: progress, lines, TensorBoard."""

import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from lossscape.errors import BadInput
from lossscape.metrics import RANKS
from lossscape.progress import Progress

if TYPE_CHECKING:
    from lossscape.train.loop import Setup
    from lossscape.train.state import State

LOOK_EVERY_SECONDS = 0.25
"""Looking at a loss on CUDA waits for the device, so it is done a few times a second only."""


class Watch:
    """Shows steps and epochs of one run."""

    def __init__(
        self, progress: Progress | None, tensorboard: Any = None, told: Callable[[int], None] = lambda epochs: None
    ) -> None:
        """progress: None in the silent processes of data parallel training; tensorboard: a SummaryWriter.

        told: is given 1 after every epoch of training.
        """
        self._progress, self._tensorboard, self._told = progress, tensorboard, told
        self._looked = 0.0
        self._accuracy = ""

    def step(self, setup: "Setup", state: "State", samples: int) -> None:
        """After a step on `samples` samples."""
        if self._progress is None:
            return
        now = time.monotonic()
        if now - self._looked > LOOK_EVERY_SECONDS:
            self._looked = now
            loss = float(state.losses[(state.step - 1) % setup.steps_per_epoch])
            epochs = setup.experiment.training.epochs
            self._progress.say(f"epoch {state.epoch + 1}/{epochs}, loss {loss:.4f}{self._accuracy}")
        self._progress.advance(samples)

    def within(self, setup: "Setup", state: "State") -> None:
        """Within a step of a full-batch method."""
        now = time.monotonic()
        if self._progress is None or now - self._looked <= LOOK_EVERY_SECONDS:
            return
        self._looked = now
        asked = ", ".join(f"{count:,} {name.replace('_', ' ')}" for name, count in state.cost.items() if count)
        self._progress.say(f"epoch {state.epoch + 1}/{setup.experiment.training.epochs}, {asked}{self._accuracy}")

    def epoch(self, setup: "Setup", state: "State", row: dict[str, Any]) -> None:
        """After an epoch's metrics."""
        if row["epoch"] > 0:
            self._told(1)
        if row["train_loss"] is not None:
            self._accuracy = f", test accuracy {row['test_accuracy']:.2%}" if "test_accuracy" in row else ""
            words = "; ".join(f"{split} {_words(row, split)}" for split in ("train", "test"))
        else:
            words = f"mean loss of its batches {row['batch_loss']:.4f}"
        if self._progress is not None:
            self._progress.line(f"epoch {row['epoch']}/{setup.experiment.training.epochs}: {words}")
        if self._tensorboard is not None:
            for key, value in row.items():
                if key not in ("epoch", "step") and value is not None:
                    self._tensorboard.add_scalar(key.replace("_", "/", 1), value, row["epoch"])
            self._tensorboard.flush()


def _words(row: dict[str, Any], split: str) -> str:
    """The loss and the other metrics of a split."""
    found = {key.removeprefix(f"{split}_"): value for key, value in row.items() if key.startswith(f"{split}_")}
    return ", ".join(f"{name} {value:{'.2%' if name in RANKS else '.4f'}}" for name, value in found.items())


def summary_writer() -> Any:
    """TensorBoard's class SummaryWriter. Raises BadInput where the extra is not installed."""
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError as error:
        raise BadInput(f"TensorBoard is not installed ({error}): pip install 'lossscape[tensorboard]'") from None
    return SummaryWriter
