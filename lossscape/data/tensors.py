"""A data set that lies in one file of tensors, such as a recorder writes."""

from pathlib import Path

from lossscape import weights
from lossscape.data.split import RawData, Split
from lossscape.errors import BadInput
from lossscape.families import File

KEYS = ("train_inputs", "train_targets", "test_inputs", "test_targets")


def tensors(*, file: File) -> RawData:
    """A mapping of train_inputs, train_targets, test_inputs and test_targets, with `classes` (a number) beside them.

    file: of torch.save or of safetensors, looked for from the config's folder first; no code in it is run. Without
    `classes` there are as many as the targets have; targets that are floats are numbers and have none.
    """
    content = weights.read(Path(file))
    missing = [key for key in KEYS if not isinstance(content, dict) or key not in content]
    if missing:
        raise BadInput(f"dataset tensors: {file} lacks {', '.join(missing)}")
    train_inputs, train_targets, test_inputs, test_targets = (content[key] for key in KEYS)
    highest = max(int(targets.max()) for targets in (train_targets, test_targets))
    classes = 0 if train_targets.is_floating_point() else int(content.get("classes", highest + 1))
    return RawData(
        Split(train_inputs, train_targets), Split(test_inputs, test_targets), [str(i) for i in range(classes)]
    )
