"""Start, continue or refuse a run."""

import contextlib
import dataclasses
from collections.abc import Callable
from itertools import chain
from pathlib import Path
from typing import Any

import torch
from torch import nn

from lossscape import data, devices, losses, manifest, models, optimizers, trust, yamlfile
from lossscape.batches import Inputs
from lossscape.config import Experiment
from lossscape.data import Split
from lossscape.errors import BadInput, RunFailed
from lossscape.files import clear, held, read_rows, remove, sweep, write_text
from lossscape.modules import copied, habits_of, has_convolutions
from lossscape.objective import cache_chunk
from lossscape.progress import Progress
from lossscape.runs import Run, metrics_columns
from lossscape.signals import Interrupted, stop_on_signals
from lossscape.text import counted
from lossscape.train import parallel
from lossscape.train.checks import (
    FINISHED,
    INTERRUPTED,
    check_batches,
    check_code,
    check_data,
    check_folder,
    check_outputs,
    check_session,
    check_training,
    is_done,
)
from lossscape.train.dense import agrees
from lossscape.train.environment import code_facts, record
from lossscape.train.hint import hinted, net_of
from lossscape.train.loop import Setup, run_epochs
from lossscape.train.objectives import objectives_of
from lossscape.train.origin import begin_from, check_origin, freeze, trained
from lossscape.train.products import TORCH, products_here
from lossscape.train.state import State, average_of, is_finished, load_resume, open_metrics, say_state
from lossscape.train.teacher import check_teacher, lesson_of
from lossscape.train.threads import threads_of, torch_threads
from lossscape.train.watch import Watch, summary_writer
from lossscape.train.whole import TrainingLoss, check_whole


def train(
    experiment: Experiment,
    folder: str | Path = "runs",
    *,
    overwrite: bool = False,
    quiet: bool = True,
    tensorboard: bool = False,
    until: int | None = None,
    loaded: data.Data | None = None,
    told: Callable[[int], None] = lambda epochs: None,
) -> Run:
    """Train the experiment in `folder`/name and return its run; one that exists is continued or, done, left alone.

    until: the epoch after which to stop, as an interruption would: a later call continues to the same bits; loaded: its
    data set, where that is at hand; told: is given 1 after every epoch. Raises
    BadInput (nothing was changed), RunFailed (a non-finite loss; everything before it is kept) or Interrupted (SIGINT
    or SIGTERM; the step was finished and saved).
    """
    run = Run(Path(folder) / experiment.name)
    device = devices.pick(experiment.device)
    writer = summary_writer() if tensorboard else None
    with parallel.world(device.type) as world:
        if device.type == "cuda" and world.size > 1:
            device = devices.pick(f"cuda:{world.local_rank}")
        check_folder(run, experiment, overwrite)
        alone = world.size == 1  # of several, each would hold the folder, and one might see another's hold as a change
        if alone and not overwrite and is_done(run, experiment, until) and manifest.is_as_written(run.resume_file):
            with held(run.path, "training"):
                trust.remember(chain(*experiment.code().values()))
                sweep(run.path / "checkpoints")
            return run  # without its data, which take their time
        setup, state = prepare(experiment, run, device, world, until, loaded, overwrite=overwrite)
        with torch_threads(threads_of(setup, state, anew=overwrite)):
            if not world.writes:
                return train_as_replica(setup, state)
            with held(run.path, "training"):
                check_folder(run, experiment, overwrite)  # again: loading the data took its time
                return train_as_writer(setup, state, overwrite=overwrite, quiet=quiet, writer=writer, told=told)


