"""Random changes of a batch of training pictures, where the batch lies."""

import torch
from torch import Tensor
from torch.nn import functional

from lossscape.data.options import Augment


def augment(inputs: Tensor, options: Augment, generator: torch.Generator) -> Tensor:
    """A batch [N, C, H, W] with a random crop and a random mirroring of each picture.

    Padding is with zeros as the net sees them: the mean colour of the training pictures where the data is
    normalised (as in He et al. 2015), black where it is not. Three numbers are drawn per picture, on the
    generator's device, so a generator of the CPU gives the same pictures on every device:
    first all shifts down, then all shifts right (each 0 to 2·crop), then all coins.
    """
    if options.crop:
        inputs = _cropped(inputs, options.crop, generator)
    if options.flip:
        coins = torch.randint(0, 2, (len(inputs),), generator=generator, device=generator.device)
        mirrored = coins.to(inputs.device).bool().reshape(-1, 1, 1, 1)
        inputs = torch.where(mirrored, inputs.flip(3), inputs)
    return inputs


def _cropped(inputs: Tensor, margin: int, generator: torch.Generator) -> Tensor:
    count, _, height, width = inputs.shape
    padded = functional.pad(inputs, [margin] * 4)
    shifts = torch.randint(0, 2 * margin + 1, (2, count), generator=generator, device=generator.device)
    down, right = shifts.to(inputs.device)
    windows = padded.unfold(2, height, 1).unfold(3, width, 1)  # a view: [N, C, 2m+1, 2m+1, H, W]
    return windows[torch.arange(count, device=inputs.device), :, down, right]
