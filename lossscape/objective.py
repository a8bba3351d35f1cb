"""An objective: fixed data, a model's structure and a loss, as a function of the parameters.

The model that is handed over is never changed: an Objective works on a private copy in eval mode, and every
evaluation is given the parameters and buffers to use (`torch.func.functional_call`). Losses are computed in
float64 from the net's outputs and summed in float64, so the mean is that of all samples and not of batches.
"""

import copy
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Literal, NamedTuple

import torch
from torch import Tensor, nn

from lossscape.dropout import Dropout, Masks
from lossscape.errors import BadInput, one_of
from lossscape.losses import LOSSES, Loss
from lossscape.metrics import METRICS, Metric
from lossscape.models.summary import summarise
from lossscape.vectors import Params

Precision = Literal["fp64", "fp32", "tf32", "bf16"]
PlanName = Literal["dense", "folded", "factored", "stacked"]
CACHE_BYTES = 4 * 2**20
"""Activations of a chunk that stay in a CPU core's cache: convolutions then run 2 to 3 times faster."""
CUDA_BYTES = 2**30
INTEGER_CHUNK = 256
"""For nets that take integers (tokens), whose activations are not measured."""


PerSample = dict[str, Tensor]
"""The loss and the other metrics of each sample, [n] each, by name."""


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

    @property
    def words(self) -> str:
        """The plan for people."""
        together = f" x {self.points} points" if self.points > 1 else ""
        layout = ", channels last" if self.channels_last else ""
        compiled = ", compiled" if self.compiled else ""
        return f"{self.name} plan, {self.chunk:,} samples{together} at a time{layout}{compiled}"


@dataclass(frozen=True)
class Sample:
    """A stratified subset of a split."""

    indices: Tensor
    """[n] places in the split, ascending."""
    strata: Tensor
    """[n] number of each sample's stratum."""
    sizes: Tensor
    """[H] samples of each stratum in the whole split."""


class Chunk(NamedTuple):
    """Some samples of an objective."""

    inputs: Tensor
    """In the objective's precision and memory layout."""
    targets: Tensor
    masks: Params
    """Of dropout that stays on: buffers of the model for these samples."""


@contextmanager
def arithmetic(device: torch.device, precision: Precision) -> Iterator[None]:
    """A context in which float32 is multiplied as `precision` says and nothing is recorded for gradients.

    On CUDA products of float32 are float32 only where that is asked for: cuDNN's default is TF32.
    """
    tf32, cudnn = precision == "tf32", torch.backends.cudnn
    before = torch.get_float32_matmul_precision()
    with (
        torch.no_grad(),
        cudnn.flags(  # whose defaults would switch it off
            enabled=cudnn.enabled,
            benchmark=cudnn.benchmark,
            deterministic=cudnn.deterministic,
            allow_tf32=tf32,
        ),
        torch.autocast(device.type, torch.bfloat16, enabled=precision == "bf16"),
    ):
        torch.set_float32_matmul_precision("high" if tf32 else "highest")
        try:
            yield
        finally:
            torch.set_float32_matmul_precision(before)


def has_convolutions(model: nn.Module) -> bool:
    """Whether a model has 2-D convolutions, which run fastest in small chunks and channels_last."""
    return any(isinstance(module, nn.Conv2d) for module in model.modules())