def prepare(
    experiment: Experiment,
    run: Run,
    device: torch.device,
    world: parallel.World,
    until: int | None = None,
    loaded: data.Data | None = None,
    *,
    overwrite: bool = False,
) -> tuple[Setup, State]:
    """Load the data and build model, loss and optimizer. Raises BadInput where they do not fit together.

    overwrite: whether a run that is there is to be deleted, and not continued from its own values.
    """
    loaded = data.load(experiment.dataset, device) if loaded is None else loaded
    model = models.build(experiment.model, loaded.shape, loaded.outputs, experiment.seed)
    if experiment.init_from is not None and (overwrite or not run.resume_file.exists()):
        begin_from(model, experiment.init_from)
    model = model.to(device)
    few = loaded.train.inputs[:2]
    last = all(habits_of(copied(model).train(mode), few).channels_last for mode in (False, True))
    if last:
        model = model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    loss = losses.FAMILY.bound(experiment.loss)
    check_outputs(model, loss, experiment, loaded)
    check_training(model, experiment, loaded)
    held = freeze(model, experiment.training.frozen)
    net = model
    hint = experiment.teacher is not None and experiment.teacher.hint is not None
    if experiment.teacher is not None and hint:
        model, lesson, behind = hinted(net, experiment.teacher, loaded, experiment.seed)
        held += behind
    else:
        lesson = lesson_of(experiment.teacher, loaded, loss)
    some = hint or experiment.training.frozen
    optimizer = optimizers.build(experiment.optimizer, trained(model) if some else model.parameters())
    for group in optimizer.param_groups:
        group["initial_lr"] = group["lr"]
    averaged = average_of(model, experiment.training.ema)
    state = State(model, optimizer, averaged, products=products_here(device))
    setup = Setup(
        experiment=experiment,
        run=run,
        data=dataclasses.replace(loaded, train=Split(loaded.train.inputs, lesson.targets)),
        module=parallel.replicate(model, world),
        loss=lesson.loss,
        objectives=objectives_of(model, experiment, loaded, loss, lesson, world),
        device=device,
        world=world,
        channels_last=last and device.type == "cpu",
        micro_batch=micro_batch(experiment, net, loaded.train.inputs),
        held=held,
        output=None if lesson.held_out else experiment.output,
        until=until,
    )
    if isinstance(optimizer, optimizers.FullBatch):
        check_whole(setup, model)
        whole = TrainingLoss(setup, model)
        setup, state.asked = dataclasses.replace(setup, whole=whole), optimizers.Counted(whole)
    check_batches(setup, net)
    check_session(setup)
    return setup, state


def micro_batch(experiment: Experiment, model: nn.Module, inputs: Inputs) -> int:
    """Samples that pass through the net at once in a training step.

    The whole batch, except for convolutional nets on the CPU, which run faster on as many samples as stay in the
    cache; with BatchNorm the batch is part of the model and stays whole.
    """
    training, batch = experiment.training, experiment.training.batch(len(inputs))
    if training.micro_batch is not None:
        return min(training.micro_batch, batch)
    if inputs.device.type != "cpu" or models.has_batch_norm(model) or not has_convolutions(model):
        return batch
    return min(cache_chunk(model, inputs), batch)


def train_as_writer(
    setup: Setup,
    state: State,
    *,
    overwrite: bool,
    quiet: bool,
    writer: Any,
    told: Callable[[int], None] = lambda epochs: None,
) -> Run:
    """Train as the process that writes. writer: TensorBoard's SummaryWriter, the class, or None."""
    run, experiment = setup.run, setup.experiment
    others = check_teacher(run, experiment, overwrite=overwrite)
    origin, note = check_origin(run, experiment, overwrite=overwrite)
    trust.remember(chain(*experiment.code().values()))
    if overwrite:
        empty(run)
    sweep(run.path / "checkpoints")
    if begin_or_continue(setup, state):
        if run.state().get("state") != FINISHED:  # killed when only this was left to be said
            say_state(run, FINISHED, state)
        return run
    read_rows(run.metrics_file, metrics_columns(setup.columns, state.cost))  # refused, it leaves all as it is
    progress = begin(setup, state, others | origin, quiet)
    if note:
        progress.announce(note)
    log = open_metrics(run, state, setup.columns)
    if state.step and not (log.rows and int(log.rows[-1]["epoch"]) == state.epoch):
        progress.announce(f"note: {run.metrics_file} has lost its rows up to epoch {state.epoch}")
    board = writer(str(run.tensorboard_folder)) if writer is not None else None
    try:
        with stop_on_signals() as stop, progress:
            run_epochs(setup, state, log, Watch(progress, board, told), stop)
        say_state(run, FINISHED if is_finished(experiment, state) else INTERRUPTED, state)
    except Interrupted:
        say_state(run, INTERRUPTED, state)
        raise
    except Exception as error:  # of the user's code too
        with contextlib.suppress(OSError):  # the disk may be what failed
            known = isinstance(error, RunFailed | OSError)
            say_state(run, "failed", state, str(error) if known else f"{type(error).__name__}: {error}")
        raise
    finally:
        log.close()
        if board is not None:
            board.close()
    return run


