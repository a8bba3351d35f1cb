"""The training loop, whole on one page: forward, backward, clip, schedule, step, evaluate, keep."""

import math
import shlex
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from dataclasses import dataclass
from functools import cached_property
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn.utils import clip_grad_value_, clip_grads_with_norm_

from lossscape import losses, schedules
from lossscape.batches import Inputs, called
from lossscape.config import Experiment
from lossscape.data import Data
from lossscape.data.augment import augment
from lossscape.errors import RunFailed
from lossscape.files import CsvLog
from lossscape.losses import Loss, smooth
from lossscape.modules import laid_out
from lossscape.objective import Objective
from lossscape.optimizers import Counted, Lookahead, bare_step
from lossscape.outputs import logits_of
from lossscape.runs import Run
from lossscape.seeds import derive, generator, seed_device
from lossscape.signals import Interrupted, StopRequest
from lossscape.train.dense import Dense, dense_of
from lossscape.train.objectives import by_onednn, columns_of
from lossscape.train.parallel import World, unsynchronised
from lossscape.train.products import ONEDNN
from lossscape.train.state import State, is_finished, save_average, save_checkpoint, save_resume
from lossscape.train.watch import Watch
from lossscape.train.whole import TrainingLoss


@dataclass(frozen=True)
class Setup:
    """What stays fixed while a run trains."""

    experiment: Experiment
    run: Run
    data: Data
    module: nn.Module
    """What is called in training steps: the model, or its data-parallel replica."""
    loss: Loss
    objectives: dict[str, Objective]
    """Train and test split (this process's share), for the metrics of an epoch."""
    device: torch.device
    world: World
    channels_last: bool
    """Of inputs, where they are pictures."""
    micro_batch: int
    held: list[nn.Module]
    """Modules that stay in eval mode, so that their statistics stay as they are."""
    output: str | None
    """Which of the outputs are the logits, where that is not plain."""
    whole: TrainingLoss | None = None
    """What a full-batch method descends; None for other methods."""
    until: int | None = None
    """Epoch after which this session ends; a later one continues."""

    @property
    def columns(self) -> list[str]:
        """What is measured after an epoch."""
        return columns_of(self.objectives)

    @cached_property
    def dense(self) -> dict[str, Dense]:
        """The passes of plain MLPs in place of autograd's, by what makes their products."""
        return dense_of(self)

    @cached_property
    def draws(self) -> bool:
        """Whether a step may draw from the device's own generator: of plain MLPs only the user's code may."""
        return not self.dense or bool(self.experiment.code())

    @cached_property
    def by_onednn(self) -> dict[str, Objective]:
        """The objectives of a run whose products oneDNN makes here, in its steps and between them."""
        return {split: by_onednn(each) for split, each in self.objectives.items()}

    @cached_property
    def schedule(self) -> Callable[..., float]:
        """The schedule with its options."""
        return schedules.FAMILY.bound(self.experiment.schedule)

    @cached_property
    def step_size(self) -> int:
        """Samples of one optimizer step, over all processes."""
        training = self.experiment.training
        return training.batch(len(self.data.train)) * training.accumulate

    @cached_property
    def steps_per_epoch(self) -> int:
        """Steps of an epoch, a shorter last one included."""
        return math.ceil(len(self.data.train) / self.step_size)


def run_epochs(setup: Setup, state: State, log: CsvLog | None, watch: Watch, stop: StopRequest) -> None:
    """Train from where `state` stands to the end, or to the epoch that the setup says.

    Raises Interrupted on a signal, RunFailed on a non-finite loss.
    """
    clock = Clock(state)
    if setup.whole is not None:
        setup.whole.done = lambda samples: within_step(setup, state, watch, stop)
    if state.epoch == 0 and state.step == 0 and not setup.run.resume_file.exists():
        finish_epoch(setup, state, log, watch, clock)
    while not is_finished(setup.experiment, state) and (setup.until is None or state.epoch < setup.until):
        begin_epoch(setup, state)
        for batch in remaining_batches(setup, state):
            with suppress(BrokenOff):  # it has changed nothing, and is taken again
                take_step(setup, state, batch)
                watch.step(setup, state, len(batch))
            number = setup.world.agree(stop.number)
            if number is not None:
                check_finite(setup, state)
                clock.stop()
                if setup.world.writes:
                    save_resume(setup.run, state)
                raise Interrupted(number, f"lossscape train {shlex.quote(str(setup.run.config_file))} --resume")
        check_finite(setup, state)
        state.epoch += 1
        finish_epoch(setup, state, log, watch, clock)


