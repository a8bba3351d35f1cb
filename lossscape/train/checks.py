"""Whether a run can be trained: all of it is checked before anything is written."""

import copy
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from lossscape import data, losses, manifest, models, schedules, usercode, yamlfile
from lossscape.batches import called, changed
from lossscape.config import Experiment, RunConfig
from lossscape.errors import BadInput, RunFailed
from lossscape.files import check_writable
from lossscape.losses import OF_CLASSES, Loss, plain, smooth
from lossscape.metrics import of_classes
from lossscape.modules import copied
from lossscape.objective import Objective
from lossscape.optimizers import CONVERGED, STUCK
from lossscape.outputs import logits_of
from lossscape.runfiles import CODE, files_of_point
from lossscape.runs import Run
from lossscape.text import counted
from lossscape.train.loop import Setup
from lossscape.train.state import STOPPED_EARLY

FINISHED = "finished"
"""State of a run with nothing left to train."""
INTERRUPTED = "interrupted"
"""State of a run that was stopped, by a signal or at an epoch that was asked for, with all that it needs to go on."""
ADOPTED = "adopted"
"""State of a run whose weights were trained elsewhere, and what environment.json calls their list."""
DATA_FILE = "recorded.pt"
"""The data of a run that was recorded with tensors."""
STEPS_COMPARED, MOST_COMPARED = 32, 20_000
"""Steps of an epoch, and of all epochs, at which schedules of two lengths are compared."""


def holds_run(run: Run) -> bool:
    """Whether there is a run in a folder. Raises BadInput where it holds something else or cannot be written."""
    check_writable(run.path)
    if run.config_file.exists():
        return True
    left = (".lock", ".part", DATA_FILE, manifest.NAME)  # of a process that was killed at once
    if run.path.exists() and any(not entry.name.endswith(left) for entry in run.path.iterdir()):
        raise BadInput(f"{run.path} exists and is no run: choose another --name")
    return False


def check_folder(run: Run, experiment: Experiment, overwrite: bool) -> None:
    """Raise BadInput where the run's folder holds another experiment, something else, or cannot be written."""
    if not holds_run(run):
        return
    if overwrite:
        check_apart(run, experiment)
        return
    if ADOPTED in run.environment():
        raise BadInput(
            f"{run.path} was adopted or recorded, not trained: choose another --name, or --overwrite to delete it"
        )
    before = Run(run.path).config  # read anew: another process may have written it
    different = differences(before.resolved(run.path), experiment.resolved(run.path))
    old, new = before.training, experiment.training
    if len(different) == 1 and old is not None and new.epochs > old.epochs:
        check_extension(run, old.epochs, experiment)
    else:
        refuse_different(run, different)


def check_apart(run: Run, experiment: Experiment) -> None:
    """Raise BadInput where a run that is to be deleted is one that it learns or begins from: a kill would lose it."""
    for key, point in experiment.points():
        if files_of_point(point)[0].resolve().is_relative_to(run.path.resolve()):
            raise BadInput(f"--overwrite would delete {point}, which {key} names: choose another --name")


def is_done(run: Run, experiment: Experiment, until: int | None = None) -> bool:
    """Whether a run has nothing left to train for this very experiment, or up to an epoch, by its small files."""
    state = run.state()
    epoch = int(state.get("epoch", 0))
    if state.get("state") == FINISHED:  # not where it stopped early, or was killed when more had been asked for
        there = epoch >= experiment.training.epochs and run.epoch_file(epoch).exists()
    else:
        there = until is not None and epoch >= until and state.get("state") == INTERRUPTED
    try:
        text = yamlfile.dump(experiment.resolved(run.path)).encode() if there and run.resume_file.exists() else b""
        return bool(text) and manifest.read_bytes(run.config_file) == text
    except OSError:
        return False


def refuse_different(run: Run, different: list[str]) -> None:
    """Raise BadInput where the config of a run that exists has `differences`."""
    if different:
        raise BadInput(
            f"{run.path} was made with another config ({'; '.join(different[:4])}): choose another --name, or "
            "--overwrite to delete that run"
        )


