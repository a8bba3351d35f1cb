"""Small models of every kind that any evaluation of a net must get right; one table for all tests.

`MODEL_CASES` maps an id to a ModelCase; `case.model()` builds it, `case.inputs(n)` and `case.targets(n)` fit it.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from lossscape.models.cnn import cnn
from lossscape.models.mlp import mlp
from lossscape.models.resnet import resnet18, resnet50

CLASSES = 5
FLAT = (12,)
PICTURE = (2, 8, 8)


@dataclass(frozen=True)
class ModelCase:
    """A model to be built, and what it takes."""

    build: Callable[[], nn.Module]
    shape: tuple[int, ...]
    classes: int = CLASSES

    def model(self, seed: int = 0) -> nn.Module:
        """The model in training mode; its norm layers hold statistics and scales that are not 0 and 1."""
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            model = self.build()
            for module in model.modules():
                if isinstance(module, nn.modules.batchnorm._BatchNorm):
                    nn.init.normal_(module.running_mean, 0.0, 0.1)
                    nn.init.uniform_(module.running_var, 0.5, 1.5)
                    nn.init.uniform_(module.weight, 0.5, 1.5)
                    nn.init.normal_(module.bias, 0.0, 0.1)
        return model

    def inputs(self, n: int, seed: int = 1, dtype: torch.dtype = torch.float32) -> Tensor:
        """Normal numbers [n, *shape]; the same samples in every dtype, and a larger n only adds to them."""
        values = torch.randn(n, math.prod(self.shape), generator=torch.Generator().manual_seed(seed))
        return values.to(dtype).reshape(n, *self.shape)

    def targets(self, n: int, seed: int = 2) -> Tensor:
        """Class numbers [n]."""
        return torch.randint(self.classes, (n,), generator=torch.Generator().manual_seed(seed))


class SharedWeights(nn.Module):
    """Two layers that hold one and the same weight."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second, self.out = nn.Linear(12, 12), nn.Linear(12, 12), nn.Linear(12, CLASSES)
        self.second.weight = self.first.weight

    def forward(self, x: Tensor) -> Tensor:
        return self.out(torch.tanh(self.second(torch.tanh(self.first(x)))))


class UsedTwice(nn.Module):
    """One layer that is called twice in a pass, the second time on what it gave the first time."""

    def __init__(self) -> None:
        super().__init__()
        self.inner, self.out = nn.Linear(12, 12), nn.Linear(12, CLASSES)

    def forward(self, x: Tensor) -> Tensor:
        return self.out(torch.tanh(self.inner(torch.relu(self.inner(x)))))


