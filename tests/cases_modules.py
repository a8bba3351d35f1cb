"""Modules as people write them, small: one table for what training and every analysis must get right.

`IDIOMS` maps a name to an Idiom. Each net is made by a function or class of this file, which a config names as
`cases_modules:NAME`, takes pictures [N, 2, 6, 6] and gives [N, classes]; those that need tokens, sequences or volumes
make them of the picture.
"""

from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils import parametrizations, parametrize, prune, spectral_norm, weight_norm
from torch.utils.checkpoint import checkpoint

CHANNELS, SIDE = 2, 6
SHAPE = (CHANNELS, SIDE, SIDE)
PIXELS = CHANNELS * SIDE * SIDE
WORDS = 7


@dataclass(frozen=True)
class Idiom:
    """A net, and which plans cannot evaluate it."""

    net: Callable[..., nn.Module]
    refused: Collection[str] = ()


IDIOMS: dict[str, Idiom] = {}


def idiom(*refused: str) -> Callable[[Callable[..., nn.Module]], Callable[..., nn.Module]]:
    """Enter a net into the table; refused: the plans that cannot evaluate it."""

    def entered(net: Callable[..., nn.Module]) -> Callable[..., nn.Module]:
        IDIOMS[net.__name__] = Idiom(net, refused)
        return net

    return entered


def tokens_of(x: Tensor) -> Tensor:
    """Numbers of words [N, 8], where 0 is what fills up."""
    return (x.flatten(1)[:, :8].abs() * 3).long().clamp(max=WORDS - 1)


def steps_of(x: Tensor) -> Tensor:
    """Sequences [N, 6, 12]."""
    return x.reshape(len(x), SIDE, -1)


class Net(nn.Module):
    """Two convolutions, with a method for what comes between them and the last layer."""

    def __init__(self, classes: int) -> None:
        super().__init__()
        self.conv1, self.conv2 = nn.Conv2d(CHANNELS, 4, 3, padding=1), nn.Conv2d(4, 4, 3, stride=2, padding=1)
        self.out = nn.Linear(36, classes)

    def forward(self, x: Tensor) -> Tensor:
        return self.out(self.flat(F.relu(self.conv2(F.relu(self.conv1(x))))))

    def flat(self, x: Tensor) -> Tensor:
        """Maps [N, 4, 3, 3] as [N, 36]."""
        return x.flatten(1)


# --- layouts and shapes


@idiom()
class ViewOfSize(Net):
    def flat(self, x: Tensor) -> Tensor:
        return x.view(x.size(0), -1)


@idiom()
class ViewOfFeatures(nn.Module):
    """As tutorials flatten pictures."""

    def __init__(self, classes: int) -> None:
        super().__init__()
        self.first, self.out = nn.Linear(PIXELS, 8), nn.Linear(8, classes)

    def forward(self, x: Tensor) -> Tensor:
        x = x.view(-1, PIXELS)
        return self.out(F.relu(self.first(x)))


@idiom("factored")
class RowsOfSamples(nn.Module):
    """A view that makes several rows of a sample."""

    def __init__(self, classes: int) -> None:
        super().__init__()
        self.first, self.out = nn.Linear(12, 8), nn.Linear(48, classes)

    def forward(self, x: Tensor) -> Tensor:
        return self.out(torch.tanh(self.first(x.view(-1, 12))).view(-1, 48))


@idiom()
class Reshape(Net):
    def flat(self, x: Tensor) -> Tensor:
        return x.reshape(x.shape[0], -1)


@idiom()
class Permuted(Net):
    def flat(self, x: Tensor) -> Tensor:
        return x.permute(0, 2, 3, 1).contiguous().view(-1, 36)


@idiom()
class FlattenedByFunction(Net):
    def flat(self, x: Tensor) -> Tensor:
        return torch.flatten(x, start_dim=1)


@idiom()
class MeanOfMaps(Net):
    def flat(self, x: Tensor) -> Tensor:
        return x.mean(dim=(2, 3)).repeat(1, 9)


