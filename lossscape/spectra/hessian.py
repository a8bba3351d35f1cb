"""The Hessian of an objective's mean loss as an operator on flat vectors."""

import copy
from collections.abc import Collection, Iterator, Sequence
from dataclasses import replace
from functools import partial

import torch
from torch import Tensor, nn

from lossscape.derivatives import Done, Shares, recorded, slopes
from lossscape.objective import Chunk, Objective
from lossscape.vectors import Params

KEPT_BYTES = 2**31
"""Memory that graphs of first derivatives may take."""
PROBED = 2
"""Samples whose graph is measured, to know what a chunk's takes."""
ROWS = 32
"""Of the matrix that one backward pass makes."""


class Hessian:
    """H v = ∇⟨∇L, v⟩ (Pearlmutter 1994) at one point, the sum over all samples in float64.

    The graph of ∇L is made once and kept for every product, for as many chunks of samples as fit into the memory that
    it may take; for the others it is made again each time. Buffers stay as they are: BatchNorm's statistics do not
    move with the parameters. Where a net has a kink, as relu at 0, the second derivative is that of the side which
    the first derivative takes.
    """

    def __init__(
        self,
        objective: Objective,
        parameters: Params | None = None,
        buffers: Params | None = None,
        *,
        names: Collection[str] | None = None,
        memory: int = KEPT_BYTES,
        done: Done | None = None,
    ) -> None:
        """parameters, buffers: default: the model's own; names: of the parameters whose block of H it is, None for
        all; memory: bytes that kept graphs may take; done: called with the number of samples that each step of a
        product has passed through the net. Raises ValueError where `names` has one that is no parameter.
        """
        parameters = objective.parameters() if parameters is None else parameters
        if names is not None and (unknown := set(names) - set(parameters)):
            raise ValueError(f"{', '.join(sorted(unknown))}: no parameter of the model")
        self.objective, self.done = _laid_out(objective), done
        self._shares = Shares(self.objective, parameters, buffers, names)
        self.leaves = self._shares.leaves
        self.n = sum(leaf.numel() for leaf in self.leaves.values())
        self.device, self.dtype = objective.device, objective.dtype
        self._buffers, self._memory = buffers, memory
        self._each = self.bytes_per_sample() if memory else 0
        self._kept: list[tuple[int, Sequence[Tensor]]] = []
        """Samples of the first chunks and their first derivatives, with graphs."""
        self._keep()

    def at(self, parameters: Params) -> "Hessian":
        """The same at another point, without measuring again what its graphs take."""
        other = copy.copy(self)
        other._shares = Shares(self.objective, parameters, self._buffers, self.leaves)
        other.leaves, other._kept = other._shares.leaves, []
        other._keep()
        return other

    @property
    def shape(self) -> tuple[int, int]:
        """(n, n)."""
        return self.n, self.n

    @property
    def kept(self) -> int:
        """Samples whose graph is kept."""
        return sum(samples for samples, _ in self._kept)

    def gradient(self) -> Tensor:
        """∇L, flat [n] in float64."""
        total = self._zeros()
        for _, first in self._kept:
            self._add(total, first)
        with recorded(self.objective):
            for chunk in self._others():
                self._add(total, self._shares.taken(chunk, slopes))
                self._tell(len(chunk.inputs))
        return total

    def __matmul__(self, vector: Tensor) -> Tensor:
        """H v, flat [n] in float64, of a vector [n]; of a matrix [n, k] column by column.

        Raises RuntimeError or NotImplementedError where an operation of the net cannot be differentiated twice.
        """
        if vector.ndim == 2:
            return torch.stack([self @ column for column in vector.T], dim=1)
        if vector.shape != (self.n,):
            raise ValueError(f"a vector of shape {list(vector.shape)}: the Hessian has {self.n} columns")
        return self._multiplied(vector.to(self.device, self.dtype))

    def matrix(self) -> Tensor:
        """H itself, [n, n] in float64, many rows in one backward pass: of small nets several times faster."""
        units = torch.eye(self.n, device=self.device, dtype=self.dtype).split(ROWS)
        found = torch.cat([self._multiplied(rows) for rows in units])
        return (found + found.T) / 2

    def _multiplied(self, vectors: Tensor) -> Tensor:
        """H times a vector [n], or times each row of [k, n]."""
        parts, total = self.named(vectors), self._zeros(*vectors.shape[:-1])
        with recorded(self.objective):
            for (samples, first), span in zip(self._kept, self.objective.spans(), strict=False):
                kept = partial(self._kept_product, parts, first)
                self._add(total, self._shares.using(self.objective.masks_of(span), kept))
                self._tell(samples)
            for chunk in self._others():
                self._add(total, self._shares.taken(chunk, partial(self._whole_product, parts)))
                self._tell(len(chunk.inputs))
        return total

    def named(self, vector: Tensor) -> Params:
        """A flat vector [n] by the names and shapes of the parameters; of several, [k, n], all with k in front."""
        named = zip(self.leaves.items(), self._split(vector), strict=True)
        return {name: piece.reshape(*vector.shape[:-1], *leaf.shape) for (name, leaf), piece in named}

    def flat(self, vector: Params) -> Tensor:
        """A direction by the names of the parameters as a flat vector [n] in float64."""
        total = self._zeros()
        self._add(total, [vector[name].to(self.device) for name in self.leaves])
        return total

    def _product(self, first: Sequence[Tensor], vector: Params, *, keep: bool) -> Sequence[Tensor]:
        leaves = list(self.leaves.values())
        used = [(g, v) for g, v in zip(first, vector.values(), strict=True) if g.requires_grad]
        if not used:  # the loss is linear in the parameters
            return [torch.zeros_like(v) for v in vector.values()]
        outputs, weights = zip(*used, strict=True)
        several = weights[0].ndim > outputs[0].ndim
        return torch.autograd.grad(
            outputs, leaves, weights, retain_graph=keep, materialize_grads=True, is_grads_batched=several
        )

    def _kept_product(self, vector: Params, first: Sequence[Tensor], model: nn.Module) -> Sequence[Tensor]:
        """While the model has the values, since a backward pass may call its parts again."""
        return self._product(first, vector, keep=True)

    def _whole_product(self, vector: Params, share: Tensor, leaves: Sequence[Tensor]) -> Sequence[Tensor]:
        return self._product(slopes(share, leaves, create_graph=True), vector, keep=False)

    def _first(self, chunk: Chunk) -> Sequence[Tensor]:
        return self._shares.taken(chunk, partial(slopes, create_graph=True))

    def _keep(self) -> None:
        memory = self._memory
        with recorded(self.objective):
            for chunk in self.objective.chunks():
                samples = len(chunk.inputs)
                memory -= self._each * samples
                if memory <= 0:
                    break
                self._kept.append((samples, self._first(chunk)))

    def bytes_per_sample(self) -> int:
        """Of what autograd keeps for the product, by the difference that a few more samples make."""
        few = min(PROBED, len(self.objective))
        found = [self._bytes(count) for count in sorted({few, min(2 * few, len(self.objective))})]
        return max((found[1] - found[0]) // few if len(found) == 2 else found[0] // few, 1)

    def _bytes(self, samples: int) -> int:
        part = self.objective.part(slice(samples))
        own = {leaf.untyped_storage().data_ptr() for leaf in self._shares.values.values()}
        seen: dict[int, Tensor] = {}

        def note(tensor: Tensor) -> Tensor:
            seen.setdefault(tensor.untyped_storage().data_ptr(), tensor.detach())
            return tensor.detach()

        with recorded(self.objective), torch.autograd.graph.saved_tensors_hooks(note, lambda tensor: tensor):
            for chunk in part.chunks():
                kept = self._first(chunk)
                del kept
        return sum(each.untyped_storage().nbytes() for key, each in seen.items() if key not in own)

    def _others(self) -> Iterator[Chunk]:
        """The chunks whose graph is not kept."""
        return map(self.objective.chunk, self.objective.spans()[len(self._kept) :])

    def _zeros(self, *several: int) -> Tensor:
        return torch.zeros(*several, self.n, dtype=torch.float64, device=self.device)

    def _split(self, vector: Tensor) -> Sequence[Tensor]:
        """The pieces of a flat vector [n] that are of one parameter each; of several, [k, n], pieces of all."""
        return vector.split([leaf.numel() for leaf in self.leaves.values()], -1)

    def _add(self, total: Tensor, parts: Sequence[Tensor]) -> None:
        """Add to a flat vector [n], part by part: to make one of all in float64 takes as long as a pass."""
        for piece, part in zip(self._split(total), parts, strict=True):
            piece += part.detach().reshape(piece.shape)

    def _tell(self, samples: int) -> None:
        if self.done is not None:
            self.done(samples)


def _laid_out(objective: Objective) -> Objective:
    """The objective in the memory layout in which second derivatives are fastest.

    On a CPU that is torch's usual one even where forward passes like channels_last: a product with a ResNet-50 takes
    three quarters of the time.
    """
    if objective.device.type != "cpu" or not objective.plan.channels_last:
        return objective
    other = copy.copy(objective)
    other.plan = replace(objective.plan, channels_last=False)
    return other
