"""Configs: those that are shipped, what a run writes and reads back, --set, positions of errors, the schema."""

import json
import operator
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from conftest import DIGITS, Answer
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lossscape import models, yamlfile
from lossscape.config import Experiment, experiment_from, json_schema, read_experiment
from lossscape.errors import BadInput
from lossscape.models import INITIAL_VALUES
from lossscape.numerals import LEAST, MOST
from lossscape.refusals import FAMILIES

ROOT = Path(__file__).parents[1]
SHIPPED = sorted((ROOT / "configs").glob("*.yaml"))
SHAPES = {"digits": (1, 8, 8), "mnist": (1, 28, 28), "cifar10": (3, 32, 32), "regression_1d": (1,)}
PARAMETERS = {
    "edge_of_stability": 64 * 32 + 32 + 32 * 10 + 10,
    "digits_saddles": 64 * 3 + 3 + 3 * 10 + 10,
    "digits_mlp": 64 * 64 + 64 + 64 * 32 + 32 + 32 * 10 + 10,
    "mnist_mlp": 784 * 100 + 100 + 100 * 100 + 100 + 100 * 10 + 10,
    "regression_1d": 2 * 50 + 51 * 10,
    "mnist_4nn_100": 784 * 100 + 100 + 100 * 100 + 100 + 100 * 10 + 10,
    "mnist_3nn_1000": 784 * 1000 + 1000 + 1000 * 10 + 10,
    "cifar10_dnn": 3072 * 128 + 128 + 128 * 64 + 64 + 64 * 32 + 32 + 32 * 16 + 16 + 16 * 10 + 10,
    "cifar10_cnn": 9 * (3 * 128 + 128 * 64 + 64 * 32 + 32 * 16 + 16 * 10) + 128 + 64 + 32 + 16 + 10,
    # torchvision's 25,557,032 with 1000 classes and a 7x7 stem
    "cifar10_resnet50": 25_557_032 - 2049 * 1000 + 2049 * 10 - 64 * 3 * (49 - 9),
}
MINIMAL = {
    "name": "x",
    "dataset": {"name": "digits"},
    "model": {"name": "mlp"},
    "optimizer": {"name": "momentum", "lr": 0.05},
    "training": {"epochs": 20},
}


def read(tmp_path: Path, text: str, *texts: str) -> Experiment:
    """The experiment of a YAML text with --set texts."""
    file = tmp_path / "a.yaml"
    file.write_text(text)
    return read_experiment(file, list(texts))


def errors(tmp_path: Path, text: str, *texts: str) -> list[str]:
    """The lines that refuse a YAML text with --set texts, without the folder."""
    with pytest.raises(BadInput) as refused:
        read(tmp_path, text, *texts)
    return str(refused.value).replace(f"{tmp_path}/", "").splitlines()


# --- shipped files ------------------------------------------------------------------------------------------


def test_every_shipped_config_is_known() -> None:
    assert {file.stem for file in SHIPPED} == set(PARAMETERS)


@pytest.mark.parametrize("file", SHIPPED, ids=lambda file: file.stem)
def test_shipped_config(file: Path) -> None:
    experiment = read_experiment(file)
    assert experiment.name == file.stem
    assert file.read_text().splitlines()[0] == "# yaml-language-server: $schema=schema.json"
    family, spec = FAMILIES["model"], experiment.model
    with torch.device("meta"):
        model = family.function(spec)(SHAPES[experiment.dataset.name], 10, **family.arguments(spec))
    assert sum(value.numel() for value in model.parameters()) == PARAMETERS[file.stem]


def test_schema_is_the_shipped_file(cli: Callable[..., Answer]) -> None:
    answer = cli("schema")
    assert (answer.code, answer.err) == (0, "")
    assert answer.out == (ROOT / "configs" / "schema.json").read_text()


def test_schema_knows_every_member() -> None:
    text = json.dumps(json_schema())
    for name in ("dataset", "model", "loss", "optimizer", "schedule"):
        for member in FAMILIES[name].members:
            assert f'"const": "{member}"' in text
    for member in INITIAL_VALUES.members:
        assert f'"const": "{member}"' in text
    assert json_schema()["required"] == ["name", "dataset", "model", "optimizer", "training"]
    assert json_schema()["additionalProperties"] is False