@idiom()
class SplitHeads(Net):
    """Attention as it is written by hand, with views of views."""

    def __init__(self, classes: int) -> None:
        super().__init__(classes)
        self.mix = nn.Linear(4, 12)

    def flat(self, x: Tensor) -> Tensor:
        n, c, h, w = x.shape
        q, k, v = self.mix(x.view(n, c, h * w).transpose(1, 2)).chunk(3, dim=-1)
        weights = (q @ k.transpose(-2, -1) / c**0.5).softmax(-1)
        return (weights @ v).transpose(1, 2).reshape(n, c * h * w)


@idiom()
def sequential(classes: int) -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(CHANNELS, 4, 3), nn.ReLU(inplace=True), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(16, classes)
    )


@idiom()
def unflattened(classes: int) -> nn.Module:
    return nn.Sequential(
        nn.Flatten(), nn.Linear(PIXELS, 32), nn.Unflatten(1, (2, 4, 4)), nn.Conv2d(2, 3, 3), nn.Flatten(),
        nn.Linear(12, classes),
    )  # fmt: skip


# --- reparametrised weights


@idiom("factored")
def weight_normed(classes: int) -> nn.Module:
    return nn.Sequential(
        parametrizations.weight_norm(nn.Conv2d(CHANNELS, 4, 3)), nn.ReLU(), nn.Flatten(),
        parametrizations.weight_norm(nn.Linear(64, classes)),
    )  # fmt: skip


@idiom("factored")
def weight_normed_before(classes: int) -> nn.Module:
    return nn.Sequential(
        weight_norm(nn.Conv2d(CHANNELS, 4, 3)), nn.ReLU(), nn.Flatten(), weight_norm(nn.Linear(64, classes))
    )


@idiom("factored")
def spectral_normed(classes: int) -> nn.Module:
    return nn.Sequential(
        parametrizations.spectral_norm(nn.Conv2d(CHANNELS, 4, 3)), nn.ReLU(), nn.Flatten(),
        parametrizations.spectral_norm(nn.Linear(64, classes)),
    )  # fmt: skip


@idiom("factored")
def spectral_normed_before(classes: int) -> nn.Module:
    net = nn.Sequential(
        spectral_norm(nn.Conv2d(CHANNELS, 4, 3)), nn.ReLU(), nn.Flatten(), spectral_norm(nn.Linear(64, classes))
    )
    for _ in range(5):  # its estimate of the norm is a random one at first, and the outputs large
        net(torch.randn(4, *SHAPE))
    return net


@idiom("factored")
def orthogonal(classes: int) -> nn.Module:
    return nn.Sequential(
        nn.Flatten(), parametrizations.orthogonal(nn.Linear(PIXELS, 8)), nn.ReLU(), nn.Linear(8, classes)
    )


# --- ties, and modules called twice


@idiom("factored")
class TiedTransposed(nn.Module):
    """An autoencoder whose decoder has the encoder's weight, transposed."""

    def __init__(self, classes: int) -> None:
        super().__init__()
        self.encoder, self.bias = nn.Linear(PIXELS, 8), nn.Parameter(torch.zeros(PIXELS))
        self.out = nn.Linear(PIXELS, classes)

    def forward(self, x: Tensor) -> Tensor:
        h = torch.tanh(self.encoder(x.flatten(1)))
        return self.out(F.linear(h, self.encoder.weight.t(), self.bias))


@idiom("factored")
class TiedLayers(nn.Module):
    def __init__(self, classes: int) -> None:
        super().__init__()
        self.a, self.b, self.out = nn.Linear(PIXELS, PIXELS), nn.Linear(PIXELS, PIXELS), nn.Linear(PIXELS, classes)
        self.b.weight = self.a.weight

    def forward(self, x: Tensor) -> Tensor:
        return self.out(torch.tanh(self.b(torch.tanh(self.a(x.flatten(1))))))


@idiom("factored")
class TiedEmbedding(nn.Module):
    """The words' embedding is the weight of the layer that tells them apart."""

    def __init__(self, classes: int) -> None:
        super().__init__()
        self.embedding, self.words = nn.Embedding(WORDS, 5), nn.Linear(5, WORDS, bias=False)
        self.words.weight = self.embedding.weight
        self.out = nn.Linear(WORDS, classes)

    def forward(self, x: Tensor) -> Tensor:
        return self.out(self.words(torch.tanh(self.embedding(tokens_of(x)).mean(1))))


