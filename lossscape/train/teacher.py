"""Training towards what other nets say: relabelled data, distillation, a known true minimum.

With weight 1 and soft targets at temperature 1 the teacher's parameters are a true minimum of what is trained: loss and
gradient are 0 there (Wang and Thawonmas). Other temperatures and weights are those of Hinton et al. (arXiv:1503.02531).
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from lossscape.batches import Inputs
from lossscape.config import Experiment, Teacher
from lossscape.data import Data
from lossscape.errors import BadInput
from lossscape.losses import Loss, kl_divergence
from lossscape.measured import Targets
from lossscape.runs import Point, Run, point_of
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
    held_out: tuple[Loss, Tensor] | None = None
    """Of the test columns, where they are not of the data's labels: what is said of the test inputs."""


def lesson_of(teacher: Teacher | None, data: Data, loss: Loss) -> Lesson:
    """The lesson of a config's teacher; without one the data's labels and the config's loss.

    Raises BadInput where the teacher's run or checkpoint is missing or its net does not fit the data.
    """
    inputs, labels = data.train
    if teacher is None:
        return Lesson(labels, loss, labels, loss)
    if labels.ndim > 1 or labels.is_floating_point():
        raise BadInput("teacher: it tells classes apart, and the data has no class for each sample; leave it out")
    if teacher.hint is not None:
        raise BadInput("teacher.hint: is how a net is trained; leave it out of the config of weights from elsewhere")
    points = points_of(teacher)
    classes = len(data.classes)
    judged = said_by(points, inputs, teacher.targets, classes)
    if teacher.targets == "hard":
        judge = loss
        said_in_steps = judged.unsqueeze(1).double()
    else:
        judge = kl_divergence
        said_in_steps = said_by(points, inputs, "soft", classes, teacher.temperature)
    if teacher.targets == "hard" and teacher.weight == 1:
        return Lesson(judged, loss, judged, loss)
    packed = torch.cat([said_in_steps, labels.unsqueeze(1).double()], dim=1)
    return Lesson(packed, _mixed(teacher, loss), judged, judge)


def points_of(teacher: Teacher) -> list[Point]:
    """The points that teach. Raises BadInput that names the one which is not there."""
    try:
        return [point_of(run) for run in teacher.runs]
    except BadInput as error:
        raise BadInput(f"teacher.run: {error}") from None


def said_by(points: Sequence[Point], inputs: Inputs, kind: Targets, classes: int, temperature: float = 1.0) -> Tensor:
    """What one net or an ensemble says of inputs [N, ...]: classes [N], or log-probabilities [N, C].

    An ensemble says the mean of its nets' probabilities at the temperature; its class is the largest of that mean.
    Raises BadInput where a net tells other classes apart.
    """
    said: list[Tensor] = []
    each: Targets = "soft" if len(points) > 1 else kind
    for at in points:
        said.append(relabelled(at, inputs, each, temperature=temperature))
        own = said[-1].shape[1] if each == "soft" else int(said[-1].max()) + 1
        if own > classes or (each == "soft" and own < classes):
            raise BadInput(f"teacher {at}: tells {own} classes apart, the data has {classes}")
    if len(said) == 1:
        return said[0]
    mean = torch.logsumexp(torch.stack(said), 0) - math.log(len(said))
    return mean.argmax(1) if kind == "hard" else mean


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
    teacher = experiment.teacher
    if teacher is None:
        return {}
    every = [point.settings() for point in points_of(teacher)]
    settings = every[0] if isinstance(teacher.run, str) else every
    check_unchanged(run, "teacher", settings, f"teacher: {', '.join(teacher.runs)}", overwrite)
    return {"teacher": settings}


def check_unchanged(run: Run, key: str, now: Any, what: str, overwrite: bool) -> None:
    """Raise BadInput where a run was begun with another checkpoint than there is now.

    key: of environment.json, that says which; what: it is, and where it lies.
    """
    if run.environment().get(key, now) != now and not overwrite:
        raise BadInput(
            f"{run.path} was begun with another {what} has been trained anew since; choose another --name, or "
            "--overwrite to delete that run"
        )
