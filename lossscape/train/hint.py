"""FitNets' first stage: a hidden layer of the student learns to say what a hidden layer of its teacher says.

Romero et al., arXiv:1412.6550, equation 3: ‖u(x) − r(v(x))‖² is minimised over the student up to its layer v and over a
regressor r, which is needed only because the layers differ in size. u is the teacher's layer, and stays. Here it is the
mean over the units of u, and not half the sum: the same minima. The checkpoints are the student's alone.
"""

from typing import Any

import torch
from torch import Tensor, nn

from lossscape.batches import Inputs, called
from lossscape.config import Teacher
from lossscape.data import Data
from lossscape.errors import BadInput, one_of
from lossscape.losses import mse
from lossscape.modules import MOST_LISTED
from lossscape.runs import point_of
from lossscape.seeds import derive
from lossscape.train.teacher import Lesson

CHUNK = 512
"""Samples that pass through the teacher at once."""


class _Reached(Exception):
    """Ends a forward pass at the layer that was asked for."""


def hidden(net: nn.Module, layer: str, *inputs: Any, **named: Any) -> Tensor:
    """What a layer of a net gives for its inputs [n, ...]; what comes behind it is not computed.

    Raises BadInput where the forward pass does not come to it, or it gives no tensor with a row for each sample.
    """
    found: list[Any] = []

    def reach(module: nn.Module, given: Any, output: Any) -> None:
        found.append(output)
        raise _Reached

    handle = net.get_submodule(layer).register_forward_hook(reach)
    try:
        net(*inputs, **named)
    except _Reached:
        pass
    finally:
        handle.remove()
    if not found or not isinstance(found[0], Tensor) or found[0].ndim < 2:
        what = "a forward pass does not come to it" if not found else "it gives no numbers for each sample"
        raise BadInput(f"teacher.hint: layer {layer}: {what}; name another")
    value: Tensor = found[0]
    return value


class _Layer(nn.Module):
    """A net up to one of its layers."""

    def __init__(self, net: nn.Module, layer: str) -> None:
        super().__init__()
        self.net, self.layer = net, layer

    def forward(self, *inputs: Any, **named: Any) -> Tensor:
        return hidden(self.net, self.layer, *inputs, **named)


class Hinted(_Layer):
    """The student up to its layer, and the regressor behind it."""

    def __init__(self, net: nn.Module, layer: str, regressor: nn.Module) -> None:
        super().__init__(net, layer)
        self.regressor = regressor

    def forward(self, *inputs: Any, **named: Any) -> Tensor:
        """[n, units of the teacher's layer]"""
        output: Tensor = self.regressor(super().forward(*inputs, **named))
        return output.flatten(1)


def net_of(model: nn.Module) -> nn.Module:
    """The net that is trained, without a regressor."""
    return model.net if isinstance(model, Hinted) else model


def regressor_of(student: torch.Size, teacher: torch.Size) -> nn.Module:
    """From a student's layer to a teacher's: shapes of one sample.

    Of maps, a convolution whose kernel leaves maps of the teacher's size (arXiv:1412.6550, section 2.2), where the
    student's are at least as large; else a linear layer between all units.
    """
    if len(student) == len(teacher) == 3 and all(a >= b for a, b in zip(student[1:], teacher[1:], strict=True)):
        height, width = (a - b + 1 for a, b in zip(student[1:], teacher[1:], strict=True))
        return nn.Conv2d(student[0], teacher[0], (height, width))
    return nn.Sequential(nn.Flatten(), nn.Linear(student.numel(), teacher.numel()))


def hinted(model: nn.Module, teacher: Teacher, data: Data, seed: int) -> tuple[Hinted, Lesson, list[nn.Module]]:
    """The student with its regressor, what it learns, and the modules behind the layer, which stay in eval mode.

    Parameters behind the layer are told to take no gradient. Raises BadInput where a layer is not there.
    """
    hint = teacher.hint
    assert hint is not None
    try:
        at = point_of(teacher.runs[0])
    except BadInput as error:
        raise BadInput(f"teacher.run: {error}") from None
    device = next(model.parameters()).device
    whole = at.run.model(at.checkpoint).to(device)
    teaching = _Layer(whole, _known(whole, hint.teacher_layer, "teacher_layer")).eval()
    few, was = data.train.inputs[:2], model.training
    with torch.no_grad():
        learning = _Layer(model, _known(model, hint.student_layer, "student_layer")).eval()
        try:
            of_teacher = called(teaching, few).shape[1:]
        except RuntimeError as error:
            why = f"{type(error).__name__}: {error}"
            raise BadInput(
                f"teacher.hint: {teacher.runs[0]} does not take these data: {why}; take another net"
            ) from error
        sizes = called(learning, few).shape[1:], of_teacher
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(derive(seed, "hint"))
        regressor = regressor_of(*sizes)
    student = Hinted(model, hint.student_layer, regressor.to(device))
    behind = _behind(student.eval(), few)
    student.train(was)
    said = [_said(teaching, part) for part in (data.train.inputs, data.test.inputs)]
    return student, Lesson(said[0], mse, said[0], mse, held_out=(mse, said[1])), behind


def _known(net: nn.Module, layer: str, key: str) -> str:
    """The name of a layer of a net. Raises BadInput for another."""
    names = [name for name, _ in net.named_modules() if name]
    if layer not in names:
        raise BadInput(one_of(f"teacher.hint.{key}: layer", layer, names[:MOST_LISTED]))
    return layer


def _said(teacher: nn.Module, inputs: Inputs) -> Tensor:
    with torch.no_grad():
        return torch.cat([called(teacher, part).float().flatten(1) for part in inputs.split(CHUNK)])


def _behind(student: Hinted, few: Inputs) -> list[nn.Module]:
    """The modules of the net that a pass to the layer does not call; their parameters are let go of."""
    reached: set[nn.Module] = set()
    handles = [
        module.register_forward_pre_hook(lambda module, given: reached.add(module)) for module in student.net.modules()
    ]
    try:
        called(student, few).sum().backward()
    finally:
        for handle in handles:
            handle.remove()
    for value in student.net.parameters():
        value.requires_grad_(value.grad is not None)
    student.zero_grad(set_to_none=True)
    if not any(value.requires_grad for value in student.net.parameters()):
        raise BadInput(f"teacher.hint.student_layer: {student.layer}: no layer up to it learns; name a later one")
    return [module for module in student.net.modules() if module not in reached]