@idiom()
class CalledTwice(nn.Module):
    def __init__(self, classes: int) -> None:
        super().__init__()
        self.first, self.inner, self.out = nn.Linear(PIXELS, 8), nn.Linear(8, 8), nn.Linear(8, classes)

    def forward(self, x: Tensor) -> Tensor:
        x = self.first(x.flatten(1))
        return self.out(F.relu(self.inner(F.relu(self.inner(x)))))


@idiom("factored")
class SharedTwins(nn.Module):
    """One module under two names."""

    def __init__(self, classes: int) -> None:
        super().__init__()
        self.left = nn.Sequential(nn.Linear(36, 8), nn.BatchNorm1d(8), nn.ReLU())
        self.right, self.out = self.left, nn.Linear(16, classes)

    def forward(self, x: Tensor) -> Tensor:
        a, b = x.flatten(2).unbind(1)
        return self.out(torch.cat([self.left(a), self.right(b)], 1))


# --- containers


@idiom()
class Lists(nn.Module):
    def __init__(self, classes: int) -> None:
        super().__init__()
        self.layers = nn.ModuleList([nn.Linear(PIXELS, 8), nn.Linear(8, 8), nn.Linear(8, 8)])
        self.scales = nn.ParameterList([nn.Parameter(torch.ones(8)), nn.Parameter(torch.ones(()))])
        self.heads = nn.ModuleDict({"aside": nn.Linear(8, 2), "main": nn.Linear(8, classes)})

    def forward(self, x: Tensor) -> Tensor:
        x = x.flatten(1)
        for layer in self.layers:
            x = F.relu(layer(x))
        return self.heads["main"](x * self.scales[0] * self.scales[1])


@idiom("factored")
class ParametersInDict(nn.Module):
    def __init__(self, classes: int) -> None:
        super().__init__()
        self.own = nn.ParameterDict({"w": nn.Parameter(torch.randn(classes, PIXELS) / 9), "b": torch.zeros(classes)})

    def forward(self, x: Tensor) -> Tensor:
        return F.linear(x.flatten(1), self.own["w"], self.own["b"])


@idiom("factored")
class Functional(nn.Module):
    def __init__(self, classes: int) -> None:
        super().__init__()
        self.filters = nn.Parameter(torch.randn(4, CHANNELS, 3, 3) / 4)
        self.weight, self.bias = nn.Parameter(torch.randn(classes, 64) / 8), nn.Parameter(torch.zeros(classes))

    def forward(self, x: Tensor) -> Tensor:
        x = F.relu(F.conv2d(x, self.filters))
        return F.linear(x.flatten(1), self.weight, self.bias)


# --- residuals and writing in place


@idiom()
class AddedInPlace(nn.Module):
    def __init__(self, classes: int) -> None:
        super().__init__()
        self.first, self.conv = nn.Conv2d(CHANNELS, 4, 3, padding=1), nn.Conv2d(4, 4, 3, padding=1, bias=False)
        self.norm, self.relu, self.out = nn.BatchNorm2d(4), nn.ReLU(inplace=True), nn.Linear(4, classes)

    def forward(self, x: Tensor) -> Tensor:
        x = self.relu(self.first(x))
        y = self.norm(self.conv(x))
        y += x
        y.relu_()
        return self.out(y.mean((2, 3)))


@idiom()
class ActivatedBefore(nn.Module):
    """An activation in place writes over what the shortcut adds later: relu(x) + f(relu(x))."""

    def __init__(self, classes: int) -> None:
        super().__init__()
        self.first, self.inner, self.out = nn.Linear(PIXELS, 8), nn.Linear(8, 8), nn.Linear(8, classes)
        self.act = nn.ReLU(inplace=True)

    def forward(self, x: Tensor) -> Tensor:
        x = self.first(x.flatten(1))
        y = self.inner(self.act(x))
        return self.out(x + y)