def begin_epoch(setup: Setup, state: State) -> None:
    """Make room for the epoch's losses, unless it is continued in its middle."""
    setup.module.train()
    for module in setup.held:
        module.training = False
    if len(state.losses) != setup.steps_per_epoch or state.step == state.epoch * setup.steps_per_epoch:
        state.losses = torch.zeros(setup.steps_per_epoch)
        state.norms = torch.zeros(setup.steps_per_epoch)
    state.losses, state.norms = state.losses.to(setup.device), state.norms.to(setup.device)


def remaining_batches(setup: Setup, state: State) -> Iterator[Tensor]:
    """Indices of the samples of each step that the epoch still has, in an order drawn from the seed."""
    samples = len(setup.data.train)
    order = torch.randperm(samples, generator=generator(setup.experiment.seed, "shuffle", state.epoch))
    done = state.step - state.epoch * setup.steps_per_epoch
    yield from order.to(setup.device).split(setup.step_size)[done:]


def take_step(setup: Setup, state: State, batch: Tensor) -> None:
    """One optimizer step on a batch of sample indices."""
    training, seed = setup.experiment.training, setup.experiment.seed
    if setup.draws:
        seed_device(setup.device, derive(seed, "dropout", state.step, setup.world.rank))
    spec, epochs = setup.experiment.schedule, training.epochs
    schedule = schedules.factor(spec, state.step, setup.steps_per_epoch, epochs, setup.schedule)
    for group in state.optimizer.param_groups:
        group["lr"] = group["initial_lr"] * schedule

    loss, norm = (descend if setup.whole is None else descend_whole)(setup, state, batch)
    if state.averaged is not None:
        state.averaged.update_parameters(state.model)

    index = state.step % setup.steps_per_epoch
    state.losses[index], state.norms[index] = loss, norm
    state.step += 1
    every = training.checkpoint_every_steps
    keep = every is not None and state.step % every == 0
    wrong = setup.device.type == "cpu" and not math.isfinite(loss.item())
    if wrong or keep:  # on CUDA looking at a number waits for the device: once an epoch
        check_finite(setup, state)
    if keep and setup.world.writes:
        save_checkpoint(setup.run.step_file(state.step), state)


def descend(setup: Setup, state: State, batch: Tensor) -> tuple[Tensor, Tensor]:
    """The optimizer's step from the gradient of a batch; returns loss and gradient norm before it."""
    training = setup.experiment.training
    if isinstance(state.optimizer, Lookahead):
        state.optimizer.look_ahead()
    loss = backward(setup, state, batch)

    norm = total_norm([p.grad for p in state.parameters if p.grad is not None])
    if training.clip_norm is not None:
        clip_grads_with_norm_(state.parameters, training.clip_norm, norm)
    if training.clip_value is not None:
        clip_grad_value_(state.parameters, training.clip_value)
    with optimizing(setup, state):
        bare_step(state.optimizer)
    for parameter in state.parameters:
        parameter.grad = None
    return loss, norm


def total_norm(gradients: list[Tensor]) -> Tensor:
    """The norm of all gradients together: torch's `get_total_norm`, and its bits, for tensors of one device.

    Sorting them by device and type would take longer than the norm of a small net's. 0 where there are none.
    """
    if not gradients:
        return torch.zeros(())
    return torch.linalg.vector_norm(torch.stack(torch._foreach_norm(gradients)))


def descend_whole(setup: Setup, state: State, batch: Tensor) -> tuple[Tensor, Tensor]:
    """The same for a full-batch method, which evaluates the whole training split, at points of its own choice."""
    asked = cast(Counted, state.asked)
    before = asked.counts
    try:
        with optimizing(setup, state):
            start = state.full_batch.step(asked)
    except BrokenOff:
        state.asked = Counted(asked.function, **before)
        raise
    return torch.tensor(start.value), start.gradient.norm()


@contextmanager
def optimizing(setup: Setup, state: State) -> Iterator[None]:
    """A context in which an optimizer that fails is RunFailed: say by a learning rate that float32 cannot hold."""
    try:
        yield
    except (ArithmeticError, RuntimeError) as error:
        raise RunFailed(
            f"optimizer {setup.experiment.optimizer.name!r} failed in step {state.step + 1} (learning rate "
            f"{state.optimizer.param_groups[0]['lr']:g}): {error}"
        ) from error


