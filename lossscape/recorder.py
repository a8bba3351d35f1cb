"""A run directory from any training loop: `Recorder(folder, model, train=…, test=…)`, in the loop `save(epoch=…)`."""

import copy
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from pydantic import ValidationError
from torch import Tensor, nn

from lossscape import data, models, trust, weights, yamlfile
from lossscape.adopt import keep
from lossscape.adopt.fit import fitted
from lossscape.batches import Inputs, called, unwrapped
from lossscape.config import RunConfig
from lossscape.errors import BadInput
from lossscape.files import held, save_tensors, sweep
from lossscape.models.recognised import section_of
from lossscape.outputs import logits_of
from lossscape.runs import Run
from lossscape.train.checks import DATA_FILE
from lossscape.train.state import say_state

Tensors = tuple[Tensor, Tensor]
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
        train: Tensors | None = None,
        test: Tensors | None = None,
        dataset: Mapping[str, Any] | None = None,
        loss: str | Mapping[str, Any] = "cross_entropy",
        named: str | Mapping[str, Any] | None = None,
        overwrite: bool = False,
    ) -> None:
        """folder: the run directory, as in "runs/mine"; one that exists is continued, or deleted with overwrite.

        model: any module, left as it is, and so are its mode, device, gradients and all random states.
        train, test: inputs [N, ...] as the net sees them and targets [N]; they are kept in the folder.
        dataset: in place of them, the `dataset` section of a config; loss: a name, or the `loss` section.
        named: what makes such a model, as "mine.py:net" or the `model` section; not needed for models of lossscape.
        Raises BadInput where these do not fit together, or the folder holds another run.
        """
        run = Run(folder)
        self._model = unwrapped(model)
        self._device = next((value.device for value in self._model.parameters()), torch.device("cpu"))
        if named is None:
            named = section_of(self._model) or (None if overwrite else _named_before(run))
        model_section = {"name": named} if isinstance(named, str) else named
        classes = _classes(self._model, train)
        with held(run.path, "recording"):
            continued = keep.check_folder(run, overwrite)
            if dataset is None:
                dataset = _keep_data(run, train, test, classes, continued)
            config = _config(run, dataset, loss, model_section)
            loaded = data.load(config.dataset, self._device)
            if model_section is None:
                structure = copy.deepcopy(self._model)
                structure.zero_grad(set_to_none=True)
            else:
                structure = models.build(config.model, loaded.shape, loaded.outputs)
                _check_same(self._model, structure, loaded.train.inputs[:SAMPLES], config.model.name)
            self._subject = keep.subject_of(
                run, config, loaded, structure, self._device, named=model_section is not None
            )
            keep.check_place(run, self._subject.resolved(), overwrite)
            keep.begin(self._subject, keeping=(DATA_FILE,) if overwrite else None)
            sweep(run.path / "checkpoints")
            say_state(run, keep.RECORDED)

    @property
    def run(self) -> Run:
        """The run."""
        return self._subject.run

    def save(self, *, epoch: int) -> dict[str, float]:
        """Keep the model's present weights as the checkpoint of an epoch, in place of one that is there.

        Both splits are evaluated, in eval mode on a copy. Returns the metrics, as train_loss, test_accuracy, …. In the
        processes of data-parallel training only the first does this; the others return nothing.
        """
        if torch.distributed.is_available() and torch.distributed.is_initialized() and torch.distributed.get_rank():
            return {}
        if epoch < 0:
            raise BadInput(f"epoch {epoch}: epochs count from 0")
        state = fitted(self._model.state_dict(), self._subject.model, f"{self.run.path}, epoch {epoch}").state
        with held(self.run.path, "recording"):
            return keep.add(self._subject, epoch, state, {"recorded": True})


def _named_before(run: Run) -> dict[str, Any] | None:
    """The model section that was written into the config of a run that was begun without one."""
    if not run.config_file.exists():
        return None
    config = yamlfile.read(run.config_file).data
    named: dict[str, Any] | None = config.get("model") if isinstance(config, dict) else None
    return named


def _classes(model: nn.Module, train: Tensors | None) -> int | None:
    """How many classes a model tells apart; None where there is no class for each sample."""
    if train is None or train[1].ndim != 1 or train[1].is_floating_point():
        return None
    outputs = models.summarise(model, train[0]).outputs
    return outputs[0] if len(outputs) == 1 else None


def _keep_data(
    run: Run, train: Tensors | None, test: Tensors | None, classes: int | None, continued: bool
) -> dict[str, Any]:
    """Write the data into the run's folder, and return the section that names it.

    Raises BadInput where the run is continued with other data.
    """
    if train is None or test is None:
        raise BadInput("a recorder needs train=(inputs, targets) and test=(inputs, targets), or dataset={…}")
    names = ("train_inputs", "train_targets", "test_inputs", "test_targets")
    content: dict[str, Any] = {
        name: tensor.detach().cpu().contiguous().clone() for name, tensor in zip(names, (*train, *test), strict=True)
    }
    if classes is not None:
        content["classes"] = classes
    file = run.path / DATA_FILE
    if not continued:
        save_tensors(file, content)
    elif not _holds(file, content):
        raise BadInput(f"{run.path} was made with other data: choose another folder, or overwrite=True")
    return {"name": "tensors", "file": DATA_FILE, "normalize": False}


def _holds(file: Path, content: dict[str, Any]) -> bool:
    """Whether a file holds the same data."""
    if not file.exists():
        return False
    before = weights.read(file)
    return set(before) == set(content) and all(
        torch.equal(torch.as_tensor(before[key]), torch.as_tensor(content[key])) for key in content
    )


def _config(
    run: Run, dataset: Mapping[str, Any], loss: str | Mapping[str, Any], model: Mapping[str, Any] | None
) -> RunConfig:
    """The config of the run; where no model is named, with one that stands in for it."""
    sections = {
        "name": run.name,
        "dataset": dict(dataset),
        "model": dict(model or {"name": "mlp"}),
        "loss": {"name": loss} if isinstance(loss, str) else dict(loss),
    }
    try:
        return RunConfig.model_validate(sections, context={"folder": run.path, "guard": trust.guard(None)})
    except ValidationError as error:
        raise BadInput(f"{run.path}: {error}") from None


def _check_same(model: nn.Module, made: nn.Module, inputs: Inputs, name: str) -> None:
    """Raise BadInput where a config's model does not compute what the recorded one does."""
    state = fitted(model.state_dict(), made, f"the recorded model, as {name!r}").state
    with torch.random.fork_rng(devices=[]), torch.no_grad():
        made.load_state_dict(state)
        wanted, got = (
            logits_of(called(each.eval(), inputs), len(inputs))
            for each in (copy.deepcopy(model), made.to(inputs.device))
        )
    if wanted.shape != got.shape or not torch.allclose(wanted.float(), got.float(), TOLERANCE, TOLERANCE):
        raise BadInput(f"{name!r} makes a model of the same parameters that gives other outputs than the recorded one")