def test_new_writes_an_example_of_all_defaults(
    cli: Callable[..., Answer], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert cli("new").code == 0
    assert cli("new").code == 0  # as after a call that was killed when it had written
    assert cli("new", "deep/er/mine.yaml").code == 0
    text = (tmp_path / "experiment.yaml").read_text()
    assert (tmp_path / "deep/er/mine.yaml").read_text() == text
    example = read_experiment(tmp_path / "experiment.yaml")
    assert example.resolved() == experiment_from(MINIMAL | {"name": "example"}).resolved()
    for allowed in [*FAMILIES["dataset"].members, *FAMILIES["model"].members, *FAMILIES["optimizer"].members]:
        assert re.search(rf"\b{allowed}\b", text)


# --- there and back -----------------------------------------------------------------------------------------


def test_only_five_keys_are_needed() -> None:
    resolved = experiment_from(MINIMAL).resolved()
    assert list(resolved) == [
        "name", "seed", "device", "precision",
        "dataset", "model", "loss", "optimizer", "schedule", "training", "teacher",
    ]  # fmt: skip
    assert resolved["loss"] == {"name": "cross_entropy", "label_smoothing": 0.0}
    assert resolved["schedule"] == {"name": "constant", "warmup_epochs": 0.0}
    assert resolved["training"]["batch_size"] == 100
    assert resolved["model"]["init"] == {"name": "default"}


rates = st.floats(LEAST, MOST)
shares = st.just(0.0) | st.floats(LEAST, 1)
fractions = st.just(0.0) | st.floats(LEAST, 1, exclude_max=True)
sizes = st.integers(1, 10**6)
counts = st.integers(1, 10**9)


def some(**optional: st.SearchStrategy[Any]) -> st.SearchStrategy[dict[str, Any]]:
    """A section with any of these keys."""
    return st.fixed_dictionaries({}, optional=optional)


def named(name: str, required: dict[str, Any] | None = None, **optional: Any) -> st.SearchStrategy[dict[str, Any]]:
    """The section of a member."""
    return st.fixed_dictionaries({"name": st.just(name), **(required or {})}, optional=optional)


inits = st.sampled_from(["default", "xavier", "he", "lecun"]) | st.one_of(
    named("normal", {"std": rates}), named("constant", {"value": rates | rates.map(operator.neg)}), named("he")
)
shared = {
    "train_size": st.none() | counts, "test_size": counts, "normalize": st.booleans(), "label_noise": shares,
    "root": st.none() | st.text("aé学 :#'\"\\/", min_size=1), "seed": st.integers(0, 2**70),
    "augment": st.just("none") | some(crop=st.integers(0, 64), flip=st.booleans()),
}  # fmt: skip
activations = st.sampled_from([*models.activations.ACTIVATIONS])
experiments = st.fixed_dictionaries(
    {
        "name": st.sampled_from(["no", "1e-3", "010", "true", "~", "学習 1", "a: b", "# x", "2024-01-01", "-", "a'b"]),
        "dataset": named("mnist", **shared) | named("image_folder", note=st.text("a\n\t é:", max_size=5), **shared)
        | named("synthetic", {"shape": st.lists(sizes, min_size=1, max_size=3)}, separation=rates, **shared),
        "model": named("mlp", hidden=st.lists(sizes, max_size=4), dropout=fractions, init=inits, activation=activations)
        | named("cnn", channels=st.lists(sizes, min_size=1, max_size=3), kernel_size=st.sampled_from([1, 3, 99]))
        | named("resnet18", stem=st.sampled_from(["imagenet", "cifar"]), shortcuts=st.booleans(), init=inits),
        "optimizer": named("sgd", {"lr": rates}, weight_decay=rates) | named("nesterov", {"lr": rates})
        | named("adam", lr=rates, betas=st.lists(fractions, min_size=2, max_size=2), eps=rates)
        | named("rmsprop", centered=st.booleans(), alpha=fractions),
        "training": st.fixed_dictionaries({"epochs": st.integers(0, 10**6)}, optional={
            "batch_size": counts, "ema": st.none() | st.just("polyak") | fractions, "clip_norm": st.none() | rates,
            "early_stopping": st.none() | st.fixed_dictionaries({"patience": counts}),
        }),
    },
    optional={
        "seed": st.integers(0, 2**32 - 1), "device": st.sampled_from(["auto", "cpu", "cuda", "cuda:3"]),
        "precision": st.sampled_from(["fp32", "bf16"]), "loss": named("mse", label_smoothing=shares),
        "schedule": named("multistep", {"milestones": st.lists(counts, min_size=1, max_size=3)}, gamma=rates)
        | named("cosine", final=shares, warmup_epochs=rates) | named("step", {"every": counts}),
    },
)  # fmt: skip


@given(experiments)
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
def test_what_a_run_writes_reads_back(tmp_path: Path, data: dict[str, Any]) -> None:
    experiment = read(tmp_path, yamlfile.dump(data))
    resolved = experiment.resolved()
    text = yamlfile.dump(resolved)
    assert yamlfile.dump(read(tmp_path, text).resolved()) == text
    for section, given_values in data.items():
        if isinstance(given_values, dict):
            for key, value in given_values.items():
                if isinstance(value, str | int | float | list) and key != "init":
                    assert resolved[section][key] == value
        else:
            assert resolved[section] == given_values


OWN = """\
import torch
from torch import nn

def net(shape, classes, sizes: tuple[int, ...] = (3, 4), *, rate: float = 1e-3, act=nn.ReLU, more={"a": (1, [2])}):
    assert isinstance(sizes, tuple)
"""


def test_own_functions_read_back(tmp_path: Path) -> None:
    """Tuples become lists in YAML and tuples again; a default that YAML cannot hold is no option."""
    (tmp_path / "own.py").write_text(OWN)
    model = {"name": f"{tmp_path / 'own.py'}:net"}
    for given_sizes, sizes in ((None, [3, 4]), ([5, 6, 7], [5, 6, 7])):
        data = MINIMAL | {"model": model | ({"sizes": given_sizes} if given_sizes else {})}
        data["optimizer"] = {"name": "torch.optim:RAdam", "lr": 0.1, "betas": [0.5, 0.9]}
        experiment = read(tmp_path, yamlfile.dump(data))
        resolved = experiment.resolved()
        assert resolved["model"] == {
            **model, "init": {"name": "default"}, "sizes": sizes, "rate": 0.001, "more": {"a": [1, [2]]},
        }  # fmt: skip
        assert resolved["optimizer"]["betas"] == [0.5, 0.9]
        assert read(tmp_path, yamlfile.dump(resolved)).resolved() == resolved
        family, spec = FAMILIES["model"], experiment.model
        family.function(spec)((1,), 2, **family.arguments(spec))
    assert errors(tmp_path, yamlfile.dump(MINIMAL | {"model": model | {"act": "relu"}})) == [
        "1 error in the config",
        "a.yaml:6:3: model.act: key 'act' is not a parameter of the function",
    ]


def test_own_functions_with_parameters_that_python_cannot_describe(tmp_path: Path) -> None:
    (tmp_path / "own.py").write_text(
        "from __future__ import annotations\n"
        "import torch\n"
        "def unknown(shape, classes, *, a: Nowhere = 1, **more): ...\n"
        "def tensor(shape, classes, *, a: torch.Tensor | None = None, copy: int = 2): ...\n"
    )
    for name, section in (("unknown", {"a": "anything", "b": [1]}), ("tensor", {"copy": 3})):
        data = MINIMAL | {"model": {"name": f"{tmp_path / 'own.py'}:{name}"} | section}
        resolved = read(tmp_path, yamlfile.dump(data)).resolved()["model"]
        assert {key: resolved[key] for key in section} == section
    data = MINIMAL | {"model": {"name": f"{tmp_path / 'own.py'}:tensor", "a": 1}}
    assert "a.yaml:6:3: model.a: input should be an instance of Tensor, got 1" in errors(tmp_path, yamlfile.dump(data))


# --- --set --------------------------------------------------------------------------------------------------


def test_settings_are_laid_over(tmp_path: Path) -> None:
    laid = read(
        tmp_path, DIGITS, "optimizer.lr=1e-3", "model.hidden=[3, 4]", "training.early_stopping.patience=3",
        "seed=1", "seed=2", "dataset.root=a=b", "schedule={name: step, every: 2}", "schedule.gamma=0.5",
        "loss.name=mse", "model.init=he", "training.ema=polyak",
    )  # fmt: skip
    resolved = laid.resolved()
    assert resolved["optimizer"]["lr"] == 0.001
    assert resolved["model"]["hidden"] == [3, 4]
    assert resolved["training"]["early_stopping"] == {"patience": 3, "metric": "test_loss", "mode": None}
    assert resolved["seed"] == 2
    assert resolved["dataset"]["root"] == "a=b"
    assert resolved["schedule"] == {"name": "step", "warmup_epochs": 0.0, "every": 2, "gamma": 0.5}
    assert (resolved["loss"]["name"], resolved["model"]["init"]["name"]) == ("mse", "he")
    assert resolved["training"]["ema"] == "polyak"


def test_a_value_that_is_no_word(tmp_path: Path) -> None:
    assert errors(tmp_path, DIGITS, "dataset.root=a: b") == [
        "1 error in the config",
        "--set dataset.root=a: b: dataset.root: input should be a valid string, got {'a': 'b'}",
    ]


def test_name_and_device_are_laid_over(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text(DIGITS)
    laid = read_experiment(tmp_path / "a.yaml", ["name=b"], name="c", device="cpu")
    assert (laid.name, laid.device) == ("c", "cpu")


def test_set_can_give_what_the_file_lacks(tmp_path: Path) -> None:
    text = DIGITS.replace("optimizer: {name: momentum, lr: 0.05}\n", "")
    assert read(tmp_path, text, "optimizer={name: sgd, lr: 1}").optimizer.lr == 1.0  # type: ignore[attr-defined]


# --- positions ----------------------------------------------------------------------------------------------

BLOCKS = """\
name: x
dataset:
  name: digits
  augment:
    crop: 1
    flop: true
model:
  name: cnn
  channels:
    - 8
    - no
    -   [4]
  kernel_size: 4
optimizer:
  name: adam
  betas: [0.9,
    1.5]
schedule:
  name: multistep
training:
  epoch: 3
"""


def test_every_error_has_its_place(tmp_path: Path) -> None:
    assert errors(tmp_path, BLOCKS, "seed=x", "training.batch_size=0", "loss.label_smoothing=1") == [
        "11 errors in the config",
        "--set seed=x: seed: input should be a valid integer, got 'x'",
        "a.yaml:6:5: dataset.augment.flop: key 'flop' is not known (did you mean 'flip'?); allowed: crop, flip",
        "a.yaml:11:7: model.channels.1: input should be a valid integer, got 'no'",
        "a.yaml:12:9: model.channels.2: input should be a valid integer, got [4]",
        "a.yaml:13:3: model.kernel_size: 4 is even; allowed: odd sizes, which keep the size of the maps, got 4",
        "--set loss.label_smoothing=1: loss: needs a name; allowed: cross_entropy, token_cross_entropy, mse",
        "a.yaml:17:5: optimizer.betas.1: input should be less than 1, got 1.5",
        "a.yaml:18:1: schedule.milestones: is required",
        "a.yaml:20:1: training.epochs: is required",
        "--set training.batch_size=0: training.batch_size: input should be greater than or equal to 1, got 0, or "
        "value 0 is not known; allowed: all",
        "a.yaml:21:3: training.epoch: key 'epoch' is not known (did you mean 'epochs'?); allowed: epochs, batch_size, "
        "accumulate, micro_batch, checkpoint_every, checkpoint_every_steps, clip_norm, clip_value, early_stopping, ema"
        ", frozen, evaluate_every, threads",
    ]


@pytest.mark.parametrize("family", FAMILIES)
def test_an_unknown_name_gets_the_nearest_of_its_family(family: str, tmp_path: Path) -> None:
    members = FAMILIES[family].members
    for member in members:
        (_, line) = errors(tmp_path, DIGITS, f"{family}={{name: {member}_}}")
        near = re.search(r"did you mean '(\w+)'\?", line)
        assert near is not None
        assert near[1] == member
        assert line.endswith(f"; allowed: {', '.join(members)}, package.module:function")


def test_long_values_are_cut_in_messages(tmp_path: Path) -> None:
    for value in ("[" + "x, " * 10_000 + "]", "x" * 10_000, "{" + ", ".join(f"a{i}: 1" for i in range(999)) + "}"):
        assert all(len(line) < 500 for line in errors(tmp_path, DIGITS + f"precision: {value}\nseed: {value}\n"))