@idiom("factored")
class WritesOverInputs(nn.Module):
    def __init__(self, classes: int) -> None:
        super().__init__()
        self.out = nn.Linear(PIXELS, classes)

    def forward(self, x: Tensor) -> Tensor:
        x = x.flatten(1)
        x.mul_(0.5).clamp_(-1, 1)
        return self.out(x)


@idiom("folded", "factored")
class Assigned(nn.Module):
    """Slices that are written to."""

    def __init__(self, classes: int) -> None:
        super().__init__()
        self.first, self.out = nn.Linear(PIXELS, 8), nn.Linear(8, classes)

    def forward(self, x: Tensor) -> Tensor:
        h = self.first(x.flatten(1))
        y = torch.zeros_like(h)
        y[:, :4] = torch.relu(h[:, :4])
        y[:, 4:] = torch.tanh(h[:, 4:])
        return self.out(y)


@idiom("factored")
class Dense(nn.Module):
    """Maps that are joined to those before them."""

    def __init__(self, classes: int) -> None:
        super().__init__()
        self.a, self.b = nn.Conv2d(CHANNELS, 3, 3, padding=1), nn.Conv2d(CHANNELS + 3, 3, 3, padding=1)
        self.norm, self.out = nn.BatchNorm2d(CHANNELS + 6), nn.Linear(CHANNELS + 6, classes)

    def forward(self, x: Tensor) -> Tensor:
        x = torch.cat([x, F.relu(self.a(x))], 1)
        x = torch.cat((x, F.relu(self.b(x))), dim=1)
        return self.out(F.adaptive_avg_pool2d(self.norm(x), 1).squeeze(-1).squeeze(-1))


# --- normalisation


@idiom()
def group_norm(classes: int) -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(CHANNELS, 4, 3), nn.GroupNorm(2, 4), nn.ReLU(), nn.AvgPool2d(2), nn.Flatten(), nn.Linear(16, classes)
    )


@idiom()
def layer_norm(classes: int) -> nn.Module:
    return nn.Sequential(
        nn.Flatten(), nn.Linear(PIXELS, 8), nn.LayerNorm(8), nn.GELU(), nn.Linear(8, 8, bias=False), nn.RMSNorm(8),
        nn.SiLU(), nn.Linear(8, classes),
    )  # fmt: skip


@idiom()
def instance_norm(classes: int) -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(CHANNELS, 4, 3), nn.InstanceNorm2d(4, affine=True, track_running_stats=True), nn.ReLU(),
        nn.Conv2d(4, 4, 3), nn.InstanceNorm2d(4), nn.ReLU(), nn.Flatten(), nn.Linear(16, classes),
    )  # fmt: skip


@idiom()
def batch_norm_without_affine(classes: int) -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(CHANNELS, 4, 3, bias=False), nn.BatchNorm2d(4, affine=False), nn.ReLU(), nn.Flatten(),
        nn.Linear(64, 8, bias=False), nn.BatchNorm1d(8), nn.ReLU(), nn.Linear(8, classes),
    )  # fmt: skip


@idiom("folded", "factored")
class BatchNormOfSequences(nn.Module):
    def __init__(self, classes: int) -> None:
        super().__init__()
        self.first, self.norm, self.out = nn.Linear(12, 5), nn.BatchNorm1d(6), nn.Linear(30, classes)

    def forward(self, x: Tensor) -> Tensor:
        return self.out(F.relu(self.norm(self.first(steps_of(x)))).flatten(1))


# --- dropout


@idiom()
def dropouts(classes: int) -> nn.Module:
    return nn.Sequential(
        nn.Dropout2d(0.2), nn.Conv2d(CHANNELS, 4, 3), nn.ReLU(), nn.Dropout(0.3), nn.Flatten(), nn.Linear(64, 8),
        nn.SELU(), nn.AlphaDropout(0.2), nn.Linear(8, classes),
    )  # fmt: skip