def train_as_replica(setup: Setup, state: State) -> Run:
    """Train as one of the other processes of a data parallel run, which write nothing."""
    if not begin_or_continue(setup, state):
        with stop_on_signals() as stop:
            run_epochs(setup, state, None, Watch(None), stop)
    return setup.run


def begin_or_continue(setup: Setup, state: State) -> bool:
    """Load what an earlier session left, in every process; returns whether the run is finished.

    Raises BadInput where there is something to continue, and the user's code or the data have changed since.
    """
    setup.world.wait()  # the writing process may have had something to delete
    exists = setup.run.resume_file.exists()
    if exists:
        load_resume(setup.run, state)
        if setup.whole is not None:  # made of a model that had not the values of the origin, which are not asked for
            setup.whole.hold(state.model)
    setup.world.wait()
    finished = exists and is_finished(setup.experiment, state)
    if not finished:
        check_code(setup.run, setup.experiment)
        if exists:
            check_data(setup.run, setup.data.facts)
        elif state.products not in setup.dense or not agrees(setup, setup.dense[state.products]):
            state.products = TORCH  # for good: trained weights may be judged otherwise
    if finished and not setup.run.epoch_file(state.epoch).exists():
        raise BadInput(f"{setup.run.path} is finished but lacks its last checkpoint: train anew with --overwrite")
    return finished


def empty(run: Run, keeping: tuple[str, ...] = ()) -> None:
    """Delete a run, except the lock that this process holds and the files that are named.

    First what says that there is something to continue, last what says that it is a run: killed in between, it
    can be deleted again and is never taken for finished.
    """
    remove(run.resume_file)
    clear(run.path, keeping=(run.config_file.name, *keeping))
    remove(run.config_file)


def begin(setup: Setup, state: State, others: dict[str, Any], quiet: bool) -> Progress:
    """Write what is trained and where, say it, and make the progress display.

    others: what environment.json says of the nets that it learns from.
    """
    run, experiment = setup.run, setup.experiment
    summary = models.summarise(net_of(state.model), setup.data.train.inputs)
    write_text(run.config_file, yamlfile.dump(experiment.resolved(run.path)))
    facts = {"seed": experiment.seed, "model": dataclasses.asdict(summary), "data": setup.data.facts}
    facts |= code_facts(experiment)
    facts |= {"micro_batch": setup.micro_batch, "processes": setup.world.size, **others}
    if state.products in setup.dense and state.products != TORCH:
        facts["products"] = state.products
    record(run, setup.device, facts)
    say_state(run, "running", state)
    samples = len(setup.data.train)
    total = experiment.training.epochs * samples
    threads = torch.get_num_threads()
    progress = Progress(run.name, total, "samples", done=min(state.step * setup.step_size, total), quiet=quiet)
    progress.announce(
        f"{run.path}: {experiment.dataset.name} ({samples:,} train, {len(setup.data.test):,} test), "
        f"{experiment.model.name} ({summary.parameters:,} parameters, {counted(summary.layers, 'layer')}, "
        f"{summary.multiply_adds:,} multiply-adds a sample), {experiment.optimizer.name}, "
        f"{devices.name_of(setup.device)}, {experiment.precision}, {counted(threads, 'thread')}"
    )
    if experiment.training.frozen:
        parts = [value.numel() for value in state.model.parameters() if not value.requires_grad]
        progress.announce(f"{sum(parts):,} parameters keep their values (training.frozen)")
    if state.step:
        progress.announce(f"continuing after epoch {state.epoch}, step {state.step}")
    if state.products != TORCH and state.products not in setup.dense:
        progress.announce(
            f"note: {run.path} began with products of matrices by {state.products}, which torch {torch.__version__} "
            "does not make here: it goes on with torch's own, whose last digits are others"
        )
    if experiment.precision == "bf16" and not devices.fast_bf16(setup.device.type):
        progress.announce("note: this device has no bf16 arithmetic; it is emulated and slower than fp32")
    return progress
