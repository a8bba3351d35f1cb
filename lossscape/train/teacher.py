"""Training towards what another net says: relabelled data, distillation, a known true minimum.

With weight 1 and soft targets at temperature 1 the teacher's parameters are a true minimum of what is trained: loss and
gradient are 0 there (Wang and Thawonmas). Other temperatures and weights are those of Hinton et al. (arXiv:1503.02531).
"""

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from lossscape.config import Experiment, Teacher
from lossscape.data import Data
from lossscape.errors import BadInput
from lossscape.losses import Loss, kl_divergence
from lossscape.runs import Run, point_of
from lossscape.targets import relabelled


@dataclass(frozen=True)
class Lesson:
    """What training steps minimise, and what an epoch's training columns are means of."""

    targets: Tensor
    """Of training steps: classes [N]; or, packed side by side, the teacher's outputs and the label, [N, C + 1]."""
    loss: Loss
    """Of training steps."""
    judged: Tensor
    """Of the training columns: classes [N] or log-probabilities [N, C], of the teacher where there is one."""
    judge: Loss
    """Of the training columns."""


def lesson_of(teacher: Teacher | None, data: Data, loss: Loss) -> Lesson:
    """The lesson of a config's teacher; without one the data's labels and the config's loss.

    Raises BadInput where the teacher's run or checkpoint is missing or its net does not fit the data.
    """
    inputs, labels = data.train
    if teacher is None:
        return Lesson(labels, loss, labels, loss)
    if labels.ndim > 1 or labels.is_floating_point():
        raise BadInput("teacher: it tells classes apart, and the data has no class for each sample; leave it out")
    at = point_of(teacher.run)
    judged = relabelled(at, inputs, teacher.targets)
    classes = len(data.classes)
    said = judged.shape[1] if judged.ndim == 2 else int(judged.max()) + 1
    if said > classes or (judged.ndim == 2 and said < classes):
        raise BadInput(f"teacher {at}: tells {said} classes apart, the data has {classes}")
    if teacher.targets == "hard":
        judge = loss
        said_in_steps = judged.unsqueeze(1).double()
    else:
        judge = kl_divergence
        said_in_steps = relabelled(at, inputs, "soft", temperature=teacher.temperature)
    if teacher.targets == "hard" and teacher.weight == 1:
        return Lesson(judged, loss, judged, loss)
    packed = torch.cat([said_in_steps, labels.unsqueeze(1).double()], dim=1)
    return Lesson(packed, _mixed(teacher, loss), judged, judge)


def _mixed(teacher: Teacher, loss: Loss) -> Loss:
    """w · loss against the teacher + (1 − w) · loss against the labels, per sample, from packed targets."""
    weight, temperature = teacher.weight, teacher.temperature

    def mixed(outputs: Tensor, packed: Tensor) -> Tensor:
        said, labels = packed[:, :-1], packed[:, -1].long()
        if teacher.targets == "hard":
            taught = loss(outputs, said[:, 0].long())
        else:
            taught = temperature**2 * kl_divergence(outputs / temperature, said)
        return weight * taught + (1 - weight) * loss(outputs, labels) if weight < 1 else taught

    return mixed


def check_teacher(run: Run, experiment: Experiment, *, overwrite: bool) -> dict[str, Any]:
    """What environment.json says of the teacher: its checkpoint and that file's SHA-256; nothing without one.

    Raises BadInput where the run was begun with other bytes of it.
    """
    if experiment.teacher is None:
        return {}
    settings = point_of(experiment.teacher.run).settings()
    before = run.environment().get("teacher", settings)
    if before != settings and not overwrite:
        raise BadInput(
            f"{run.path} was begun with another teacher: {experiment.teacher.run} has been trained anew since; choose "
            "another --name, or --overwrite to delete that run"
        )
    return {"teacher": settings}