@idiom()
class FunctionalDropout(nn.Module):
    def __init__(self, classes: int) -> None:
        super().__init__()
        self.first, self.out = nn.Linear(PIXELS, 8), nn.Linear(8, classes)

    def forward(self, x: Tensor) -> Tensor:
        return self.out(F.dropout(F.relu(self.first(torch.flatten(x, 1))), 0.5, self.training))


# --- sequences and tokens


class Recurrent(nn.Module):
    """The last step of a recurrent layer."""

    def __init__(self, layer: nn.Module, width: int, classes: int) -> None:
        super().__init__()
        self.layer, self.out = layer, nn.Linear(width, classes)

    def forward(self, x: Tensor) -> Tensor:
        return self.out(self.layer(steps_of(x))[0][:, -1])


@idiom("folded", "factored", "stacked")
def lstm(classes: int) -> nn.Module:
    return Recurrent(nn.LSTM(12, 5, num_layers=2, dropout=0.1, bidirectional=True, batch_first=True), 10, classes)


@idiom("folded", "factored", "stacked")
def gru(classes: int) -> nn.Module:
    return Recurrent(nn.GRU(12, 5, batch_first=True), 5, classes)


@idiom("folded", "factored", "stacked")
def rnn(classes: int) -> nn.Module:
    return Recurrent(nn.RNN(12, 5, batch_first=True, nonlinearity="relu"), 5, classes)


@idiom("folded", "factored", "stacked")
class Cells(nn.Module):
    """A loop over steps."""

    def __init__(self, classes: int) -> None:
        super().__init__()
        self.cell, self.out = nn.LSTMCell(12, 5), nn.Linear(5, classes)

    def forward(self, x: Tensor) -> Tensor:
        state = None
        for step in steps_of(x).unbind(1):
            state = self.cell(step, state)
        return self.out(state[0])


@idiom("factored")
class Embedded(nn.Module):
    def __init__(self, classes: int) -> None:
        super().__init__()
        self.words, self.places = nn.Embedding(WORDS, 5, padding_idx=0), nn.Embedding(8, 5)
        self.out = nn.Linear(5, classes)

    def forward(self, x: Tensor) -> Tensor:
        ids = tokens_of(x)
        mask = (ids != 0).unsqueeze(-1)
        h = torch.tanh(self.words(ids) + self.places(torch.arange(8, device=ids.device)))
        return self.out((h * mask).sum(1) / mask.sum(1).clamp(min=1))


@idiom("factored")
class Bag(nn.Module):
    def __init__(self, classes: int) -> None:
        super().__init__()
        self.bag, self.out = nn.EmbeddingBag(WORDS, 5, mode="mean", padding_idx=0), nn.Linear(5, classes)

    def forward(self, x: Tensor) -> Tensor:
        return self.out(self.bag(tokens_of(x)))


@idiom("folded", "factored")
class Attention(nn.Module):
    def __init__(self, classes: int) -> None:
        super().__init__()
        self.embed, self.attend = nn.Linear(12, 8), nn.MultiheadAttention(8, 2, batch_first=True)
        self.token, self.out = nn.Parameter(torch.zeros(1, 1, 8)), nn.Linear(8, classes)

    def forward(self, x: Tensor) -> Tensor:
        h = torch.cat([self.token.expand(len(x), -1, -1), self.embed(steps_of(x))], 1)
        return self.out(self.attend(h, h, h, need_weights=False)[0][:, 0])


@idiom("folded", "factored", "stacked")
class Encoder(nn.Module):
    def __init__(self, classes: int) -> None:
        super().__init__()
        self.embed = nn.Linear(12, 8)
        layer = nn.TransformerEncoderLayer(8, 2, 16, dropout=0.1, batch_first=True, norm_first=True)
        self.blocks = nn.TransformerEncoder(layer, 2, enable_nested_tensor=False)
        self.register_buffer("mask", nn.Transformer.generate_square_subsequent_mask(6))
        self.out = nn.Linear(8, classes)

    def forward(self, x: Tensor) -> Tensor:
        return self.out(self.blocks(self.embed(steps_of(x)), mask=self.mask).mean(1))


# --- convolutions of other kinds