class BrokenOff(Exception):
    """A signal came within the step of a full-batch method, which may take long."""


def within_step(setup: Setup, state: State, watch: Watch, stop: StopRequest) -> None:
    """After each pass of a full-batch method through the net. Raises BrokenOff on a signal."""
    if stop.number is not None:
        raise BrokenOff
    watch.within(setup, state)


def backward(setup: Setup, state: State, batch: Tensor) -> Tensor:
    """Leave the gradient of the batch's mean loss in the parameters; returns that loss.

    The batch goes through the net in micro-batches, whose gradients add up to the same mean.
    """
    mine = setup.world.share(batch)
    weight = setup.world.size / len(batch)  # data parallel averages the gradients of the processes
    if len(mine) == 0:  # fewer samples than processes: take part, with weight 0
        mine, weight = batch[:1], 0.0
    inputs = setup.data.train.inputs.index_select(0, mine)
    targets = setup.data.train.targets.index_select(0, mine)
    options = setup.experiment.dataset.augment
    if options != "none" and isinstance(inputs, Tensor):
        draws = generator(setup.experiment.seed, "augment", state.step, setup.world.rank, device=setup.device)
        inputs = augment(inputs, options, draws)
    whole = len(mine) <= setup.micro_batch
    dense = setup.dense.get(state.products) if whole else None
    if dense is not None and isinstance(inputs, Tensor):
        return setup.world.mean(dense.backward(inputs, targets, weight))
    of_batch = losses.over(setup.loss, losses.positions(setup.loss, targets))  # the same in all micro-batches
    if setup.experiment.loss.label_smoothing:
        targets = smooth(targets, setup.data.outputs, setup.experiment.loss.label_smoothing)
    if isinstance(inputs, Tensor):
        inputs = laid_out(inputs, setup.channels_last)

    if whole:
        total = backward_part(setup, of_batch, (inputs, targets), weight)
    else:
        total = torch.zeros((), device=setup.device)
        parts = list(zip(inputs.split(setup.micro_batch), targets.split(setup.micro_batch), strict=True))
        for index, part in enumerate(parts):
            with unsynchronised(setup.module, index < len(parts) - 1):
                total += backward_part(setup, of_batch, part, weight)
    return setup.world.mean(total)


def backward_part(setup: Setup, loss: Loss, part: tuple[Inputs, Tensor], weight: float) -> Tensor:
    """Add the gradient of `weight` times the sum of the losses of a part of a batch; returns what it is the one of."""
    inputs, targets = part
    with mixed(setup):
        outputs = logits_of(called(setup.module, inputs), len(inputs), setup.output)
    summed = loss(outputs.float(), targets).sum()
    summed.backward(torch.full_like(summed, weight))  # which spares a node of the graph
    return summed.detach() * weight


def mixed(setup: Setup) -> AbstractContextManager[object]:
    """A context of mixed precision where the run asks for it; one that does nothing takes its time too."""
    if setup.experiment.precision != "bf16":
        return nullcontext()
    return torch.autocast(setup.device.type, torch.bfloat16)


def check_finite(setup: Setup, state: State) -> None:
    """Raise RunFailed that says where the first non-finite loss of the epoch came up."""
    done = state.step - state.epoch * setup.steps_per_epoch
    if setup.device.type == "cpu" and done:  # the steps before were looked at when they were done
        if math.isfinite(state.losses[done - 1].item()):
            return
    elif bool(torch.isfinite(state.losses[:done]).all()):
        return
    index = int(torch.nonzero(~torch.isfinite(state.losses[:done]))[0])
    step = state.epoch * setup.steps_per_epoch + index
    rate = state.optimizer.param_groups[0]["initial_lr"] * schedules.factor(
        setup.experiment.schedule, step, setup.steps_per_epoch, setup.experiment.training.epochs
    )
    raise RunFailed(
        f"the loss is {float(state.losses[index])} in epoch {state.epoch + 1}, step {step + 1} "
        f"(learning rate {rate:g}, gradient norm {float(state.norms[index]):g}, "
        f"a step earlier {float(state.norms[max(index - 1, 0)]):g}); lower optimizer.lr, clip with "
        f"training.clip_norm or add schedule.warmup_epochs. All up to epoch {state.epoch} is kept in {setup.run.path}"
    )


