"""An objective: fixed data, a model's structure and a loss, as a function of the parameters.

The model that is handed over is never changed: an Objective works on a private copy in eval mode, and every
evaluation is given the parameters and buffers to use (`torch.func.functional_call`). Losses are computed in
float64 from the net's outputs and summed in float64, so the mean is that of all samples and not of batches.
"""

import copy
import math
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from lossscape.batches import Inputs, cast, has_floats, tensors_of
from lossscape.batches import part as some
from lossscape.dropout import Dropout, Masks
from lossscape.errors import BadInput
from lossscape.estimates import Sample, stratified
from lossscape.execution import PlanName as PlanName
from lossscape.losses import Loss
from lossscape.measured import Precision as Precision
from lossscape.metrics import Metric
from lossscape.models.summary import summarise
from lossscape.modules import Habits, Ties, called_with, check_module, copied, habits_of, laid_out, ties_of, unwrapped
from lossscape.outputs import logits_of
from lossscape.reading import samples_of
from lossscape.scoring import PerSample, Scoring, blank, joined
from lossscape.vectors import Params

CACHE_BYTES = 4 * 2**20
"""Activations of a chunk that stay in a CPU core's cache: convolutions then run 2 to 3 times faster."""
CUDA_BYTES = 2**30
INTEGER_CHUNK = 256
"""For nets that take integers (tokens), whose activations are not measured."""


@dataclass(frozen=True)
class Plan:
    """How an objective is evaluated: results under the same plan and threads have the same bits."""

    chunk: int
    """Samples that pass through the net at once."""
    channels_last: bool
    name: PlanName = "dense"
    points: int = 1
    """Points that are evaluated together, chunk by chunk."""
    compiled: bool = False
    """Whether torch.compile makes the forward pass of whole chunks."""
    pool: bool = False
    """Whether threads of Python, with one of torch each, share the chunks or the points, in place of torch's threads.

    The bits are then the same whatever the number of threads.
    """
    graphed: bool = False
    """Whether the forward pass of whole chunks is recorded as a CUDA graph, on devices that have such."""
    onednn: bool = False
    """Whether oneDNN makes the products of linear layers in fp32 on the CPU, where they are large enough."""
    by_class: bool = False
    """Whether losses of class numbers are taken of outputs that lie class by class in memory, where they are enough."""
    packed: bool = False
    """Whether weights of convolutions are brought into oneDNN's layout once a point, in place of once a chunk.

    In fp32 on the CPU, in channels_last.
    """
    lowered: bool = False
    """Whether convolutions that are products of matrices are made so: kernels of one pixel, and small maps.

    In fp32 on the CPU, in channels_last.
    """

    @property
    def words(self) -> str:
        """The plan for people."""
        together = f" x {self.points} points" if self.points > 1 else ""
        layout = ", channels last" if self.channels_last else ""
        compiled = ", compiled" if self.compiled else ""
        pool = ", each on one core" if self.pool else ""
        graphed = ", as a CUDA graph" if self.graphed else ""
        onednn = ", multiplied by oneDNN" if self.onednn else ""
        packed = ", weights packed" if self.packed else ""
        lowered = ", convolutions as products of matrices" if self.lowered else ""
        added = f"{layout}{compiled}{pool}{graphed}{onednn}{packed}{lowered}"
        return f"{self.name} plan, {self.chunk:,} samples{together} at a time{added}"


class Chunk(NamedTuple):
    """Some samples of an objective."""

    inputs: Inputs
    """In the objective's precision and memory layout."""
    targets: Tensor
    masks: Params
    """Of dropout that stays on: buffers of the model for these samples."""


@contextmanager
def arithmetic(device: torch.device, precision: Precision) -> Iterator[None]:
    """A context in which float32 is multiplied as `precision` says and nothing is recorded for gradients.

    On CUDA products of float32 are float32 only where that is asked for: cuDNN's default is TF32.
    """
    before, wanted = torch.get_float32_matmul_precision(), "high" if precision == "tf32" else "highest"
    with torch.no_grad(), _convolutions(device, precision), _casts(device, precision):
        if wanted != before:
            torch.set_float32_matmul_precision(wanted)
        try:
            yield
        finally:
            if wanted != before:
                torch.set_float32_matmul_precision(before)