@idiom()
def autoencoder(classes: int) -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(CHANNELS, 4, 3, stride=2), nn.ReLU(), nn.ConvTranspose2d(4, 3, 3, stride=2, output_padding=1),
        nn.BatchNorm2d(3), nn.ReLU(), nn.Flatten(), nn.Linear(108, classes),
    )  # fmt: skip


@idiom("factored")
def transposed_first(classes: int) -> nn.Module:
    return nn.Sequential(
        nn.ConvTranspose2d(CHANNELS, 4, 2, stride=2, groups=2), nn.BatchNorm2d(4), nn.ReLU(), nn.AvgPool2d(4),
        nn.Flatten(), nn.Linear(36, classes),
    )  # fmt: skip


@idiom()
def separable(classes: int) -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(CHANNELS, 4, 1, bias=False), nn.BatchNorm2d(4), nn.ReLU6(),
        nn.Conv2d(4, 8, 3, padding=1, groups=4, bias=False), nn.BatchNorm2d(8), nn.Hardswish(),
        nn.Conv2d(8, 4, 3, dilation=2, padding="same", padding_mode="reflect"), nn.ELU(),
        nn.AdaptiveAvgPool2d((1, 1)), nn.Flatten(), nn.Linear(4, classes),
    )  # fmt: skip


@idiom("factored")
class OneDimension(nn.Module):
    def __init__(self, classes: int) -> None:
        super().__init__()
        self.conv, self.norm, self.out = nn.Conv1d(CHANNELS, 4, 5, padding=2), nn.BatchNorm1d(4), nn.Linear(4, classes)

    def forward(self, x: Tensor) -> Tensor:
        return self.out(F.relu(self.norm(self.conv(x.flatten(2)))).amax(-1))


@idiom("factored")
class ThreeDimensions(nn.Module):
    def __init__(self, classes: int) -> None:
        super().__init__()
        self.conv, self.norm, self.out = nn.Conv3d(1, 4, 2), nn.BatchNorm3d(4), nn.Linear(4, classes)

    def forward(self, x: Tensor) -> Tensor:
        return self.out(F.relu(self.norm(self.conv(x.unsqueeze(1)))).mean((2, 3, 4)))


@idiom()
def resampled(classes: int) -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(CHANNELS, 8, 3, padding=1), nn.PixelShuffle(2), nn.PReLU(2), nn.Upsample(scale_factor=0.5),
        nn.ZeroPad2d(1), nn.Conv2d(2, 4, 3), nn.LeakyReLU(0.2, inplace=True),
        nn.Upsample(size=(4, 4), mode="bilinear"), nn.Flatten(), nn.Linear(64, classes),
    )  # fmt: skip


# --- control flow


@idiom("folded", "factored", "stacked")
class LooksAtNumbers(nn.Module):
    def __init__(self, classes: int) -> None:
        super().__init__()
        self.a, self.b = nn.Linear(PIXELS, classes), nn.Linear(PIXELS, classes)

    def forward(self, x: Tensor) -> Tensor:
        x = x.flatten(1)
        return self.a(x) if self.a.weight.abs().mean() > 0 else self.b(x)


@idiom("folded", "factored")
class LooksAtShapes(nn.Module):
    def __init__(self, classes: int) -> None:
        super().__init__()
        self.out = nn.Linear(PIXELS, classes)

    def forward(self, x: Tensor) -> Tensor:
        if x.ndim == 3:
            x = x.unsqueeze(0)
        if x.shape[-1] % 2:
            x = F.pad(x, (0, 1))
        assert x.shape[1:] == SHAPE
        return self.out(x.flatten(1))


@idiom()
class Loops(nn.Module):
    """As many passes through its layers as an attribute says."""

    def __init__(self, classes: int) -> None:
        super().__init__()
        self.first, self.out, self.passes = nn.Linear(PIXELS, 8), nn.Linear(8, classes), 3
        self.blocks = nn.ModuleList(nn.Linear(8, 8) for _ in range(2))

    def forward(self, x: Tensor, passes: int | None = None, *, scale: float = 1.0) -> Tensor:
        x = self.first(x.flatten(start_dim=1))
        for _ in range(passes or self.passes):
            for block in self.blocks:
                x = x + torch.tanh(block(x)) * scale
        return self.out(x)