def check_code(run: Run, config: RunConfig) -> None:
    """Raise BadInput where the user's code is not what the run was begun with, as far as that was noted."""
    before, now = run.environment().get(CODE), config.code_digests()
    for section, codes in config.code().items():
        if isinstance(before, dict) and before.get(section, now[section]) != now[section]:
            files = " or ".join(str(file or usercode.parts(name)[0]) for name, file in codes)
            raise BadInput(
                f"{run.path} was begun before {files} changed, where its {section} is from: put back what it was to go "
                "on, choose another --name, or give --overwrite to delete that run"
            )


def check_data(run: Run, facts: Mapping[str, Any]) -> None:
    """Raise BadInput where the data are not those that the run was begun with. facts: of the data as they are now."""
    before, now = (run.environment().get("data") or {}).get("sha256"), facts["sha256"]
    if before not in (None, now):
        raise BadInput(
            f"{run.path} was begun on other data than dataset {facts['name']} has now (SHA-256 {before!s:.12}…, now "
            f"{now!s:.12}…): put back what they were to go on, choose another --name, or give --overwrite to delete "
            "that run"
        )


def check_extension(run: Run, before: int, experiment: Experiment) -> None:
    """Raise BadInput where more epochs than `before` would not give the run that they give from the beginning."""
    epochs = experiment.training.epochs
    remedy = f"train {counted(epochs, 'epoch')} under another --name"
    ended = str(run.state().get("message"))
    if ended.startswith((CONVERGED, STUCK)):
        raise BadInput(
            f"{run.path} ended after epoch {run.state().get('epoch')}: {ended}. More epochs than {before} change "
            "nothing in it: train with a smaller optimizer.tolerance under another --name"
        )
    if ended == STOPPED_EARLY:
        raise BadInput(
            f"{run.path} stopped early after epoch {run.state().get('epoch')} (training.early_stopping), so more "
            f"epochs than {before} change nothing in it: {remedy} with more patience"
        )
    steps = before * STEPS_COMPARED
    for step in range(0, steps, max(1, steps // MOST_COMPARED)):
        old, new = (_factor(experiment, step, STEPS_COMPARED, length) for length in (before, epochs))
        if old != new:
            raise BadInput(
                f"{run.path} was made for {before} epochs, and schedule {experiment.schedule.name} depends on "
                f"their number (at epoch {step / STEPS_COMPARED:g} its factor was {old:g}, of {epochs} epochs it is "
                f"{new:g}): {remedy}, or --overwrite to delete that run"
            )


def differences(old: dict[str, Any], new: dict[str, Any], prefix: str = "") -> list[str]:
    """What differs between two resolved configs, as `key: old, now new`."""
    found = []
    for key in dict.fromkeys([*old, *new]):
        a, b = old.get(key), new.get(key)
        if isinstance(a, dict) and isinstance(b, dict):
            found += differences(a, b, f"{prefix}{key}.")
        elif a != b:
            found.append(f"{prefix}{key}: {a}, now {b}")
    return found


def check_outputs(model: nn.Module, loss: Loss, config: RunConfig, loaded: data.Data) -> None:
    """Raise BadInput where model and loss do not give one output per class or number, and one loss per sample."""
    smoothing, classes = config.loss.label_smoothing, len(loaded.classes)
    measured = of_classes(config.metric_functions() or {})
    needed = ["the loss"] * (plain(loss) in OF_CLASSES) + measured
    if needed and not classes:
        raise BadInput(
            f"{needed[0]} is of classes, and the targets of {config.dataset.name} are numbers: take mse, mae"
        )
    one_class = classes and loaded.train.targets.ndim == 1
    if smoothing and not one_class:
        raise BadInput("loss.label_smoothing: the data has no class for each sample to smooth; leave it out")
    outputs = models.summarise(model, loaded.train.inputs).outputs if one_class and config.output is None else ()
    if not outputs:  # no tensor, in which the logits have to be found; or not one number for each class
        _check_pass(model, loss, config, loaded)
    elif outputs != (classes,):
        raise BadInput(
            f"the model gives outputs of shape {['N', *outputs]}; "
            f"the data has {classes} classes, so [N, {classes}] is needed"
        )
    else:
        targets = loaded.train.targets[:2]
        _check_loss(loss, smooth(targets, classes, smoothing) if smoothing else targets, classes)


def check_training(model: nn.Module, config: RunConfig, loaded: data.Data) -> None:
    """Raise BadInput where nothing of a model learns, or two samples cannot pass through it in training mode."""
    if not any(value.requires_grad for value in model.parameters()):
        raise BadInput("the model has no parameter with requires_grad, so there is nothing to train")
    few = loaded.train.inputs[:2]
    if len(few) < 2:
        return  # which BatchNorm may not take, and says so below
    with torch.no_grad(), torch.random.fork_rng(devices=[]), usercode.blamed("the model fails in training mode:"):
        given = called(copied(model).train(), changed(few, torch.clone))
        logits_of(given, len(few), config.output)


def _check_loss(loss: Loss, targets: Tensor, classes: int) -> None:
    """Raise BadInput where a loss of classes does not give each sample a number with a gradient."""
    zeros = torch.zeros(len(targets), classes, device=targets.device, requires_grad=True)
    with usercode.blamed(f"the loss fails on outputs {list(zeros.shape)} and targets {list(targets.shape)}:"):
        value = loss(zeros, targets)
        shape, has_gradient = tuple(value.shape), value.requires_grad
    if shape != (len(targets),):
        raise BadInput(f"the loss gives shape {list(shape)} for {len(targets)} samples; one loss each is needed")
    if not has_gradient:
        raise BadInput("the loss has no gradient: it must be computed from the outputs by torch's functions")


def _check_pass(model: nn.Module, loss: Loss, config: RunConfig, loaded: data.Data) -> None:
    """Raise BadInput where two samples cannot pass through model and loss."""
    inputs, targets = loaded.train
    Objective(
        model,
        losses.over(loss, losses.positions(loss, targets)),
        inputs[:2],
        targets[:2],
        metrics=config.metric_functions(),
        output=config.output,
    ).metrics()


def check_batches(setup: Setup, model: nn.Module) -> None:
    """Raise BadInput where BatchNorm would be given one value per channel, of which it has no variance."""
    if not models.has_batch_norm(model) or smallest_part(setup) > 1:
        return
    try:
        called(copy.deepcopy(model).to("meta").train(), setup.data.train.inputs[:1].to("meta"))
    except ValueError as error:
        if "more than 1 value per channel" in str(error):
            raise BadInput(
                f"BatchNorm cannot train on a single sample, and {len(setup.data.train):,} training samples in "
                f"steps of {setup.step_size:,} leave one alone; change training.batch_size or dataset.train_size"
            ) from error
    except Exception:  # a forward that looks at its numbers cannot run without any
        return


def smallest_part(setup: Setup) -> int:
    """The fewest samples that pass through the net at once in any training step."""
    samples, processes = len(setup.data.train), setup.world.size
    steps = {min(setup.step_size, samples), samples % setup.step_size} - {0}
    shares = {max(size // processes, 1) for size in steps} | {-(-size // processes) for size in steps}
    return min({min(setup.micro_batch, share) for share in shares} | {s % setup.micro_batch for s in shares} - {0})


def check_session(setup: Setup) -> None:
    """Raise BadInput where early stopping watches what is not measured, or the schedule fails at the first step."""
    stopping = setup.experiment.training.early_stopping
    if stopping is not None and stopping.metric not in setup.columns:
        raise BadInput(
            f"training.early_stopping.metric: {stopping.metric} is not measured; take {' or '.join(setup.columns)}"
        )
    _factor(setup.experiment, 0, setup.steps_per_epoch, setup.experiment.training.epochs)


def _factor(experiment: Experiment, step: int, steps_per_epoch: int, epochs: int) -> float:
    """The schedule's factor. Raises BadInput where the schedule fails."""
    try:
        return schedules.factor(experiment.schedule, step, steps_per_epoch, epochs)
    except RunFailed as error:
        raise BadInput(str(error)) from error