def _convolutions(device: torch.device, precision: Precision) -> AbstractContextManager[None]:
    """cuDNN's flags; a block of points of a small net takes no longer than setting them would on a CPU."""
    if device.type == "cpu":
        return nullcontext()
    cudnn = torch.backends.cudnn
    flags: AbstractContextManager[None] = cudnn.flags(  # whose defaults would switch it off
        enabled=cudnn.enabled, benchmark=cudnn.benchmark, deterministic=cudnn.deterministic,
        allow_tf32=precision == "tf32",
    )  # fmt: skip
    return flags


def _casts(device: torch.device, precision: Precision) -> AbstractContextManager[Any]:
    """Autocast to bf16, or none where the caller has it on."""
    if precision != "bf16" and not torch.is_autocast_enabled(device.type):
        return nullcontext()
    return torch.autocast(device.type, torch.bfloat16, enabled=precision == "bf16")


def cache_chunk(model: nn.Module, example: Inputs) -> int:
    """How many samples to push through a net at once so that the largest activation stays in the cache.

    example: inputs [N, ...] on the device where that is done.
    """
    sizes = [value[0].numel() for value in tensors_of(example).values()]
    budget = CACHE_BYTES if example.device.type == "cpu" else CUDA_BYTES
    power = max(budget // (4 * max(*sizes, summarise(model, example).largest_activation)), 8).bit_length() - 1
    return int(min(2**power, 2**14))


def choose_plan(model: nn.Module, inputs: Inputs, habits: Habits) -> Plan:
    """The plan for a model on inputs [N, ...] and their device, the same one on every start."""
    chunk = cache_chunk(model, inputs) if has_floats(inputs) else INTEGER_CHUNK
    return Plan(chunk=chunk, channels_last=habits.channels_last)


class Objective:
    """Loss and other metrics of a model structure on fixed data, as a function of parameters and buffers."""

    def __init__(
        self,
        model: nn.Module,
        loss: str | Loss,
        inputs: Any,
        targets: Tensor | None = None,
        *,
        metrics: Sequence[str] | Mapping[str, Metric] | None = None,
        output: str | None = None,
        precision: Precision = "fp32",
        plan: Plan | None = None,
    ) -> None:
        """Everything stays on the inputs' device, where it is computed.

        model: any module, left as it is; what DataParallel or torch.compile wrap around it is left out.
        loss: a name of LOSSES or a function (outputs, targets) -> [N] losses.
        inputs: [N, ...], a mapping of such tensors (the model's keyword arguments), a Dataset or a DataLoader.
        targets: class numbers [N], distributions [N, C], class numbers of positions [N, T], or numbers [N, ...].
        metrics: names of METRICS or `module:function`, or functions by name; default: accuracy where there are classes.
        output: which of the model's outputs are the logits, where that is not plain; see `outputs.logits_of`.
        precision, plan: of the arithmetic, and how it is done.
        Raises BadInput where they do not fit one another.
        """
        self.inputs, self.targets = samples_of(inputs, targets)
        self.device = self.inputs.device
        if precision == "tf32" and self.device.type != "cuda":
            raise BadInput(
                "precision tf32 is a format of CUDA devices, and this is computed on the "
                f"{self.device.type.upper()}: use --precision fp32, or bf16 where the processor has it"
            )
        self.scoring = Scoring(loss, metrics, self.targets)
        self.output, self.precision = output, precision
        self.dtype = torch.float64 if precision == "fp64" else torch.float32
        # a private copy: nothing may change it, and calls override its values
        self.model = private(model, self.device, self.dtype)
        self.habits = habits_of(self.model, cast(self.inputs[:2], self.dtype))
        self.plan = plan or choose_plan(self.model, self.inputs, self.habits)
        self.sample: Sample | None = None
        """Says that the samples are a stratified subset, from which `means` extrapolates."""
        self.dropout: Dropout | None = None
        self.masks: Masks | None = None

    @cached_property
    def ties(self) -> Ties:
        """The names of parameters and buffers, all of a shared one."""
        return ties_of(self.model)

    def under(self, *, sample: Sample | None = None, dropout: Dropout | None = None) -> "Objective":
        """The same objective of samples that are a stratified subset, or with dropout that stays on with these masks.

        Raises BadInput where the model has no dropout whose masks can be kept.
        """
        other = copy.copy(self)
        other.sample, other.dropout = sample, dropout
        if dropout is not None:
            other.model = copied(self.model)
            other.__dict__.pop("ties", None)  # the masks are buffers
            other.masks = Masks(other.model, self.laid_out(self.inputs[:2]), dropout.seed)
        return other

    def again(self, model: nn.Module, precision: Precision, plan: Plan | None = None) -> "Objective":
        """The same samples, targets and metrics in other arithmetic; model: as it was handed over."""
        other = Objective(
            model, self.scoring.loss, self.inputs, self.targets, metrics=self.scoring.metrics, output=self.output,
            precision=precision, plan=plan,
        )  # fmt: skip
        other.scoring = self.scoring
        return other.under(sample=self.sample, dropout=self.dropout)

    @property
    def loss(self) -> Loss:
        """The loss of each sample, from outputs and targets."""
        return self.scoring.loss

    def __len__(self) -> int:
        return len(self.inputs)

    @property
    def columns(self) -> tuple[str, ...]:
        """The names of what `metrics` returns, the loss first; of a subset with standard errors.

        `<name>_stderr` is of the estimated mean; `<name>_difference_stderr` of its difference to a reference point,
        whose samples are the same, so it is much smaller.
        """
        names = ("loss", *self.scoring.metrics)
        errors = ("", "_stderr", "_difference_stderr") if self.sample is not None else ("",)
        return tuple(f"{name}{error}" for error in errors for name in names)

    def parameters(self) -> Params:
        """The values that the model had when it was handed over, in the objective's precision."""
        return dict(self.model.named_parameters())

    def buffers(self) -> Params:
        """Likewise its buffers (BatchNorm's statistics among them)."""
        return dict(self.model.named_buffers())

    def metrics(
        self, parameters: Params | None = None, buffers: Params | None = None, done: Callable[[int], None] | None = None
    ) -> dict[str, float]:
        """The means by column at the given parameters and buffers (default: the model's own).

        done: called after each chunk with its number of samples. A loss that is not finite is returned as it is.
        """
        passes = self.passes(parameters, buffers, done)
        return self.means(joined([self.per_sample(outputs, targets) for outputs, targets in passes]))

    def per_sample(self, outputs: Tensor, targets: Tensor) -> PerSample:
        """Loss (float64) and metrics of each sample, from outputs [n, C] in float64."""
        return self.scoring.per_sample(outputs, targets)

    def at_points(self, outputs: Iterable[Tensor], targets: Tensor) -> Iterator[PerSample]:
        """The same from the outputs of the same samples at several points, in any precision."""
        return self.scoring.at_points(outputs, targets, self.plan.by_class)

    def means(self, values: PerSample, reference: PerSample | None = None) -> dict[str, float]:
        """The means by column from the values of all samples, [N] each.

        reference: the values at the point that a subset's differences are taken to; by default this point itself.
        Of a subset: stratified estimates and their standard errors.
        """
        if self.sample is None:
            return {name: float(each.double().sum()) / len(self) for name, each in values.items()}
        found: dict[str, float] = {}
        for name, each in values.items():
            here, there = each.double(), (reference or values)[name].double()
            found[name], found[f"{name}_stderr"] = stratified(here, self.sample)
            found[f"{name}_difference_stderr"] = stratified(here - there, self.sample)[1]
        return {column: found[column] for column in self.columns}

    def blind_loss(self) -> float:
        """The mean loss of outputs that are all 0: of cross-entropy, that of knowing nothing."""
        outputs = self.forward({}, self.laid_out(self.inputs[:1]))
        values = self.per_sample(blank(outputs, len(self)), self.targets)
        return self.means(values)["loss"]

    def loss_scale(self) -> float:
        """What differences of the loss are small against: `blind_loss`, or 1 where that is no scale."""
        blind = self.blind_loss()
        return blind if math.isfinite(blind) and blind > 0 else 1.0

    def outputs(
        self, parameters: Params | None = None, buffers: Params | None = None, done: Callable[[int], None] | None = None
    ) -> Tensor:
        """The net's outputs for all samples, [N, C] in float64."""
        return torch.cat([outputs for outputs, _ in self.passes(parameters, buffers, done)])

    def passes(
        self, parameters: Params | None, buffers: Params | None, done: Callable[[int], None] | None
    ) -> Iterator[tuple[Tensor, Tensor]]:
        """Outputs and targets, chunk by chunk."""
        values = self.prepared(parameters, buffers)
        for inputs, targets, masks in self.chunks():
            yield self.forward(values | masks, inputs), targets
            if done is not None:
                done(len(inputs))

    def prepared(self, parameters: Params | None, buffers: Params | None) -> Params:
        """Parameters and buffers on the objective's device, in its precision and memory layout."""
        given = (parameters or {}) | (buffers or {})
        if not given.keys() <= self.ties.keys():
            raise BadInput(_unlike(given.keys() - self.ties.keys(), self.ties))
        last = self.plan.channels_last
        return {
            name: laid_out(value.to(self.device, self.dtype if value.is_floating_point() else None), last)
            for name, value in given.items()
        }

    def chunks(self) -> Iterator[Chunk]:
        """The samples in their order, as many at a time as the plan says."""
        return map(self.chunk, self.spans())

    def chunk(self, span: slice) -> Chunk:
        """The samples of a span."""
        return Chunk(self.laid_out(self.inputs[span]), self.targets[span], self.masks_of(span))

    def spans(self) -> list[slice]:
        """Which samples each chunk has."""
        starts = range(0, len(self), self.plan.chunk)
        return [slice(start, start + self.plan.chunk) for start in starts]

    def masks_of(self, span: slice) -> Params:
        """The buffers of dropout that stays on, for the samples of a chunk; none where it is off."""
        if self.masks is None or self.dropout is None:
            return {}
        masks = self.masks.of(self.dropout.rows[span], self.dtype)
        return {name: laid_out(mask, self.plan.channels_last) for name, mask in masks.items()}

    def part(self, indices: Tensor | slice) -> "Objective":
        """The same objective on some of its samples, ascending, as a set of its own."""
        part = copy.copy(self)
        part.inputs, part.targets, part.sample = some(self.inputs, indices), self.targets[indices], None
        if self.dropout is not None:
            rows = self.dropout.rows
            indices = indices if isinstance(indices, slice) else indices.to(rows.device)
            part.dropout = Dropout(self.dropout.seed, rows[indices])
        return part

    def laid_out(self, inputs: Inputs) -> Inputs:
        """Some inputs in the objective's precision and memory layout."""
        inputs = cast(inputs, self.dtype)
        return laid_out(inputs, self.plan.channels_last) if isinstance(inputs, Tensor) else inputs

    def forward(self, values: Params, inputs: Inputs) -> Tensor:
        """Outputs in float64 for inputs from `chunks`, with values from `prepared`."""
        with arithmetic(self.device, self.precision):
            given = called_with(self.model, self.ties, values, self.habits.spared(inputs))
            return self.logits(given, len(inputs)).double()

    def logits(self, given: Any, samples: int) -> Tensor:
        """The logits in what the model gives."""
        return logits_of(given, samples, self.output)


def private(model: nn.Module, device: torch.device, dtype: torch.dtype) -> nn.Module:
    """A copy of a user's module in eval mode that stands still. Raises BadInput where it cannot be given values.

    Complex buffers stay what they are.
    """
    model = unwrapped(model)
    check_module(model)
    model = copied(model).to(device)
    return (model.double() if dtype == torch.float64 else model.float()).requires_grad_(False).eval()


def _unlike(given: Collection[str], known: Collection[str]) -> str:
    shown = ", ".join(sorted(given)[:3])
    return (
        f"{shown}: the model has no parameter or buffer of this name, but {', '.join(list(known)[:3])}, …; take "
        "`objective.parameters()` and `objective.buffers()`, whose names are without what wraps the model"
    )
