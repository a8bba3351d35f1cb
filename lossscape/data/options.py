"""The keys that every data set shares."""

from typing import Annotated, Literal

from pydantic import Field

from lossscape.families import SPARSE, Component, Count, Probability, Section


class Augment(Section):
    """Random changes of training pictures, on the device, in training steps only."""

    crop: Annotated[int, Field(ge=0, le=64)] = 0
    """Pad with this many zeros on each side, then cut the original size out at a random place."""
    flip: bool = False
    """Mirror left and right with probability one half."""


class DataOptions(Component):
    """What every data set shares."""

    root: str | None = None
    """Folder of the files; null: $LOSSSCAPE_DATA, else ~/.cache/lossscape."""
    train_size: Count | None = None
    """A seeded subset of the training split with the classes in proportion; null: all."""
    test_size: Count | None = None
    normalize: bool = True
    """Per channel, (x − mean) / std of the training inputs used; false: pixels in [0, 1]."""
    label_noise: Probability = 0.0
    """Fraction of training labels drawn anew, uniformly over all classes; 1.0: random labels."""
    augment: Literal["none"] | Augment = "none"
    mmap: Annotated[bool, SPARSE] = False
    """Inputs stay as they were read, in a file of the cache folder where the data set can be larger than the memory
    (image_folder, tensors, synthetic), and are normalised when they are used."""
    seed: Annotated[int, Field(ge=0)] = 0
    """Of the subset and the label noise; apart from the training seed, so that runs share their data."""