class OwnBuffers(nn.Module):
    """A parameter outside any layer, and buffers (one of them integer) that only training mode changes."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(12, CLASSES))
        self.register_buffer("peak", torch.ones(12))
        self.register_buffer("calls", torch.zeros((), dtype=torch.int64))

    def forward(self, x: Tensor) -> Tensor:
        if self.training:
            self.peak.copy_(torch.maximum(self.peak, x.detach().abs().amax(0).to(self.peak.dtype)))
            self.calls += 1
        return (x / self.peak) @ self.weight


class Branches(nn.Module):
    """Convolutions on two paths that are added, with a residual of the picture: no chain of layers."""

    def __init__(self) -> None:
        super().__init__()
        self.left, self.right = nn.Conv2d(2, 4, 3, padding=1), nn.Conv2d(2, 4, 1)
        self.norm, self.out = nn.BatchNorm2d(4), nn.Linear(4, CLASSES)

    def forward(self, x: Tensor) -> Tensor:
        return self.out(torch.relu(self.norm(self.left(x) + self.right(x))).mean((2, 3)))


MODEL_CASES: dict[str, ModelCase] = {
    "softmax_regression": ModelCase(lambda: mlp(FLAT, CLASSES, hidden=[]), FLAT),
    "mlp": ModelCase(lambda: mlp(FLAT, CLASSES, hidden=[10, 8]), FLAT),
    "mlp_of_pictures": ModelCase(lambda: mlp(PICTURE, CLASSES, hidden=[9], activation="tanh"), PICTURE),
    "mlp_no_bias": ModelCase(lambda: mlp(FLAT, CLASSES, hidden=[10], activation="leaky_relu", bias=False), FLAT),
    "mlp_dropout": ModelCase(lambda: mlp(FLAT, CLASSES, hidden=[10, 8], dropout=0.5), FLAT),
    "mlp_batch_norm_prelu": ModelCase(
        lambda: mlp(FLAT, CLASSES, hidden=[10, 8], activation="prelu", batch_norm=True), FLAT
    ),
    "mlp_sigmoid": ModelCase(lambda: mlp(FLAT, CLASSES, hidden=[10], activation="sigmoid"), FLAT),
    "cnn": ModelCase(lambda: cnn(PICTURE, CLASSES, channels=[8, 6, CLASSES]), PICTURE),
    "cnn_max_batch_norm_dropout": ModelCase(
        lambda: cnn(PICTURE, CLASSES, channels=[6, 8], pooling="max", batch_norm=True, dropout=0.2), PICTURE
    ),
    "cnn_avg_gelu": ModelCase(
        lambda: cnn(
            PICTURE, CLASSES, channels=[6, 4, CLASSES], kernel_size=5, pooling="avg", activation="gelu", bias=False
        ),
        PICTURE,
    ),
    "cnn_local_contrast": ModelCase(
        lambda: cnn(PICTURE, CLASSES, channels=[6, 4], pooling="max", local_contrast=True), PICTURE
    ),
    "resnet18": ModelCase(lambda: resnet18((3, 8, 8), CLASSES, stem="cifar"), (3, 8, 8)),
    "resnet18_no_shortcuts": ModelCase(lambda: resnet18((1, 8, 8), CLASSES, stem="cifar", shortcuts=False), (1, 8, 8)),
    "resnet50": ModelCase(lambda: resnet50((3, 16, 16), CLASSES), (3, 16, 16)),
    "shared_weights": ModelCase(SharedWeights, FLAT),
    "used_twice": ModelCase(UsedTwice, FLAT),
    "own_buffers": ModelCase(OwnBuffers, FLAT),
    "branches": ModelCase(Branches, PICTURE),
}


# --- nets whose inputs, outputs or targets are of other kinds -----------------------------------------------------


@dataclass(frozen=True)
class NetCase:
    """A net with data of any kind, and its mean loss as anyone would write it."""

    build: Callable[[], nn.Module]
    data: Callable[[int, torch.Generator], tuple[Any, Tensor]]
    """Inputs (as a user has them) and targets of some samples."""
    truth: Callable[[nn.Module, Any, Tensor], Tensor]
    """The mean loss of all samples, from a module, inputs and targets in float64."""
    loss: str = "cross_entropy"
    output: str | None = None
    metrics: tuple[str, ...] = ("accuracy",)
    """Those that are usual."""
    traced: bool = False
    """Whether plans that rewrite the net's graph fit it."""

    def model(self) -> nn.Module:
        """The net with seeded values, in training mode."""
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            return self.build()

    def samples(self, n: int) -> tuple[Any, Tensor]:
        """Inputs and targets of n samples."""
        return self.data(n, torch.Generator().manual_seed(1))

    def doubled(self, n: int) -> tuple[Any, Tensor]:
        """The same with floats in float64."""
        inputs, targets = self.samples(n)
        if isinstance(inputs, dict):
            return {name: doubled(value) for name, value in inputs.items()}, doubled(targets)
        return doubled(inputs), doubled(targets)


def doubled(value: Tensor) -> Tensor:
    return value.double() if value.is_floating_point() else value


class Transformer(nn.Module):
    """A tiny transformer of token ids and their mask, that gives a dict."""

    def __init__(self, words: int = 11, classes: int = CLASSES, *, each_token: bool = False) -> None:
        super().__init__()
        self.embedding = nn.Embedding(words, 8)
        self.block = nn.TransformerEncoderLayer(8, 2, 16, dropout=0.0, batch_first=True)
        self.head = nn.Linear(8, classes)
        self.each_token = each_token

    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> dict[str, Tensor]:
        hidden = self.block(self.embedding(input_ids), src_key_padding_mask=attention_mask == 0)
        if not self.each_token:
            weights = attention_mask[:, :, None].to(hidden.dtype)
            hidden = (hidden * weights).sum(1) / weights.sum(1)
        return {"hidden": hidden, "logits": self.head(hidden)}


@dataclass
class Parts:
    """What a net gives."""

    features: Tensor
    scores: Tensor
    note: str = "none"


