"""Training that begins with another net's values, and layers that keep the values they have."""

from pathlib import Path
from typing import Any

from torch import nn

from lossscape.config import Experiment, InitFrom
from lossscape.errors import BadInput
from lossscape.modules import layer_of, names_of
from lossscape.runs import Checkpoint, Run, check_finite, point_of, unfitting
from lossscape.train.teacher import check_unchanged
from lossscape.weights import SAFETENSORS

ORIGIN = "init_from"
"""The key of a config and of environment.json."""
WEIGHTS = (".pt", ".pth", ".bin", ".ckpt", SAFETENSORS)
"""How names of files of weights end."""


def origin_of(given: str) -> tuple[Checkpoint, dict[str, Any]]:
    """The checkpoint that `RUN[@CHECKPOINT]` or a file's name stands for, and what environment.json says of it.

    Raises BadInput.
    """
    file = Path(given)
    if not (file.is_file() or file.suffix in WEIGHTS):
        at = point_of(given)
        return at.checkpoint, at.settings()
    if not file.is_file():
        raise BadInput(f"{given}: no such file of weights")
    checkpoint = Checkpoint(file)
    return checkpoint, {"file": given, "sha256": checkpoint.sha256}


def begin_from(model: nn.Module, init: InitFrom) -> None:
    """Put the values of another net into the layers that `init` names, all by default.

    Raises BadInput that names the remedy where the origin is missing, or what is taken of it does not fit.
    """
    try:
        checkpoint, _ = origin_of(init.run)
        state = checkpoint.state()
    except BadInput as error:
        raise BadInput(f"{ORIGIN}.run: {error}") from None
    wanted = model.state_dict()
    names = list(wanted) if init.layers is None else names_of(wanted, init.layers, f"{ORIGIN}.layers")
    unlike = unfitting(wanted, state)
    wrong = [unlike.get(name, f"{name} is not there") for name in names if name in unlike or name not in state]
    if init.layers is None and not wrong:
        wrong = [f"{name} is not in the model" for name in state if name not in wanted]
    if wrong:
        bad = {layer_of(name) for name in wanted if name in unlike or name not in state}
        fitting = dict.fromkeys(layer_of(name) for name in names if layer_of(name) not in bad)
        remedy = f"take those that fit: {ORIGIN}.layers: [{', '.join(fitting)}]" if fitting else "take another net"
        raise BadInput(f"{ORIGIN}: {init.run}: {wrong[0]}; {remedy}")
    taken = {name: state[name] for name in names}
    check_finite(model, taken, str(checkpoint.path))
    model.load_state_dict(taken, strict=False)


def check_origin(run: Run, experiment: Experiment, *, overwrite: bool) -> tuple[dict[str, Any], str]:
    """What environment.json says of the origin: its checkpoint and that file's SHA-256; and a note for the user.

    A run that goes on needs no origin: all of it is in its own files. Raises BadInput where the origin is there and
    has changed since the run was begun.
    """
    init = experiment.init_from
    if init is None:
        return {}, ""
    try:
        _, settings = origin_of(init.run)
    except BadInput:
        before = run.environment().get(ORIGIN)
        if overwrite or not run.resume_file.exists() or not isinstance(before, dict):
            raise
        return {}, f"note: {init.run}, which this run began from (SHA-256 {before.get('sha256')!s:.12}…), is not here"
    check_unchanged(run, ORIGIN, settings, f"origin: {init.run}", overwrite)
    return {ORIGIN: settings}, ""


def freeze(model: nn.Module, patterns: list[str] | None) -> list[nn.Module]:
    """Let layers keep their values; returns those that have to stay in eval mode, so that statistics stay, too.

    patterns: of `modules.names_of`. Raises BadInput where one fits no layer, or nothing is left to be trained.
    """
    if not patterns:
        return []
    names = set(names_of(model.state_dict(), patterns, "training.frozen"))
    for name, value in model.named_parameters(remove_duplicate=False):  # tied ones by each of their names
        if name in names:
            value.requires_grad_(False)
    if not any(value.requires_grad for value in model.parameters()):
        raise BadInput("training.frozen: leaves nothing to be trained; leave a layer out")
    return [module for prefix, module in model.named_modules() if _all_within(module, prefix, names)]


def trained(model: nn.Module) -> list[nn.Parameter]:
    """The parameters that are not frozen."""
    return [value for value in model.parameters() if value.requires_grad]


def _all_within(module: nn.Module, prefix: str, names: set[str]) -> bool:
    """Whether a module holds values itself, all of them among the names of a state_dict."""
    lasting = {key: v for key, v in module._buffers.items() if key not in module._non_persistent_buffers_set}
    own = [f"{prefix}.{key}".lstrip(".") for key, v in (module._parameters | lasting).items() if v is not None]
    return bool(own) and names.issuperset(own)