def cache_chunk(model: nn.Module, shape: tuple[int, ...], device: torch.device) -> int:
    """How many samples to push through a net at once so that the largest activation stays in the cache."""
    sizes = [torch.Size(shape).numel(), summarise(model, shape).largest_activation]
    budget = CACHE_BYTES if device.type == "cpu" else CUDA_BYTES
    power = max(budget // (4 * max(sizes)), 8).bit_length() - 1
    return int(min(2**power, 2**14))


def choose_plan(model: nn.Module, inputs: Tensor) -> Plan:
    """The plan for a model on inputs [N, ...] and their device, the same one on every start."""
    chunk = INTEGER_CHUNK
    if inputs.is_floating_point():
        chunk = cache_chunk(model, tuple(inputs.shape[1:]), inputs.device)
    return Plan(chunk=chunk, channels_last=has_convolutions(model))


class Objective:
    """Loss and other metrics of a model structure on fixed data, as a function of parameters and buffers."""

    def __init__(
        self,
        model: nn.Module,
        loss: str | Loss,
        inputs: Tensor,
        targets: Tensor,
        *,
        precision: Precision = "fp32",
        plan: Plan | None = None,
        sample: Sample | None = None,
        dropout: Dropout | None = None,
        metrics: Sequence[str] | Mapping[str, Metric] = ("accuracy",),
    ) -> None:
        """model: any module, left as it is; loss: a name of LOSSES or a function (outputs, targets) -> [N] losses.

        inputs: [N, ...]; targets: class numbers [N] or distributions [N, C]; both stay on their device, where
        all is computed. sample: says that they are a stratified subset, which `means` then extrapolates from.
        dropout: stays on with these masks, in place of off. Raises BadInput where the lengths differ, the loss is
        unknown, the device has no tf32, or dropout that is to stay on is not there.
        """
        if len(inputs) != len(targets) or not len(inputs):
            raise BadInput(
                f"{len(inputs)} inputs and {len(targets)} targets: both need the same length, at least 1"
            )
        if targets.ndim > 2 or (targets.ndim == 2) != targets.is_floating_point():
            raise BadInput(
                f"targets of {targets.dtype} with shape {list(targets.shape)}: class numbers are integers [N], "
                "distributions over classes are floats [N, C]"
            )
        if isinstance(loss, str) and loss not in LOSSES:
            raise BadInput(one_of("loss", loss, LOSSES))
        if precision == "tf32" and inputs.device.type != "cuda":
            raise BadInput(
                "precision tf32 is a format of CUDA devices, and this is computed on the "
                f"{inputs.device.type.upper()}: use --precision fp32, or bf16 where the processor has it"
            )
        self.loss: Loss = LOSSES[loss] if isinstance(loss, str) else loss
        self.measures = (
            dict(metrics) if isinstance(metrics, Mapping) else {name: METRICS[name] for name in metrics}
        )
        """Metrics beside the loss."""
        self.device = inputs.device
        self.dtype = torch.float64 if precision == "fp64" else torch.float32
        self.precision = precision
        self.inputs, self.targets = inputs, targets
        # a private copy: nothing may change it, and calls override its values
        self.model = copy.deepcopy(model).to(self.device, self.dtype).requires_grad_(False).eval()
        self.plan = plan or choose_plan(self.model, inputs)
        self.sample, self.dropout = sample, dropout
        self.masks = None if dropout is None else Masks(self.model, self.laid_out(inputs[:2]), dropout.seed)

    def __len__(self) -> int:
        """Number of samples."""
        return len(self.inputs)

    @property
    def columns(self) -> tuple[str, ...]:
        """The names of what `metrics` returns, the loss first; of a subset with standard errors.

        `<name>_stderr` is of the estimated mean; `<name>_difference_stderr` of its difference to a reference point,
        whose samples are the same, so it is much smaller.
        """
        names = ("loss", *self.measures)
        errors = ("", "_stderr", "_difference_stderr") if self.sample is not None else ("",)
        return tuple(f"{name}{error}" for error in errors for name in names)

    def parameters(self) -> Params:
        """The values that the model had when it was handed over, in the objective's precision."""
        return dict(self.model.named_parameters())

    def buffers(self) -> Params:
        """Likewise its buffers (BatchNorm's statistics among them)."""
        return dict(self.model.named_buffers())

    def metrics(
        self,
        parameters: Params | None = None,
        buffers: Params | None = None,
        done: Callable[[int], None] | None = None,
    ) -> dict[str, float]:
        """The means by column at the given parameters and buffers (default: the model's own).

        done: called after each chunk with its number of samples. A loss that is not finite is returned as it is.
        """
        values = self.prepared(parameters, buffers)
        parts = []
        for inputs, targets, masks in self.chunks():
            parts.append(self.per_sample(self.forward(values | masks, inputs), targets))
            if done is not None:
                done(len(inputs))
        return self.means(joined(parts))

    def per_sample(self, outputs: Tensor, targets: Tensor) -> PerSample:
        """Loss (float64) and metrics of each sample, from outputs [n, C] in float64."""
        losses = self.loss(outputs, targets)
        if losses.shape != (len(outputs),):
            raise BadInput(
                f"the loss gives shape {list(losses.shape)} for {len(outputs)} samples; one loss each is needed "
                "(of torch's losses: reduction='none')"
            )
        found = {"loss": losses.double()}
        for name, measure in self.measures.items():
            found[name] = measure(outputs, targets)
        return found

    def means(self, values: PerSample, reference: PerSample | None = None) -> dict[str, float]:
        """The means by column from the values of all samples, [N] each.

        reference: the values at the point that a subset's differences are taken to; by default this point itself.

        Of a subset: the stratified estimate of the mean, Σ W_h m_h with W_h the stratum's share of the whole, and
        its standard error, √(Σ W_h² (1 − f_h) s_h²/n_h) with f_h the share of the stratum that is in the subset
        (Cochran, Sampling Techniques, 3rd ed., §5.3 and §5.4).
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
        values = self.per_sample(torch.zeros_like(outputs).expand(len(self), -1), self.targets)
        return self.means(values)["loss"]

    def outputs(
        self,
        parameters: Params | None = None,
        buffers: Params | None = None,
        done: Callable[[int], None] | None = None,
    ) -> Tensor:
        """The net's outputs for all samples, [N, C] in float64."""
        values = self.prepared(parameters, buffers)
        parts = []
        for inputs, _, masks in self.chunks():
            parts.append(self.forward(values | masks, inputs))
            if done is not None:
                done(len(inputs))
        return torch.cat(parts)

    def prepared(self, parameters: Params | None, buffers: Params | None) -> Params:
        """Parameters and buffers on the objective's device, in its precision and memory layout."""
        given = (parameters or {}) | (buffers or {})
        values = {
            name: value.to(self.device, self.dtype if value.is_floating_point() else None)
            for name, value in given.items()
        }
        if self.plan.channels_last:
            values = {
                name: value.contiguous(memory_format=torch.channels_last) if value.ndim == 4 else value
                for name, value in values.items()
            }
        return values

    def chunks(self) -> Iterator[Chunk]:
        """The samples in their order, as many at a time as the plan says."""
        for span in self.spans():
            yield Chunk(self.laid_out(self.inputs[span]), self.targets[span], self.masks_of(span))

    def spans(self) -> list[slice]:
        """Which samples each chunk has."""
        starts = range(0, len(self), self.plan.chunk)
        return [slice(start, start + self.plan.chunk) for start in starts]

    def masks_of(self, span: slice) -> Params:
        """The buffers of dropout that stays on, for the samples of a chunk; none where it is off."""
        if self.masks is None or self.dropout is None:
            return {}
        masks = self.masks.of(self.dropout.rows[span], self.dtype)
        return {name: self.laid_out(mask) for name, mask in masks.items()}

    def part(self, places: Tensor | slice) -> "Objective":
        """The same objective on some of its samples, ascending, as a set of its own."""
        part = copy.copy(self)
        part.inputs, part.targets, part.sample = self.inputs[places], self.targets[places], None
        if self.dropout is not None:
            rows = self.dropout.rows
            places = places if isinstance(places, slice) else places.to(rows.device)
            part.dropout = Dropout(self.dropout.seed, rows[places])
        return part

    def laid_out(self, inputs: Tensor) -> Tensor:
        """Some inputs in the objective's precision and memory layout."""
        inputs = inputs.to(self.dtype) if inputs.is_floating_point() else inputs
        if self.plan.channels_last and inputs.ndim == 4:
            inputs = inputs.contiguous(memory_format=torch.channels_last)
        return inputs

    def forward(self, values: Params, inputs: Tensor) -> Tensor:
        """Outputs in float64 for inputs from `chunks`, with values from `prepared`."""
        with arithmetic(self.device, self.precision):
            outputs: Tensor = torch.func.functional_call(self.model, values, (inputs,))
            return outputs.double()


def joined(parts: Sequence[PerSample]) -> PerSample:
    """The values of chunks of samples as those of all of them."""
    return {name: torch.cat([part[name] for part in parts]) for name in parts[0]}


def stratified(values: Tensor, sample: Sample) -> tuple[float, float]:
    """Stratified estimate of the mean of a whole split from values [n] of a subset, and its standard error.

    Strata with one sample of several take their variance from the whole subset.
    """
    strata, sizes = sample.strata.to(values.device), sample.sizes.to(values.device).double()
    zeros = torch.zeros_like(sizes)
    count = zeros.index_add(0, strata, torch.ones_like(values))
    mean = zeros.index_add(0, strata, values) / count
    spread = zeros.index_add(0, strata, (values - mean[strata]) ** 2) / (count - 1).clamp(min=1)
    pooled = values.var() if len(values) > 1 else values.new_tensor(float("nan"))
    spread = torch.where((count > 1) | (sizes == count), spread, pooled)
    weights = sizes / sizes.sum()
    variance = (weights**2 * (1 - count / sizes) * spread / count).sum()
    return float((weights * mean).sum()), float(variance.sqrt())
