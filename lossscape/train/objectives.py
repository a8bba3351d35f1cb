"""What is measured of a net after an epoch: both splits as objectives, as its config says."""

import copy

from torch import nn

from lossscape import losses, metrics, onednn
from lossscape.batches import part
from lossscape.config import RunConfig
from lossscape.data import Data
from lossscape.losses import Loss
from lossscape.modules import copied
from lossscape.objective import Objective
from lossscape.train.parallel import World
from lossscape.train.teacher import Lesson


def objectives_of(
    model: nn.Module, config: RunConfig, data: Data, loss: Loss, lesson: Lesson, world: World
) -> dict[str, Objective]:
    """Train and test split, this process's share of them; the training columns are those of the lesson."""
    of_test, answers = lesson.held_out or (loss, data.test.targets)
    measured = config.metric_functions()
    chosen = metrics.chosen(metrics.usual(of_test, answers)) if measured is None else measured
    share = slice(world.rank, None, world.size)
    return {
        split: Objective(
            model,
            losses.over(against, losses.positions(against, targets)),
            part(inputs, share),
            targets[share],
            metrics=chosen,
            output=None if lesson.held_out else config.output,
        )
        for split, inputs, against, targets in (
            ("train", data.train.inputs, lesson.judge, lesson.judged),
            ("test", data.test.inputs, of_test, answers),
        )
    }


def by_onednn(objective: Objective) -> Objective:
    """The same objective with its linear layers multiplied by oneDNN, where that is enough for it."""
    other = copy.copy(objective)
    other.model = copied(objective.model)
    for name, layer in list(other.model.named_modules()):
        if name:
            other.model.set_submodule(name, onednn.by_onednn(layer))
    return other


def columns_of(objectives: dict[str, Objective]) -> list[str]:
    """The columns of what is measured."""
    return [f"{split}_{name}" for split, part in objectives.items() for name in part.columns]