@idiom()
class Wraps(nn.Module):
    """A net within, and more words to its forward."""

    def __init__(self, classes: int) -> None:
        super().__init__()
        self.inner = Loops(classes)

    def forward(self, x: Tensor, **words: Any) -> Tensor:
        return self.inner(x, passes=2, scale=0.5)


# --- buffers and parameters


@idiom("factored")
class Constants(nn.Module):
    """Buffers that are constants, of several kinds; one is not stored."""

    def __init__(self, classes: int) -> None:
        super().__init__()
        self.register_buffer("mean", torch.full((1, CHANNELS, 1, 1), 0.1))
        self.register_buffer("order", torch.arange(PIXELS).flip(0))
        self.register_buffer("kept", torch.arange(PIXELS) % 3 != 0, persistent=False)
        self.register_buffer("none", None)
        self.out = nn.Linear(PIXELS, classes)

    def forward(self, x: Tensor) -> Tensor:
        return self.out((x - self.mean).flatten(1)[:, self.order] * self.kept)


@idiom("factored")
class Counts(nn.Module):
    """A counter and a running mean that it keeps itself, in training."""

    def __init__(self, classes: int) -> None:
        super().__init__()
        self.register_buffer("calls", torch.zeros((), dtype=torch.int64))
        self.register_buffer("centre", torch.zeros(PIXELS))
        self.out = nn.Linear(PIXELS, classes)

    def forward(self, x: Tensor) -> Tensor:
        x = x.flatten(1)
        if self.training:
            self.calls += 1
            self.centre = 0.9 * self.centre + 0.1 * x.detach().mean(0)
        return self.out(x - self.centre)


@idiom()
class CountsAlways(nn.Module):
    """A counter that evaluation moves as well, and nothing depends on."""

    def __init__(self, classes: int) -> None:
        super().__init__()
        self.register_buffer("calls", torch.zeros((), dtype=torch.int64))
        self.out = nn.Linear(PIXELS, classes)

    def forward(self, x: Tensor) -> Tensor:
        self.calls += 1
        return self.out(x.flatten(1))


@idiom()
class Frozen(nn.Module):
    """Layers that do not learn."""

    def __init__(self, classes: int) -> None:
        super().__init__()
        self.body = nn.Sequential(nn.Conv2d(CHANNELS, 4, 3), nn.BatchNorm2d(4), nn.ReLU()).requires_grad_(False)
        self.out = nn.Linear(64, classes)

    def forward(self, x: Tensor) -> Tensor:
        with torch.no_grad():
            x = self.body(x)
        return self.out(x.flatten(1))


@idiom()
class Scalars(nn.Module):
    """Parameters that are one number."""

    def __init__(self, classes: int) -> None:
        super().__init__()
        self.first, self.out = nn.Linear(PIXELS, 8), nn.Linear(8, classes)
        self.gain, self.temperature = nn.Parameter(torch.tensor(1.5)), nn.Parameter(torch.tensor([0.7]))

    def forward(self, x: Tensor) -> Tensor:
        h = F.normalize(self.first(x.flatten(1)), dim=1) * self.gain
        return self.out(h) / self.temperature.exp()


@idiom("factored")
class NoParametersInside(nn.Module):
    """Layers without parameters, and one parameter that nothing uses."""

    def __init__(self, classes: int) -> None:
        super().__init__()
        self.pool, self.same, self.out = nn.AvgPool2d(2), nn.Identity(), nn.Linear(18, classes)
        self.unused, self.head = nn.Parameter(torch.ones(3)), nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.out(self.same(self.pool(x)).flatten(1)))


@idiom("factored")
class Fourier(nn.Module):
    """Complex numbers between, real ones outside."""

    def __init__(self, classes: int) -> None:
        super().__init__()
        self.filters, self.out = nn.Parameter(torch.randn(CHANNELS, SIDE, 4, 2) / 4), nn.Linear(PIXELS, classes)

    def forward(self, x: Tensor) -> Tensor:
        spectrum = torch.fft.rfft2(x) * torch.view_as_complex(self.filters)
        return self.out(torch.fft.irfft2(spectrum, s=(SIDE, SIDE)).flatten(1))


