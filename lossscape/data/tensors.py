"""A data set that lies in one file of tensors, such as a recorder writes."""

from dataclasses import replace
from pathlib import Path

from lossscape import weights
from lossscape.data.check import TENSORS, checked
from lossscape.data.split import RawData
from lossscape.errors import BadInput
from lossscape.families import File


def tensors(mmap: bool = False, *, file: File) -> RawData:
    """A mapping of train_inputs, train_targets, test_inputs and test_targets, with `classes` (a number) beside them.

    file: of torch.save or of safetensors, looked for from the config's folder first; no code in it is run. Without
    `classes` there are as many as the targets have; targets that are floats are numbers and have none.
    """
    content = weights.read(Path(file), mapped=mmap)
    missing = [key for key in TENSORS if not isinstance(content, dict) or key not in content]
    if missing:
        raise BadInput(f"dataset tensors: {file} lacks {', '.join(missing)}")
    raw = checked(tuple(content[key] for key in TENSORS), "tensors")
    if raw.classes and "classes" in content:
        return replace(raw, classes=[str(number) for number in range(int(content["classes"]))])
    return raw