def finish_epoch(setup: Setup, state: State, log: CsvLog | None, watch: Watch, clock: "Clock") -> None:
    """Evaluate both splits, add the row to metrics.csv, keep checkpoints, look at early stopping."""
    training = setup.experiment.training
    setup.world.take_from_first(state.model.buffers())  # each process has its own BatchNorm statistics
    values = evaluate(setup, state) if training.evaluates(state.epoch) or state.ended else {}
    trained = state.epoch > 0
    clock.stop()
    row = {
        "epoch": state.epoch, "step": state.step, "lr": state.optimizer.param_groups[0]["lr"],
        **(values or dict.fromkeys(setup.columns)),
        "batch_loss": mean_over_samples(setup, state.losses) if trained else None,
        "grad_norm": float(state.norms.double().mean()) if trained else None, "seconds": state.seconds,
        **state.cost,
    }  # fmt: skip
    if log is not None:  # this process writes
        every = training.checkpoint_every
        if is_finished(setup.experiment, state) or (state.epoch % every == 0 if every else state.epoch == 0):
            save_checkpoint(setup.run.epoch_file(state.epoch), state)
            save_average(setup.run.named_file("ema"), state)
        log.append(row)
        save_resume(setup.run, state)
    watch.epoch(setup, state, row)


def evaluate(setup: Setup, state: State) -> dict[str, float]:
    """The metrics of both splits; keeps the best checkpoint and looks at early stopping.

    Raises RunFailed on a non-finite loss.
    """
    training = setup.experiment.training
    values = measure(setup, state, "train") | measure(setup, state, "test")
    train, test = values["train_loss"], values["test_loss"]
    trained = state.epoch > 0
    if not (math.isfinite(train) and math.isfinite(test)):
        rate = state.optimizer.param_groups[0]["lr"]
        raise RunFailed(
            f"after epoch {state.epoch} the loss is {train} on train and {test} on test (step {state.step}, "
            f"learning rate {rate:g}, gradient norm {float(state.norms[-1]):g}); lower optimizer.lr"
            if trained
            else f"the loss of the initial values is {train} on train and {test} on test: see model.init"
        )
    keep_best(setup, state, values)
    watched = training.early_stopping
    if watched is not None and trained:
        value = values[watched.metric] * (1 if watched.maximised else -1)
        improved = state.watched is None or value > state.watched
        state.watched, state.stale = (value, 0) if improved else (state.watched, state.stale + training.evaluate_every)
        state.stopped_early = state.stale >= watched.patience
    return values


def measure(setup: Setup, state: State, split: str) -> dict[str, float]:
    """Loss and other metrics of a whole split at the present weights, in eval mode."""
    fast = state.products == ONEDNN and ONEDNN in setup.dense
    objective = (setup.by_onednn if fast else setup.objectives)[split]
    share = objective.metrics(dict(state.model.named_parameters()), dict(state.model.named_buffers()))
    means = torch.tensor([*share.values(), 1.0], dtype=torch.float64, device=setup.device)
    *sums, samples = setup.world.sum(means * len(objective)).tolist()
    return {f"{split}_{name}": each / samples for name, each in zip(share, sums, strict=True)}


def keep_best(setup: Setup, state: State, values: dict[str, float]) -> None:
    """Write best.pt where the test accuracy is the highest so far (at a tie or without one, the test loss lowest)."""
    value = [*([values["test_accuracy"]] if "test_accuracy" in values else []), -values["test_loss"]]
    if value > state.best:
        state.best = value
        if setup.world.writes:
            save_checkpoint(setup.run.named_file("best"), state)


def mean_over_samples(setup: Setup, losses: Tensor) -> float:
    """The mean over samples of the steps' mean losses: the last step may hold fewer samples."""
    samples, size = len(setup.data.train), setup.step_size
    weights = torch.full((len(losses),), float(size), dtype=torch.float64)
    weights[-1] = samples - size * (len(losses) - 1)
    return float((losses.double().cpu() * weights).sum() / samples)


class Clock:
    """Adds the time since it was last looked at to the state's seconds."""

    def __init__(self, state: State) -> None:
        self._state, self._last = state, time.perf_counter()

    def stop(self) -> None:
        """Bring the state's seconds up to now."""
        now = time.perf_counter()
        self._state.seconds += now - self._last
        self._last = now