# --- wrapped and made by tools


@idiom()
class Checkpointed(nn.Module):
    def __init__(self, classes: int) -> None:
        super().__init__()
        self.first = nn.Sequential(nn.Linear(PIXELS, 8), nn.Tanh())
        self.inner, self.out = nn.Sequential(nn.Linear(8, 8), nn.Tanh()), nn.Linear(8, classes)

    def forward(self, x: Tensor) -> Tensor:
        x = self.first(x.flatten(1))
        return self.out(checkpoint(self.inner, x, use_reentrant=False))


@idiom()
def compiled(classes: int) -> nn.Module:
    return torch.compile(sequential(classes), backend="eager")


@idiom()
def data_parallel(classes: int) -> nn.Module:
    return nn.DataParallel(sequential(classes))


@idiom("factored")
def pruned(classes: int) -> nn.Module:
    net = sequential(classes)
    prune.l1_unstructured(net[0], "weight", amount=0.3)
    return net


@idiom("folded", "factored")
def hooked(classes: int) -> nn.Module:
    """Hooks on layers that plans would fold, factor out or write over."""
    net = nn.Sequential(nn.Conv2d(CHANNELS, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Flatten(), nn.Linear(64, classes))
    net[0].register_forward_hook(lambda module, given, output: output.clamp(-0.5, 0.5))
    net[1].register_forward_pre_hook(lambda module, given: (2 * given[0],))
    net[2].register_forward_hook(lambda module, given, output: output + 0.1)
    net.register_forward_pre_hook(lambda module, given: (given[0] + 0.3,))
    return net


@idiom()
class Keeps(nn.Module):
    """What a forward gave stays in an attribute, with its graph; more arguments have defaults."""

    def __init__(self, classes: int) -> None:
        super().__init__()
        self.first, self.out = nn.Linear(PIXELS, 8), nn.Linear(8, classes)
        self.features: Tensor | None = None

    def forward(self, x: Tensor, mask: Tensor | None = None, scale: float = 0.5) -> Tensor:
        x = x.view(x.size(0), -1)
        if mask is not None:
            x = x * mask
        self.features = torch.tanh(self.first(x))
        return self.out(self.features * scale)


@idiom("factored")
class Rotated(nn.Module):
    """A complex buffer."""

    def __init__(self, classes: int) -> None:
        super().__init__()
        self.register_buffer("turns", torch.polar(torch.ones(36), torch.arange(36.0)))
        self.out = nn.Linear(PIXELS, classes)

    def forward(self, x: Tensor) -> Tensor:
        turned = torch.view_as_complex(x.reshape(x.shape[0], 36, 2)) * self.turns
        return self.out(torch.view_as_real(turned).flatten(1))


@idiom()
class RandomDepth(nn.Module):
    """Layers that training leaves out at random, and a head that it alone has."""

    def __init__(self, classes: int) -> None:
        super().__init__()
        self.first, self.aside, self.out = nn.Linear(PIXELS, 8), nn.Linear(8, classes), nn.Linear(8, classes)
        self.blocks = nn.ModuleList(nn.Linear(8, 8) for _ in range(2))

    def forward(self, x: Tensor) -> Any:
        x = self.first(x.flatten(1))
        for block in self.blocks:
            if not self.training or torch.rand(1) > 0.5:
                x = x + torch.relu(block(x))
        return {"logits": self.out(x), "aside": self.aside(x)} if self.training else self.out(x)


class Symmetric(nn.Module):
    """A parametrisation of one's own."""

    def forward(self, x: Tensor) -> Tensor:
        return x.triu() + x.triu(1).transpose(-1, -2)


@idiom()
def parametrised(classes: int) -> nn.Module:
    inner = parametrize.register_parametrization(nn.Linear(8, 8), "weight", Symmetric())
    return nn.Sequential(nn.Flatten(), nn.Linear(PIXELS, 8), nn.Tanh(), inner, nn.Linear(8, classes))
