"""Data parallel training under torchrun: the same steps as one process, each batch split over the processes."""

import os
from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass

import torch
import torch.distributed as dist
from torch import Tensor, nn

from lossscape.errors import RunFailed


@dataclass(frozen=True)
class World:
    """The processes that train together; one process is a world of its own."""

    rank: int = 0
    size: int = 1
    local_rank: int = 0

    @property
    def writes(self) -> bool:
        """Whether this process writes the run's files and prints."""
        return self.rank == 0

    def share(self, batch: Tensor) -> Tensor:
        """This process's part of a batch of indices (parts differ by one where the batch is not divisible)."""
        return batch if self.size == 1 else batch[self.rank :: self.size]

    def sum(self, value: Tensor) -> Tensor:
        """The sum of a tensor over all processes."""
        if self.size > 1:
            dist.all_reduce(value)
        return value

    def mean(self, value: Tensor) -> Tensor:
        """The mean of a tensor over all processes; alone it is the tensor, and nothing is computed."""
        return value if self.size == 1 else self.sum(value) / self.size

    def take_from_first(self, values: Iterable[Tensor]) -> None:
        """Overwrite tensors with those of the writing process."""
        if self.size > 1:
            for value in values:
                dist.broadcast(value, src=0)

    def agree(self, number: int | None) -> int | None:
        """A signal's number that any process received, so that all stop after the same step."""
        if self.size == 1:
            return number
        value = torch.tensor([number or 0], device=self._device)
        dist.all_reduce(value, dist.ReduceOp.MAX)
        return int(value) or None

    def wait(self) -> None:
        """Until every process is here."""
        if self.size > 1:
            dist.barrier()

    @property
    def _device(self) -> str:
        return f"cuda:{self.local_rank}" if dist.get_backend() == "nccl" else "cpu"


_LOST = ("Connection closed by peer", "Connection reset by peer", "Broken pipe")
"""What gloo says of a process that is gone."""


_ENDED: list[dist.ProcessGroup | None] = []
"""Groups that were left. One that is freed waits for its threads and holds the GIL, while a thread that lets go of the
tensors of the last collective waits for the GIL: about one training in twelve never ended. By the end of the program,
when these are freed, the threads are long idle."""


@contextmanager
def world(device: str) -> Iterator[World]:
    """Join the processes that torchrun started, if it did; gloo on the CPU, NCCL on CUDA.

    Raises RunFailed where another one is gone.
    """
    if int(os.environ.get("WORLD_SIZE", "1")) == 1:
        yield World()
        return
    dist.init_process_group("nccl" if device.startswith("cuda") else "gloo")
    try:
        yield World(dist.get_rank(), dist.get_world_size(), int(os.environ.get("LOCAL_RANK", "0")))
    except RuntimeError as error:
        if not any(words in str(error) for words in _LOST):
            raise
        raise RunFailed("another of the processes that train together has ended; it says why itself") from error
    finally:
        _ENDED.append(dist.group.WORLD)
        dist.destroy_process_group()


def replicate(model: nn.Module, among: World) -> nn.Module:
    """The module to call in training steps: with more than one process it averages gradients in backward."""
    if among.size == 1:
        return model
    return nn.parallel.DistributedDataParallel(model)


def unsynchronised(module: nn.Module, yes: bool) -> AbstractContextManager[None]:
    """A context in which backward leaves the gradients of this process alone (all but a step's last chunk)."""
    if yes and isinstance(module, nn.parallel.DistributedDataParallel):
        return module.no_sync()
    return nullcontext()
