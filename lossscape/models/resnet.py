"""torchvision's residual nets, for pictures of any size and number of channels, with untrained values."""

from typing import Literal

from torch import nn

from lossscape.data.vision import torchvision
from lossscape.models.cnn import check_picture
from lossscape.models.recognised import recognised

Stem = Literal["imagenet", "cifar"]


@recognised
def resnet18(shape: tuple[int, ...], classes: int, *, stem: Stem = "imagenet", shortcuts: bool = True) -> nn.Module:
    """ResNet-18: four stacks of two basic blocks (He et al., arXiv:1512.03385). See `_resnet`."""
    return _resnet("resnet18", shape, classes, stem, shortcuts)


@recognised
def resnet50(shape: tuple[int, ...], classes: int, *, stem: Stem = "imagenet", shortcuts: bool = True) -> nn.Module:
    """ResNet-50: stacks of 3, 4, 6, 3 bottleneck blocks (He et al., arXiv:1512.03385). See `_resnet`."""
    return _resnet("resnet50", shape, classes, stem, shortcuts)


def _resnet(name: str, shape: tuple[int, ...], classes: int, stem: Stem, shortcuts: bool) -> nn.Module:
    """The net `name` of torchvision.models with another stem, and without its shortcuts if asked.

    shape: (C, H, W) of one picture; classes: outputs. stem: `imagenet` is a 7×7 convolution of stride 2 and a
    3×3 max pooling of stride 2, `cifar` a 3×3 convolution of stride 1. shortcuts=False: every block is the
    chain of its convolutions, with neither the addition nor the parameters that only it uses.
    Raises BadInput where inputs are no pictures.
    """
    check_picture(name, shape)
    net: nn.Module = getattr(torchvision().models, name)(num_classes=classes)
    if stem == "cifar":
        net.conv1 = _convolution(shape[0], kernel_size=3, stride=1)
        net.maxpool = nn.Identity()
    elif shape[0] != 3:
        net.conv1 = _convolution(shape[0], kernel_size=7, stride=2)
    for module in net.modules():
        if isinstance(module, nn.ReLU):
            module.inplace = False  # a hook on the layer in front then sees what that layer gave
    if not shortcuts:
        for stack in (net.layer1, net.layer2, net.layer3, net.layer4):
            assert isinstance(stack, nn.Sequential)
            for number, block in enumerate(stack):
                stack[number] = _chain(block)
    return net


def _convolution(channels: int, kernel_size: int, stride: int) -> nn.Conv2d:
    """A first convolution to 64 channels, with initial values as torchvision's ResNets have them."""
    conv = nn.Conv2d(channels, 64, kernel_size, stride, padding=kernel_size // 2, bias=False)
    nn.init.kaiming_normal_(conv.weight, mode="fan_out", nonlinearity="relu")
    return conv


def _chain(block: nn.Module) -> nn.Sequential:
    """The convolutions of a residual block, each with its batch norm and ReLU, under the names they had."""
    chain = nn.Sequential()
    for number in ("1", "2", "3"):
        if hasattr(block, f"conv{number}"):  # three in a bottleneck, two in a basic block
            chain.add_module(f"conv{number}", getattr(block, f"conv{number}"))
            chain.add_module(f"bn{number}", getattr(block, f"bn{number}"))
            chain.add_module(f"relu{number}", nn.ReLU())
    return chain
