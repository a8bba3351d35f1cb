"""A run directory from any training loop: `Recorder(folder, model, train=…, test=…)`, in the loop `save(epoch=…)`."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset

from lossscape import data, models, weights, yamlfile
from lossscape.adopt import keep
from lossscape.adopt.fit import fitted
from lossscape.batches import Batch, Inputs, called, changed, tensors_of
from lossscape.config import RunConfig, config_of
from lossscape.errors import BadInput, Page, see
from lossscape.files import held, save_tensors
from lossscape.models.recognised import section_of
from lossscape.modules import check_module, copied, unwrapped
from lossscape.outputs import logits_of
from lossscape.reading import same, samples_of
from lossscape.runs import Run
from lossscape.tokens import are_tokens, by_position
from lossscape.train.checks import DATA_FILE

Samples = tuple[Any, Tensor] | Dataset[Any] | DataLoader[Any]
"""(inputs, targets), the inputs a tensor or a mapping of tensors; or a data set of torch's."""
SAMPLES = 4
"""On which a model and what its config makes are compared."""
TOLERANCE = 1e-3


class Recorder:
    """Keeps a model's weights as checkpoints of a run, with the metrics that training would have measured."""

    def __init__(
        self,
        folder: str | Path,
        model: nn.Module,
        *,
        train: Samples | None = None,
        test: Samples | None = None,
        loss: str | Mapping[str, Any] = "cross_entropy",
        named: str | Mapping[str, Any] | None = None,
        config: Mapping[str, Any] | None = None,
        overwrite: bool = False,
    ) -> None:
        """folder: the run directory, as in "runs/mine"; one that exists is continued, or deleted with overwrite.

        model: any module, left as it is, and so are its mode, device, gradients and all random states.
        train, test: (inputs, targets) as the net sees them, a Dataset or a DataLoader; they are kept in the folder.
        loss: a name, or the `loss` section of a config; named: what makes such a model, as "mine.py:net" or the `model`
        section, not needed for models of lossscape; config: further keys, such as metrics, output, or dataset in place
        of train and test.
        Raises BadInput where these do not fit together, or the folder holds another run.
        """
        self.run = Run(folder)
        """The run."""
        self._model = unwrapped(model)
        check_module(self._model)
        self._subject: keep.Subject | None = None
        if _is_replica():
            return
        device = next((value.device for value in self._model.parameters()), torch.device("cpu"))
        if named is None:
            named = section_of(self._model) or (None if overwrite else _named_before(self.run))
        keys: dict[str, Any] = {"name": self.run.name, "loss": loss, **(config or {}), "model": named or "mlp"}
        content = None if "dataset" in keys else _content(self._model, device, train, test, keys.get("output"))
        with held(self.run.path, "recording"):
            continued = keep.check_folder(self.run, overwrite)
            if content is not None:
                keys["dataset"] = _keep_data(self.run, content, continued)
            resolved = _config(self.run.path, keys)
            loaded = data.load(resolved.dataset, device)
            if named is None:
                structure = copied(self._model)
                structure.zero_grad(set_to_none=True)
            else:
                structure = models.build(resolved.model, loaded.shape, loaded.outputs)
                _check_same(self._model, structure, loaded.train.inputs[:SAMPLES], resolved)
            subject = keep.subject_of(self.run, resolved, loaded, structure, device, named=named is not None)
            keep.check_config(self.run, subject.resolved(), overwrite)
            keep.begin(subject, keep.RECORDED, overwrite=overwrite, keeping=(DATA_FILE,))
        self._subject = subject

    def save(self, *, epoch: int) -> dict[str, float]:
        """Keep the model's present weights as the checkpoint of an epoch, in place of one that is there.

        Both splits are evaluated, in eval mode on a copy. Returns the metrics, as train_loss, test_accuracy, …. In the
        processes of data-parallel training only the first keeps anything; in the others nothing is returned.
        """
        if self._subject is None:
            return {}
        if epoch < 0:
            raise BadInput(f"epoch {epoch}: epochs count from 0")
        state = fitted(self._model.state_dict(), self._subject.model, f"{self.run.path}, epoch {epoch}").state
        with held(self.run.path, "recording"):
            return keep.add(self._subject, epoch, state, {"recorded": True})