class Gives(nn.Module):
    """A small net whose outputs have parts."""

    def __init__(self, form: Callable[[Tensor, Tensor], Any]) -> None:
        super().__init__()
        self.inner, self.out, self.form = nn.Linear(12, 6), nn.Linear(6, CLASSES), form

    def forward(self, x: Tensor) -> Any:
        hidden = torch.tanh(self.inner(x))
        return self.form(hidden, self.out(hidden))


def as_parts(hidden: Tensor, scores: Tensor) -> Parts:
    return Parts(hidden, scores)


def as_pair(hidden: Tensor, scores: Tensor) -> tuple[Tensor, list[Tensor]]:
    return scores, [hidden]


def vectors(n: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    return torch.randn(n, 12, generator=generator), torch.randint(CLASSES, (n,), generator=generator)


def texts(n: int, generator: torch.Generator) -> tuple[dict[str, Tensor], Tensor]:
    lengths = torch.randint(2, 7, (n,), generator=generator)
    ids = torch.randint(11, (n, 6), generator=generator)
    mask = (torch.arange(6) < lengths[:, None]).long()
    return {"input_ids": ids, "attention_mask": mask}, torch.randint(CLASSES, (n,), generator=generator)


def tagged(n: int, generator: torch.Generator) -> tuple[dict[str, Tensor], Tensor]:
    inputs, _ = texts(n, generator)
    tags = torch.randint(CLASSES, (n, 6), generator=generator)
    return inputs, tags.masked_fill(inputs["attention_mask"] == 0, -100)


def scenes(n: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    return torch.randn(n, 2, 8, 8, generator=generator), torch.randint(CLASSES, (n, 8, 8), generator=generator)


def numbers(n: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    return torch.randn(n, 12, generator=generator), torch.randn(n, 2, 3, generator=generator)


def wrapped_resnet() -> nn.Module:
    return nn.DataParallel(resnet18((3, 8, 8), CLASSES, stem="cifar"))


def pictures(n: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    return torch.randn(n, 3, 8, 8, generator=generator), torch.randint(CLASSES, (n,), generator=generator)


def mean_of_samples(net: nn.Module, inputs: dict[str, Tensor], targets: Tensor) -> Tensor:
    logits = net(**inputs)["logits"]
    each = [nn.functional.cross_entropy(z, t) for z, t in zip(logits, targets, strict=True)]
    return torch.stack(each).mean()


def mean_of_tokens(net: nn.Module, inputs: dict[str, Tensor], targets: Tensor) -> Tensor:
    return nn.functional.cross_entropy(net(**inputs)["logits"].flatten(0, 1), targets.flatten())


NET_CASES: dict[str, NetCase] = {
    "texts": NetCase(Transformer, texts, lambda net, x, t: nn.functional.cross_entropy(net(**x)["logits"], t)),
    "tags": NetCase(lambda: Transformer(each_token=True), tagged, mean_of_samples),
    "tags_by_token": NetCase(lambda: Transformer(each_token=True), tagged, mean_of_tokens, "token_cross_entropy"),
    "scenes": NetCase(
        lambda: nn.Sequential(nn.Conv2d(2, 6, 3, padding=1), nn.Tanh(), nn.Conv2d(6, CLASSES, 1)),
        scenes,
        lambda net, x, t: nn.functional.cross_entropy(net(x), t),
        traced=True,
    ),
    "dataclass": NetCase(
        lambda: Gives(as_parts),
        vectors,
        lambda net, x, t: nn.functional.cross_entropy(net(x).scores, t),
        output="scores",
        traced=True,
    ),
    "tuple": NetCase(
        lambda: Gives(as_pair), vectors, lambda net, x, t: nn.functional.cross_entropy(net(x)[0], t), traced=True
    ),
    "numbers": NetCase(
        lambda: nn.Sequential(nn.Linear(12, 8), nn.Tanh(), nn.Linear(8, 6), nn.Unflatten(1, (2, 3))),
        numbers,
        lambda net, x, t: ((net(x) - t) ** 2).mean(),
        "mse",
        metrics=(),
        traced=True,
    ),
    "data_parallel": NetCase(
        wrapped_resnet, pictures, lambda net, x, t: nn.functional.cross_entropy(net(x), t), traced=True
    ),
}
