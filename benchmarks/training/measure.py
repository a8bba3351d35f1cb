"""A process of its own for each measurement: `python -m benchmarks.training.measure TASK ROW …` prints JSON.

Nothing but torch is imported before memory is first looked at: what is told is what a side takes above it.
"""

import argparse
import copy
import dataclasses
import json
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from benchmarks.machine import peak_memory
from benchmarks.training import roof
from benchmarks.training.rows import BATCH, ROWS, SIDES, Row

if TYPE_CHECKING:
    from lossscape.train.loop import Setup

WARM_UP = 0.25
"""Share of the measured time that goes before it unmeasured."""
CHECKED = 50
"""Samples of the batch on which both sides are held against each other: not a whole number of micro-batches."""


def main() -> None:
    """Do one task and print what came of it."""
    imported = peak_memory()
    from benchmarks.training import sides
    from lossscape.errors import BadInput

    parser = argparse.ArgumentParser()
    parser.add_argument("task", choices=["check", "evaluation", *SIDES])
    parser.add_argument("row", choices=ROWS)
    parser.add_argument("--seconds", type=float, required=True)
    parser.add_argument("--threads", type=int, required=True)
    parser.add_argument("--data")
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    row = ROWS[given.row]
    try:
        root = sides.mnist_folder(row, given.data)
        with tempfile.TemporaryDirectory() as folder:
            if given.task == "check":
                answer = check(row, root, Path(folder), given.seconds)
            elif given.task == "evaluation":
                answer = evaluation(row, root, Path(folder), given.seconds)
            else:
                if given.task == "products":
                    found = roof.fastest(sides.usual_net(row), row.shape, BATCH, row.precision, given.seconds / 2)
                    steps = roof.one_after_the_other(found, BATCH)
                else:
                    steps = sides.steps(row, given.task, root, Path(folder))
                rate = samples_per_second(steps, given.seconds)
                answer = {"rate": rate, "memory": peak_memory() - imported}
    except BadInput as error:
        sys.exit(str(error))
    print(json.dumps(answer))


def samples_per_second(steps: Iterator[int], seconds: float) -> float:
    """Samples a second of steps that yield how many they took, after a warm-up; at least one step of each."""
    count_for(steps, WARM_UP * seconds)
    samples, took = count_for(steps, seconds)
    return samples / took


def count_for(steps: Iterator[int], seconds: float) -> tuple[int, float]:
    """Take steps until the time is over; returns samples and seconds."""
    begin = time.perf_counter()
    samples = 0
    while True:
        samples += next(steps)
        took = time.perf_counter() - begin
        if took >= seconds:
            return samples, took


def check(row: Row, root: Path | None, folder: Path, seconds: float) -> dict[str, Any]:
    """What holds for both sides of a row: machine, data, work, and how far their values differ on one batch.

    In float64 both must give the same; in the row's precision the distance of each to that is told.
    """
    from benchmarks.training import sides
    from lossscape import devices
    from lossscape.train import loop

    setup, state = sides.ours(row, root, folder)
    loop.begin_epoch(setup, state)
    batch = next(loop.remaining_batches(setup, state))[:CHECKED]
    inputs, targets = sides.usual_batch(row, root, setup.data.facts, batch)
    net = sides.usual_net(row)
    with torch.no_grad():
        for value, same in zip(net.parameters(), state.model.parameters(), strict=True):
            value.copy_(same)

    loop.backward(setup, state, batch)
    gradient = gradients_of(setup.module)
    exact = in_float64(setup, batch)
    loss = loop.backward(exact, state, torch.arange(len(batch)))

    sides.usual_loss(net, inputs, targets, row.precision).backward()
    usual = [value.clone() for value in gradients_of(net)]
    net.double().zero_grad()
    expected = sides.usual_loss(net, inputs.double(), targets, "fp64")
    expected.backward()
    truth = gradients_of(net)
    emulated = row.precision == "bf16" and not devices.fast_bf16("cpu")
    found = [] if emulated else roof.fastest(net.float(), row.shape, BATCH, row.precision, seconds)
    return {
        "cpu": devices.name_of(torch.device("cpu")),
        "torch": torch.__version__,
        "emulated": emulated,
        "data": f"MNIST in {root}" if root else "random pictures of that size",
        "loss_differs": difference([loss], [expected.detach()]),
        "gradient_differs": max(difference([a], [b]) for a, b in zip(gradients_of(exact.module), truth, strict=True)),
        "rounding": {"peer": difference(usual, truth), "lossscape": difference(gradient, truth)},
        "flop": flop(net, row.shape),
        "products": None if emulated else sum(each.seconds for each in found) / BATCH,
    }


def evaluation(row: Row, root: Path | None, folder: Path, seconds: float) -> dict[str, Any]:
    """The least time that evaluating both splits takes, and the samples of the epoch that it comes after."""
    from benchmarks.training import sides
    from lossscape.train import loop

    setup, state = sides.ours(row, root, folder)
    state.best = [float("inf")]  # so that no checkpoint is written
    found, end = float("inf"), time.perf_counter() + seconds
    while found == float("inf") or time.perf_counter() < end:
        begin = time.perf_counter()
        loop.evaluate(setup, state)
        found = min(found, time.perf_counter() - begin)
    return {"seconds": found, "samples": len(setup.data.train)}


def in_float64(setup: "Setup", batch: Tensor) -> "Setup":
    """A setup of a net and data in float64, without gradients yet; its samples are those of `batch`."""
    from lossscape.data import Split

    train = setup.data.train
    chosen = Split(train.inputs[batch].double(), train.targets[batch])
    module = copy.deepcopy(setup.module).double()
    module.zero_grad()
    return dataclasses.replace(setup, module=module, data=dataclasses.replace(setup.data, train=chosen))


def gradients_of(model: nn.Module) -> list[Tensor]:
    """The gradient of each parameter, in the order of the model."""
    return [value.grad for value in model.parameters() if value.grad is not None]


def difference(values: list[Tensor], expected: list[Tensor]) -> float:
    """‖values − expected‖ / ‖expected‖, of all tensors together."""
    value, truth = (torch.cat([tensor.double().flatten() for tensor in part]) for part in (values, expected))
    return float((value - truth).norm() / truth.norm())


def flop(net: nn.Sequential, shape: tuple[int, ...]) -> int:
    """Floating-point operations of training on one sample, in linear and convolution modules.

    6 for each multiply-add (2 forward, 2 for the gradient of the weights, 2 for that of the inputs), less 2 in
    the first such module, whose inputs are pictures and need no gradient.
    """
    from lossscape.models import summarise

    first = next(i for i, module in enumerate(net) if isinstance(module, nn.Linear | nn.Conv2d))
    return 6 * summarise(net, shape).multiply_adds - 2 * summarise(net[: first + 1], shape).multiply_adds


if __name__ == "__main__":
    main()