def _is_replica() -> bool:
    """Whether this is one of the processes of data-parallel training that write nothing."""
    distributed = torch.distributed
    return distributed.is_available() and distributed.is_initialized() and distributed.get_rank() > 0


def _named_before(run: Run) -> dict[str, Any] | None:
    """The model section that was written into the config of a run that was begun without one."""
    if not run.config_file.exists():
        return None
    config = yamlfile.read(run.config_file).data
    named: dict[str, Any] | None = config.get("model") if isinstance(config, dict) else None
    return named


def _content(
    model: nn.Module, device: torch.device, train: Samples | None, test: Samples | None, output: str | None
) -> dict[str, Any]:
    """What the file of the data holds. Raises BadInput where a split is missing or is no data."""
    if train is None or test is None:
        raise BadInput("a recorder needs train=(inputs, targets) and test=(inputs, targets), or a dataset in config")
    content: dict[str, Any] = {}
    for split, given in (("train", train), ("test", test)):
        inputs, targets = samples_of(*given) if isinstance(given, tuple | list) else samples_of(given)
        kept = {name: _kept(each[:]) for name, each in tensors_of(inputs).items()}
        content[f"{split}_inputs"] = kept if isinstance(inputs, Batch) else kept["inputs"]
        content[f"{split}_targets"] = _kept(targets)
        if split == "train" and not targets.is_floating_point():
            few = inputs[:SAMPLES]
            models.summarise(model, few)  # refuses what does not fit
            outputs = _outputs(model, few.to(device), output)
            if are_tokens(targets):
                outputs, _ = by_position(outputs, targets[:SAMPLES])
            if outputs.ndim > 1:
                content["classes"] = outputs.shape[1]
    return content


def _outputs(model: nn.Module, inputs: Inputs, output: str | None) -> Tensor:
    """What a copy of a model in eval mode gives."""
    with torch.random.fork_rng(devices=[]), torch.no_grad():
        return logits_of(called(copied(model).eval(), changed(inputs, torch.clone)), len(inputs), output)


def _kept(tensor: Tensor) -> Tensor:
    """On the CPU, with no more memory than its own."""
    return tensor.detach().cpu().contiguous().clone()


def _keep_data(run: Run, content: dict[str, Any], continued: bool) -> dict[str, Any]:
    """Write the data into the run's folder, and return the section that names it.

    Raises BadInput where the run is continued with other data.
    """
    file = run.path / DATA_FILE
    if not continued:
        save_tensors(file, content)
    elif not file.exists() or not same(weights.read(file), content):
        raise BadInput(f"{run.path} was made with other data: choose another folder, or overwrite=True")
    return {"name": "tensors", "file": DATA_FILE, "normalize": False}


def _config(folder: Path, keys: dict[str, Any]) -> RunConfig:
    """The config of the run; loss and model may be names alone. Raises BadInput."""
    sections = {key: dict(value) if isinstance(value, Mapping) else value for key, value in keys.items()}
    sections |= {key: {"name": keys[key]} for key in ("loss", "model") if isinstance(keys[key], str)}
    return config_of(RunConfig, sections, str(folder), folder)


def _check_same(model: nn.Module, made: nn.Module, inputs: Inputs, config: RunConfig) -> None:
    """Raise BadInput where a config's model does not compute what the recorded one does."""
    name = config.model.name
    state = fitted(model.state_dict(), made, f"the recorded model, as {name!r}").state
    made.load_state_dict(state)
    wanted, got = (_outputs(each, inputs, config.output) for each in (model, made.to(inputs.device)))
    if wanted.shape != got.shape or not torch.allclose(wanted.float(), got.float(), TOLERANCE, TOLERANCE):
        raise BadInput(
            f"{name!r} makes a model of the same parameters that gives other outputs than the recorded one"
            f"{see(Page.RECIPES)}"
        )
