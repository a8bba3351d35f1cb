"""Bad input, one table: what is written to a folder, the command that must then be refused, and what it says.

Each case begins in a folder with good.yaml, its finished run runs/digits, a run runs/other of a model with another
width, and data/ as $LOSSSCAPE_DATA.
"""

import math
import os
import pickle
import shutil
import struct
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from conftest import DIGITS
from PIL import Image

Prepare = Callable[[Path], Any]
DATASET = "{name: digits, train_size: 300, test_size: 100}"
MODEL = "{name: mlp, hidden: [12], dropout: 0.2}"
OPTIMIZER = "{name: momentum, lr: 0.05}"
TRAINING = "{epochs: 3, batch_size: 32}"
LAST = "runs/digits/checkpoints/epoch-0003.pt"
UNTRAINED = "untrained.yaml"
KNOWN: dict[str, Any] = {UNTRAINED: f"name: adopted\ndataset: {DATASET}\nmodel: {MODEL}\n"}
"""What adoption needs of a config."""
SWEPT = "name: s\nbase: good.yaml\nproduct: {seed: [0, 1]}\n"
GOOD = DIGITS.replace("name: digits\n", "name: fresh\n")


@dataclass(frozen=True)
class Case:
    """A command that must be refused."""

    words: str
    """The command line, as in a shell."""
    says: tuple[str, ...]
    """Fragments of the message."""
    files: dict[str, str | bytes | Prepare]
    """What is written to the folder before: text, bytes, or what a function does with the path."""


def case(words: str, *says: str, files: dict[str, Any] | None = None) -> Case:
    """A case of the table."""
    return Case(words, says, files or {})


def config(text: str | bytes, *says: str, files: dict[str, Any] | None = None) -> Case:
    """Training from a file bad.yaml with this content."""
    return case("train bad.yaml", *says, files={"bad.yaml": text} | (files or {}))


def edited(old: str, new: str, *says: str, files: dict[str, Any] | None = None) -> Case:
    """Training from a good config with a change."""
    assert GOOD.count(old) == 1
    return config(GOOD.replace(old, new), *says, files=files)


def added(line: str, *says: str) -> Case:
    """Training from a good config with one more line, the sixth."""
    return config(f"{GOOD}{line}\n", *says)


def own(section: str, code: str, *says: str) -> Case:
    """Training with a function f of the user's file own.py in a section of the config."""
    sections = {"dataset": DATASET, "model": MODEL, "optimizer": OPTIMIZER, "loss": "{name: mse}"}
    if section == "init":
        sections["model"] = "{name: mlp, init: 'own.py:f'}"
    else:
        sections[section] = "{name: 'own.py:f'}"
    lines = "".join(f"{key}: {value}\n" for key, value in sections.items())
    return config(f"name: own\n{lines}training: {TRAINING}\n", *says, files={"own.py": code})


def returns(parameters: str, value: str) -> str:
    """The code of a function f."""
    return f"import torch\ndef f({parameters}):\n    return {value}\n"


def broken(prepare: Prepare | bytes, *says: str) -> Case:
    """A landscape around a checkpoint that was changed."""
    return case("landscape runs/digits --grid 3", f"{LAST}: ", *says, files={LAST: prepare})


class Trap:
    """Unpickling it creates a file."""

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, ("sprung",)


def checkpoint(change: Callable[[dict[str, torch.Tensor]], object]) -> Prepare:
    """Replaces the checkpoint at the path by torch.save of something made of its state_dict."""
    return lambda path: torch.save(change(torch.load(path, weights_only=True)), path)


def spoilt(value: float) -> Callable[[dict[str, torch.Tensor]], object]:
    """Puts a value among the weights of the first layer."""
    return lambda state: state | {"linear1.weight": state["linear1.weight"].index_fill(1, torch.tensor(5), value)}


def nested(state: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Makes every tensor a list of tensors."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch calls them a prototype
        return {name: torch.nested.nested_tensor([value]) for name, value in state.items()}


def loop(path: Path) -> None:
    """A symbolic link to itself."""
    path.symlink_to(path.name)


def cut(size: int) -> Prepare:
    """Cuts a file to a size, from its end if negative."""
    return lambda path: path.write_bytes(path.read_bytes()[:size])


def swap(old: str, new: str) -> Prepare:
    """Changes a text."""
    return lambda path: path.write_text(path.read_text().replace(old, new))


def idx(path: Path, missing: int = 0) -> None:
    """A small IDX file as MNIST has them, without its last bytes."""
    images = "idx3" in path.name
    shape = (4, 28, 28) if images else (4,)
    header = bytes([0, 0, 8, len(shape)]) + struct.pack(f">{len(shape)}I", *shape)
    content = header + bytes(4 * 784 if images else 4)
    path.write_bytes(content[: len(content) - missing])


def mnist(**missing: int) -> dict[str, Prepare]:
    """The files of MNIST in data/, some of them without their last bytes."""
    names = ("train-images-idx3", "train-labels-idx1", "t10k-images-idx3", "t10k-labels-idx1")
    return {
        f"data/MNIST/raw/{name}-ubyte": lambda path, name=name: idx(path, missing.get(name[:5], 0)) for name in names
    }


def picture(width: int, height: int) -> Prepare:
    """A grey PNG of a size."""
    return lambda path: Image.new("L", (width, height)).save(path)


PICTURES = {
    "pictures/train/a/1.png": picture(8, 8),
    "pictures/train/b/1.png": picture(8, 8),
    "pictures/test/a/1.png": picture(8, 8),
    "pictures/test/b/1.png": picture(8, 8),
}
FROM_PICTURES = GOOD.replace(DATASET, "{name: image_folder, root: pictures}")


ONE_ERROR = "1 error in the config"
CONFIGS = {
    "no_file": case("train nowhere.yaml", "nowhere.yaml: no such file"),
    "empty": config("", "bad.yaml:1:1", "mapping"),
    "only_a_comment": config("# nothing\n", "bad.yaml:1:1", "mapping"),
    "a_list": config("- 1\n- 2\n", "bad.yaml:1:1", "mapping"),
    "a_word": config("hello\n", "bad.yaml:1:1", "mapping"),
    "indentation": config(f"{GOOD}  a: 1\n b: 2\n", "bad.yaml:6:3"),
    "tab": config(GOOD.replace("training:", "training:\n\tepochs: 3\n#"), "bad.yaml:6:1", r"'\t'"),
    "unclosed": edited("[12]", "[12", "bad.yaml:3:"),
    "two_documents": config(f"{GOOD}---\n{GOOD}", "bad.yaml:6:1", "another document"),
    "key_twice": added("name: again", "bad.yaml:6:1", "name: given twice"),
    "key_twice_inside": edited("lr: 0.05", "lr: 0.05, lr: 0.1", "bad.yaml:4:39", "lr: given twice"),
    "key_is_a_list": added("? [a]\n: 1", "bad.yaml:6:3", "a key is a word"),
    "key_is_a_number": added("1: 2", "bad.yaml:6:1: 1:", ONE_ERROR),
    "not_utf_8": config("name: caf\xe9\n".encode("latin-1"), "bad.yaml", "UTF-8"),
    "binary": config(bytes(range(256)), "bad.yaml", "UTF-8"),
    "control_character": added("seed: \x07", "bad.yaml:6:7", "U+0007"),
    "a_folder": case("train runs", "runs: cannot be read: Is a directory"),
    "unknown_anchor": added("seed: *nowhere", "bad.yaml:6:7", "nowhere"),
    "python_tag": added("seed: !!python/object/apply:os.mkdir ['sprung']", "bad.yaml:6:7", "tag"),
    "tag_that_does_not_fit": added("seed: !!int five", "bad.yaml:6:7", "YAML int: 'five'"),
    "tag_of_a_list": added("seed: !!map [1]", "bad.yaml:6:7", "YAML map: it is a list"),
    "tag_of_a_word": added("seed: !!map x", "bad.yaml:6:7", "YAML map: it is a scalar"),
    "tag_of_a_mapping": added("seed: !!seq {a: 1}", "bad.yaml:6:7", "YAML seq: it is a mapping"),
    "tag_of_a_set": added("seed: !!set [a]", "bad.yaml:6:7", "tag:yaml.org,2002:set is not used"),
    "tag_of_pairs": added("seed: !!omap [a: 1]", "bad.yaml:6:7", "tag:yaml.org,2002:omap is not used"),
    "tag_of_a_date": added("seed: !!timestamp 2026-01-01", "bad.yaml:6:7", "timestamp is not used"),
    "tag_of_a_merge": added("teacher: {!!merge x: {run: a}}", "bad.yaml:6:11", "merge is not used"),
    "tag_of_your_own": added("seed: !mine [1]", "bad.yaml:6:7", "the tag !mine is not used: leave it out"),
    "tag_of_nothing": added("seed: !!int ''", "bad.yaml:6:7", "YAML int: ''"),
    "tag_of_minutes": added("seed: !!int '1:30'", "bad.yaml:6:7", "YAML int: '1:30'"),
    "tag_of_bits": added("seed: !!int 0b101", "bad.yaml:6:7", "YAML int: '0b101'"),
    "device_file": case("train /dev/zero", "/dev/zero: not a plain file"),
    "pipe": case("train pipe", "pipe: not a plain file", files={"pipe": os.mkfifo}),
    "a_million_lines": config("# nothing\n" * 10**6, "bad.yaml: larger than 1 MB"),
    "a_loop_of_links": case("train loop", "loop: cannot be read: Too many levels", files={"loop": loop}),
    "escape_in_a_key": added('"\\e[31m": 1', "bad.yaml:6:1: \\x1b[31m: key '\\x1b[31m'"),
    "long_key": added(f"? {'k' * 10**5}\n: 1", f"bad.yaml:6:3: {'k' * 40}…{'k' * 39}: key "),
    "long_value": added(f"device: {'v' * 10**5}", "bad.yaml:6:1: device: 'vvv", "vvv…vvv"),
    "long_device": edited("[12]", f"[{'v' * 10**5}]", "model.hidden.0: ", "vvv…vvv"),
    "number_of_5000_digits": added(f"seed: {'9' * 5000}", "bad.yaml:6:7", "5000 digits"),
    "nested_without_end": config(f"name: {'[' * 1000}{']' * 1000}\n", "bad.yaml: ", "too deep"),
    "a_list_in_itself": added("seed: &a [*a]", "bad.yaml:6:1: seed: ", ONE_ERROR),
    "billions_of_words": config(
        "a: &a [x, x, x, x, x, x, x, x, x, x]\n"
        + "".join(f"{b}: &{b} [{', '.join(['*' + a] * 10)}]\n" for a, b in zip("abcdefg", "bcdefgh", strict=True))
        + "seed: *h\nprecision: *h\n",
        "seed: input should be a valid integer", "precision: value [[[", "…",
    ),
    "nothing_but_a_name": config(
        "name: x\n", "4 errors",
        *(f"bad.yaml:1:1: {key}: is required" for key in ("dataset", "model", "optimizer", "training")),
    ),
    "everything_at_once": config(
        GOOD.replace("[12]", "[0, x]").replace("lr: 0.05", "lr: -1").replace("epochs: 3", "epochs: 2.5, epoch: 3"),
        "5 errors", "bad.yaml:3:29: model.hidden.0: ", "bad.yaml:3:32: model.hidden.1: ",
        "bad.yaml:4:29: optimizer.lr: ", "bad.yaml:5:12: training.epochs: ",
        "bad.yaml:5:25: training.epoch: key 'epoch'",
    ),
    "no_mappings": config(
        "name: x\ndataset: digits\nmodel: null\noptimizer: [sgd]\ntraining: 5\n", "4 errors",
        "bad.yaml:2:1: dataset: needs a name; allowed: digits, mnist",
        "bad.yaml:3:1: model: needs a name; allowed: mlp",
        "bad.yaml:4:1: optimizer: needs a name; allowed: sgd", "bad.yaml:5:1: training: needs a mapping, got 5",
    ),
    # unknown names and keys
    "dataset": edited("name: digits, ", "name: digist, ", "bad.yaml:2:11", "did you mean 'digits'?", "cifar100"),
    "model": edited("name: mlp", "name: mpl", "bad.yaml:3:9", "did you mean 'mlp'?", "resnet50"),
    "optimizer": edited("momentum", "momentun", "bad.yaml:4:13", "did you mean 'momentum'?", "adamw"),
    "schedule": added("schedule: {name: cosin}", "bad.yaml:6:12", "did you mean 'cosine'?", "multistep"),
    "loss": added("loss: {name: crossentropy}", "bad.yaml:6:8", "did you mean 'cross_entropy'?", "mse"),
    "activation": edited("dropout: 0.2", "activation: rellu", "bad.yaml:3:34: model.activation", "'relu'?", "gelu"),
    "init": edited("dropout: 0.2", "init: xaver", "bad.yaml:3:34: model.init", "'xavier'?", "lecun"),
    "init_by_mapping": edited("dropout: 0.2", "init: {name: xaver}", "bad.yaml:3:41: model.init", "'xavier'?"),
    "pooling": edited(MODEL, "{name: cnn, pooling: maxx}", "bad.yaml:3:20: model.pooling", "'max'?", "avg"),
    "precision": added("precision: fp16", "bad.yaml:6:1: precision", "allowed: fp32, bf16"),
    "device": added("device: gpu", "bad.yaml:6:1: device", "allowed: auto, cpu, cuda, cuda:N"),
    "metric": edited(
        "epochs: 3", "epochs: 3, early_stopping: {patience: 2, metric: test_los}",
        "bad.yaml:5:53: training.early_stopping.metric", "'test_loss'?",
    ),
    "a_name_of_a_number": edited("name: mlp", "name: 5", "bad.yaml:3:9: model: ", "allowed: mlp"),
    "key": added("optimiser: {}", "bad.yaml:6:1: optimiser: ", "did you mean 'optimizer'?", "teacher"),
    "key_inside": edited("lr: 0.05", "lr: 0.05, momentun: 0.9", "bad.yaml:4:39: optimizer.momentun: ", "'momentum'?"),
    "key_of_another_member": edited("lr: 0.05", "lr: 0.05, betas: [0.9]", "optimizer.betas: ", "allowed: name, lr"),
    "key_two_deep": edited(
        "test_size: 100", "test_size: 100, augment: {crop: -1, flop: true}", "2 errors",
        "bad.yaml:2:68: dataset.augment.crop: ", "bad.yaml:2:78: dataset.augment.flop: ", "'flip'?",
    ),
    # wrong types
    "text_for_a_number": edited("lr: 0.05", "lr: fast", "bad.yaml:4:29: optimizer.lr: ", "got 'fast'"),
    "quoted_number": edited("lr: 0.05", "lr: '0.05'", "bad.yaml:4:29: optimizer.lr: ", "got '0.05'"),
    "float_for_an_integer": edited("epochs: 3", "epochs: 3.0", "bad.yaml:5:12: training.epochs: ", "got 3.0"),
    "boolean_for_an_integer": edited("epochs: 3", "epochs: true", "training.epochs: ", "integer", "got True"),
    "integer_for_a_boolean": edited("dropout: 0.2", "batch_norm: 1", "model.batch_norm: ", "boolean", "got 1"),
    "yes_for_a_boolean": edited("dropout: 0.2", "batch_norm: yes", "model.batch_norm: ", "got 'yes'"),
    "list_for_a_number": edited("lr: 0.05", "lr: [0.1]", "optimizer.lr: ", "got [0.1]"),
    "number_for_a_list": edited("[12]", "12", "bad.yaml:3:20: model.hidden: ", "list", "got 12"),
    "null_for_a_number": edited("lr: 0.05", "lr: null", "optimizer.lr: ", "got None"),
    "word_for_a_mapping": edited("test_size: 100", "augment: lots", "dataset.augment: ", "allowed: none", "'lots'"),
    "number_for_a_name": edited("name: fresh\n", "name: 5\n", "bad.yaml:1:1: name: ", "string"),
    "number_for_a_folder": edited("name: digits, ", "name: digits, root: 5, ", "dataset.root: ", "string"),
    "missing_option": added("schedule: {name: multistep}", "bad.yaml:6:1: schedule.milestones: is required"),
    "missing_option_inside": edited(
        "dropout: 0.2", "init: {name: normal}", "bad.yaml:3:34: model.init.std: is required",
    ),
    "teacher": added("teacher: {run: x, targets: labels}", "bad.yaml:6:19: teacher.targets: ", "hard, soft"),
    "no_teachers": added("teacher: {run: []}", "bad.yaml:6:11: teacher.run: ", "at least 1 item"),
    "a_missing_teacher": added("teacher: {run: [runs/digits, x]}", "teacher.run: x: no such run"),
    "hint_of_two": added(
        "teacher: {run: [a, b], hint: {teacher_layer: a, student_layer: b}}", "teacher: hint: ", "name one run"
    ),
    "hint_with_temperature": added(
        "teacher: {run: a, temperature: 2.0, hint: {teacher_layer: a, student_layer: b}}", "teacher: hint: temperature",
    ),
    "temperature_of_hard_targets": added(
        "teacher: {run: runs/digits, targets: hard, temperature: 4}", "bad.yaml:6:44: teacher.temperature: is of soft",
        "has no effect on hard ones",
    ),
    "hint_without_a_layer": added("teacher: {run: a, hint: {teacher_layer: a}}", "hint.student_layer: is required"),
    "origin_of_nothing": added("init_from: {layers: [a]}", "bad.yaml:6:1: init_from.run: is required"),
    "no_layers": added("init_from: {run: runs/digits, layers: []}", "init_from.layers: ", "at least 1 item"),
    "origin_of_another_width": added(
        "init_from: {run: runs/other}", "init_from: runs/other: linear1.weight is float [5, 64]", "take another"
    ),
    "frozen_unknown": edited("epochs: 3", "epochs: 3, frozen: [conv1]", "training.frozen: layer 'conv1' is not known"),
    # sizes
    "hidden_0": edited("[12]", "[12, 0]", "bad.yaml:3:33: model.hidden.1: ", "got 0"),
    "hidden_negative": edited("[12]", "[-1]", "model.hidden.0: ", "got -1"),
    "hidden_absurd": edited("[12]", "[1000000000]", "model.hidden.0: ", "1000000"),
    "hidden_beyond_memory": edited("[12]", "[1000000, 1000000]", "model 'mlp'", "parameters", "smaller"),
    "tensors_missing": edited(
        DATASET, "{name: tensors, file: nowhere.pt}", "bad.yaml:2:1: dataset: there is no file 'nowhere.pt' (looked",
    ),
    "tensors_lacking": edited(
        DATASET, "{name: tensors, file: a.pt}", "a.pt lacks train_targets, test_inputs, test_targets",
        files={"a.pt": lambda path: torch.save({"train_inputs": torch.zeros(2, 2)}, path)},
    ),
    "tensors_with_code": edited(
        DATASET, "{name: tensors, file: a.pt}", "a.pt: holds ", "pickled code and objects are not loaded",
        files={"a.pt": lambda path: torch.save({"train_inputs": Trap()}, path)},
    ),
    "data_beyond_memory": edited(DATASET, "{name: synthetic, shape: [100000, 100000]}", "synthetic", "memory"),
    "kernel_even": edited(MODEL, "{name: cnn, kernel_size: 4}", "model.kernel_size: 4 is even", "odd"),
    "epochs_negative": edited("epochs: 3", "epochs: -1", "training.epochs: ", "got -1"),
    "batch_size_0": edited("batch_size: 32", "batch_size: 0", "training.batch_size: ", "got 0"),
    "seed_negative": added("seed: -1", "seed: ", "got -1"),
    "dropout_1": edited("dropout: 0.2", "dropout: 1.0", "model.dropout: ", "less than 1"),
    "label_smoothing_2": added("loss: {name: mse, label_smoothing: 2}", "loss.label_smoothing: ", "got 2"),
    "betas": edited(OPTIMIZER, "{name: adam, betas: [0.9]}", "optimizer.betas: ", "at least 2"),
    "ema": edited("epochs: 3", "epochs: 3, ema: 1.5", "training.ema: ", "less than 1", "polyak"),
    "train_size_negative": edited("train_size: 300", "train_size: -5", "dataset.train_size: ", "got -5"),
    "train_size_too_large": edited("train_size: 300", "train_size: 5000", "dataset.train_size", "5000", "1437"),
    "crop_of_the_whole_picture": edited(DATASET, "{name: digits, augment: {crop: 8}}", "dataset.augment.crop", "8×8"),
    "pictures_asked_for": config(
        GOOD.replace(DATASET, "{name: synthetic, shape: [4]}").replace(MODEL, "{name: cnn}"), "'cnn'", "[4]",
        "pictures",
    ),
    "batch_norm_of_one_sample": config(
        GOOD.replace("train_size: 300", "train_size: 33").replace("dropout: 0.2", "batch_norm: true"),
        "BatchNorm", "single sample", "33 training samples", "steps of 32", "training.batch_size",
    ),
    # numbers that are none
    "lr_nan": edited("lr: 0.05", "lr: .nan", "optimizer.lr: ", "finite", "got nan"),
    "lr_inf": edited("lr: 0.05", "lr: .inf", "optimizer.lr: ", "finite", "got inf"),
    "lr_1e999": edited("lr: 0.05", "lr: 1e999", "optimizer.lr: ", "finite", "got inf"),
    "lr_0": edited("lr: 0.05", "lr: 0", "optimizer.lr: ", "greater than 0"),
    "lr_beyond_float32": edited("lr: 0.05", "lr: 1e39", "optimizer.lr: a number is 0 here, or between 1e-30 and 1e15"),
    "lr_that_is_0_in_float32": edited("lr: 0.05", "lr: 5e-324", "optimizer.lr: a number is 0 here", "got 5e-324"),
    "accumulator_beyond_float32": edited(
        OPTIMIZER, "{name: adagrad, initial_accumulator_value: 3.5e38}", "initial_accumulator_value: a number is 0",
    ),
    "init_beyond_float32": edited("dropout: 0.2", "init: {name: constant, value: -1e39}", "model.init.value: a number"),
    "clip_norm": edited("epochs: 3", "epochs: 3, clip_norm: 9e18", "training.clip_norm: a number is 0 here", "9e+18"),
    "clip_value": edited("epochs: 3", "epochs: 3, clip_value: 1e39", "training.clip_value: a number is 0 here"),
    "warmup": added("schedule: {name: cosine, warmup_epochs: 1.7e308}", "schedule.warmup_epochs: a number is 0 here"),
    "temperature": added("teacher: {run: runs/digits, temperature: 1e200}", "teacher.temperature: a number is 0 here"),
    "dropout_nan": edited("dropout: 0.2", "dropout: .nan", "model.dropout: ", "got nan"),
    "init_value_nan": edited("dropout: 0.2", "init: {name: constant, value: .nan}", "model.init.value: ", "got nan"),
    # names of runs
    "name_with_a_slash": edited("name: fresh\n", "name: a/b\n", "bad.yaml:1:1: name: ", "folder name"),
    "name_with_an_at": edited("name: fresh\n", "name: a@b\n", "name: ", "@"),
    "name_of_dots": edited("name: fresh\n", "name: ..\n", "name: ", "leading dot"),
    "name_with_a_line_break": edited("name: fresh\n", 'name: "a\\nb"\n', "name: ", "folder name"),
    "name_empty": edited("name: fresh\n", 'name: ""\n', "name: ", "at least 1 character"),
    "name_too_long": edited("name: fresh\n", f"name: {'学' * 70}\n", "name: ", "200 bytes"),
    # --set and its like
    "set_without_value": case("train good.yaml --set seed", "--set seed: write key=value"),
    "set_without_key": case("train good.yaml --set =1", "--set =1: write key=value"),
    "set_with_a_gap": case("train good.yaml --set a..b=1", "--set a..b=1: write key=value"),
    "set_unknown_key": case("train good.yaml --set sed=1", "--set sed=1: sed: key 'sed'", "'seed'?"),
    "set_unknown_key_inside": case(
        "train good.yaml --set optimizer.lrr=1", "--set optimizer.lrr=1: optimizer.lrr: ", "'lr'?"
    ),
    "set_unknown_section": case("train good.yaml --set nope.x=1", "--set nope.x=1: nope: key 'nope'"),
    "set_wrong_type": case("train good.yaml --set optimizer.lr=fast", "--set optimizer.lr=fast: optimizer.lr: "),
    "set_wrong_item": case("train good.yaml --set model.hidden=[1,x]", "--set model.hidden=[1,x]: model.hidden.1: "),
    "set_unknown_name": case("train good.yaml --set model.name=mpl", "--set model.name=mpl: model: ", "'mlp'?"),
    "set_section_without_name": case(
        "train good.yaml --set schedule.gamma=0.5", "--set schedule.gamma=0.5: schedule: needs a name"
    ),
    "set_tag": case("train good.yaml --set 'seed=!!map [1]'", "--set seed=!!map [1]:1:1: ", "it is a list"),
    "set_escape": case("train good.yaml --set 'a\x1b[31m=1'", "--set a\\x1b[31m=1: a\\x1b[31m: key "),
    "set_long": case(f"train good.yaml --set seed={'9' * 9000}", f"--set seed={'9' * 35}…{'9' * 39}:1:1: "),
    "set_endless": case(f"train good.yaml --set seed={'9' * 10**5}", "999…999", "999: 100,005 characters are more"),
    "errors_without_end": case(
        "train bad.yaml", "more than 20 errors in the config, the first of them", "bad.yaml:2:1: k1: key 'k1' is ",
        files={"bad.yaml": "".join(f"k{number}: 1\n" for number in range(1000))},
    ),
    "word_too_many": case(f"train good.yaml {'9' * 9000}", f"argument(s) ({'9' * 12}", "…999", "9)"),
    "command_long": case("9" * 9000, "No such command '999", "…999"),
    "option_long": case(f"train --{'9' * 9000}", "No such option: --999", "…999"),
    "set_malformed": case("train good.yaml --set model.hidden=[1", "--set model.hidden=[1:1:3: "),
    "set_beside_an_error_of_the_file": case(
        "train bad.yaml --set seed=x", "2 errors", "--set seed=x: seed: ", "bad.yaml:4:29: optimizer.lr: ",
        files={"bad.yaml": GOOD.replace("0.05", "x")},
    ),
    "name_option": case("train good.yaml --name a/b", "--name a/b: name: "),
    "device_option": case("train good.yaml --device tpu", "--device tpu: device: 'tpu' is not a device"),
}  # fmt: skip
RUNS = {
    "run_of_another_config": case(
        "train good.yaml --set optimizer.lr=0.1 --set seed=3",
        "runs/digits was made with another config", "seed: 0, now 3", "optimizer.lr: 0.05, now 0.1", "--name",
        "--overwrite",
    ),
    "resume_of_another_config": case("train good.yaml --resume --set seed=3", "another config", "seed: 0, now 3"),
    "resume_and_overwrite": case("train good.yaml --resume --overwrite", "give one of them"),
    "folder_that_is_no_run": case(
        "train good.yaml --name papers", "is no run", "--name", files={"runs/papers/a.txt": "a"},
    ),
    "overwriting_what_is_no_run": case(
        "train good.yaml --name papers --overwrite", "is no run", files={"runs/papers/a.txt": "a"}
    ),
    "file_that_is_no_run": case("train good.yaml --name file", "runs/file", "not a folder", files={"runs/file": "a"}),
    "torn_config_of_the_run": case(
        "train good.yaml", "runs/digits/config.yaml:", files={"runs/digits/config.yaml": "name: digits\nmodel: {na"}
    ),
    "foreign_config_of_the_run": case(
        "landscape runs/digits", "runs/digits/config.yaml:1:1: dataset: is required",
        files={"runs/digits/config.yaml": "name: digits\n"},
    ),
    "resume_truncated": case(
        "train good.yaml", "runs/digits/resume.pt: cannot be continued from", "--overwrite",
        files={"runs/digits/resume.pt": cut(1000)},
    ),
    "resume_of_another_model": case(
        "train good.yaml", "runs/digits/resume.pt: cannot be continued from",
        files={"runs/digits/resume.pt": lambda path: shutil.copy("runs/other/resume.pt", path)},
    ),
    "resume_with_code": case(
        "train good.yaml", "runs/digits/resume.pt: cannot be continued from",
        files={"runs/digits/resume.pt": lambda path: torch.save({"model": Trap()}, path)},
    ),
    "resume_of_something_else": case(
        "train good.yaml", "runs/digits/resume.pt: cannot be continued from",
        files={"runs/digits/resume.pt": lambda path: torch.save([1, 2], path)},
    ),
    "runs_in_a_file": case(
        "train good.yaml --runs good.yaml", "good.yaml/digits", "not a folder that you may write to",
    ),
    "runs_below_a_file": case("train good.yaml --runs good.yaml/a/b", "good.yaml is not a folder"),
    "runs_in_proc": case("train good.yaml --runs /proc", "/proc"),
    "runs_in_sys": case("train good.yaml --runs /sys/kernel", "/sys/kernel"),
    "name_too_long_for_the_disk": case(f"train good.yaml --runs {'x' * 300}", "name too long"),
    "cuda": case("train good.yaml --set device=cuda", "cuda", "no CUDA device is available", "cpu"),
    "cuda_option": case("train good.yaml --device cuda:1", "cuda:1", "no CUDA device is available"),
    # data
    "mnist_missing": edited(
        DATASET, "{name: mnist}", "mnist", "data/MNIST/raw lacks train-images-idx3-ubyte", "no network",
    ),
    "mnist_truncated": edited(
        DATASET, "{name: mnist}", "mnist", "train-images-idx3-ubyte is corrupt", "remove it", files=mnist(train=1),
    ),
    "mnist_empty": edited(
        DATASET, "{name: mnist}", "mnist", "train-images-idx3-ubyte is corrupt", files=mnist(train=10**6),
    ),
    "mnist_test_truncated": edited(
        DATASET, "{name: mnist}", "mnist", "t10k-images-idx3-ubyte is corrupt", files=mnist(**{"t10k-": 100}),
    ),
    "no_pictures": config(FROM_PICTURES, "image_folder", "pictures/train", "train/CLASS/"),
    "unequal_pictures": config(
        FROM_PICTURES, "equal in size", "8×8", "9×8", "b/2.png",
        files=PICTURES | {"pictures/test/b/2.png": picture(9, 8)},
    ),
    "broken_picture": config(
        FROM_PICTURES, "cannot be decoded", "train/b/2.png",
        files=PICTURES | {"pictures/train/b/2.png": b"\x89PNG"},
    ),
    "unequal_classes": config(
        FROM_PICTURES, "same classes", "only in one: c", files=PICTURES | {"pictures/test/c/1.png": picture(8, 8)},
    ),
    # functions of the user's
    "own_no_file": edited("name: mlp", "name: 'nowhere.py:f'", "bad.yaml:3:9: model.name: ", "no file 'nowhere.py'"),
    "own_no_module": edited(
        "name: mlp", "name: 'nowhere.b:f'", "model.name: importing 'nowhere.b' failed", "ModuleNotFound",
    ),
    "own_form": edited("name: mlp", "name: 'a b:'", "model.name: ", "package.module:function"),
    "own_no_function": own("model", "def g(shape, classes): pass\n", "no function 'f'", "it has: g"),
    "own_syntax": own("model", "def f(:\n", "importing 'own.py' failed", "SyntaxError"),
    "own_exit": own("model", "import sys\nsys.exit(0)\n", "importing 'own.py' failed", "SystemExit"),
    "own_unknown_option": config(
        GOOD.replace("mlp, hidden", "'torch.nn:Linear', width"), "model.width: key 'width' is not a parameter"
    ),
    "model_raises": own("model", "def f(shape, classes): raise ValueError('why')\n", "failed: ValueError: why"),
    "model_returns_nothing": own("model", "def f(shape, classes): pass\n", "NoneType", "torch.nn.Module"),
    "model_of_other_arguments": own("model", "def f(x, /): pass\n", "failed: TypeError"),
    "model_of_other_inputs": own(
        "model", returns("shape, classes", "torch.nn.Linear(3, classes)"), "does not take inputs", "[N, 1, 8, 8]"
    ),
    "model_of_other_outputs": own(
        "model", returns("shape, classes", "torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(64, 3))"),
        "outputs of shape ['N', 3]", "10 classes",
    ),
    "init_raises": own("init", "def f(module): raise ValueError('why')\n", "failed: ValueError: why"),
    "dataset_raises": own("dataset", "def f(): raise OSError('why')\n", "own.py:f", "OSError: why"),
    "dataset_returns_nothing": own("dataset", "def f(): pass\n", "own.py:f", "must return", "NoneType"),
    "dataset_returns_nonsense": own("dataset", returns("", "[torch.zeros(3)] * 4"), "train_inputs", "[3]"),
    "loss_raises": own("loss", "def f(outputs, targets): raise ValueError('why')\n", "loss fails", "ValueError: why"),
    "loss_of_one_number": own("loss", returns("outputs, targets", "outputs.sum()"), "shape []", "one loss each"),
    "loss_of_no_number": own("loss", returns("outputs, targets", "'high'"), "loss fails", "'str'"),
    "loss_without_gradient": own("loss", returns("outputs, targets", "outputs.detach().sum(1)"), "no gradient"),
    "optimizer_raises": own("optimizer", "def f(parameters): raise ValueError('why')\n", "failed: ValueError: why"),
    "optimizer_returns_nothing": own("optimizer", "def f(parameters): pass\n", "NoneType", "Optimizer"),
    "optimizer_needs_more": own(
        "optimizer", "def f(parameters, lr: float): pass\n", "bad.yaml:4:1: optimizer.lr: is required",
    ),
    "schedule_raises": own("schedule", "def f(epoch, epochs): raise ValueError('why')\n", "ValueError: why"),
    "schedule_returns_nothing": own("schedule", "def f(epoch, epochs): pass\n", "own.py:f", "NoneType"),
}  # fmt: skip
CHECKPOINTS = {
    **{
        f"{name}_of_{words.split()[0]}_{number}": case(
            words,
            f"{LAST}: linear1.weight holds {what}: the net had diverged",
            files=KNOWN | {LAST: checkpoint(spoilt(value))},
        )
        for name, value, what in (("nan", math.nan, "NaN"), ("infinity", -math.inf, "infinity"))
        for number, words in enumerate(
            (
                "landscape runs/digits",
                "landscape runs/digits@0 --directions pca",
                "landscape runs/digits@0 --path",
                "landscape runs/digits@0 --towards runs/digits",
                "landscape runs/digits@0 --directions-of runs/digits",
                "landscape runs/digits@0 --targets hard --teacher runs/digits",
                "interpolate runs/digits",
                "film runs/digits@0",
                "minimum runs/digits",
                "pair runs/digits",
                "train good.yaml --name taught --set teacher={run: runs/digits}".replace("{", "'{").replace("}", "}'"),
                f"adopt {UNTRAINED} {LAST}",
            )
        )
    },
    "nested": broken(checkpoint(nested), "holds no plain numbers"),
    "escapes": broken(checkpoint(lambda state: state | {"\x1b[31m": torch.zeros(1)}), "an unknown \\x1b[31m"),
    "long_name": broken(checkpoint(lambda state: state | {"k" * 10**6: torch.zeros(1)}), f"{'k' * 40}…{'k' * 39}"),
    "loop": broken(lambda path: (path.unlink(), loop(path)), "Too many levels of symbolic links"),
    "empty": broken(b"", "truncated or not a checkpoint"),
    "truncated": broken(cut(1000), "truncated or not a checkpoint"),
    "truncated_at_its_end": broken(cut(-30), "truncated or not a checkpoint"),
    "text": broken(b"hello, world\n" * 100, "truncated or not a checkpoint"),
    "a_list": broken(checkpoint(lambda state: [1, 2]), "not a state_dict", "list"),
    "a_tensor": broken(checkpoint(lambda state: torch.zeros(3)), "not a state_dict", "Tensor"),
    "integers": broken(checkpoint(lambda state: {"a": 1}), "not a state_dict", "'a' is int"),
    "other_shapes": broken(
        checkpoint(lambda state: {name: torch.zeros(3) for name in state}),
        "another model",
        "linear1.weight is float [3], the model has float [12, 64]",
    ),
    "missing_key": broken(
        checkpoint(lambda state: {name: state[name] for name in [*state][1:]}), "another model", "lacks linear1.weight"
    ),
    "unknown_key": broken(checkpoint(lambda state: state | {"x": torch.zeros(1)}), "another model", "unknown x"),
    "integer_weights": broken(
        checkpoint(lambda state: {name: value.long() for name, value in state.items()}), "another model", "is integer"
    ),
    "sparse": broken(
        checkpoint(lambda state: {name: value.to_sparse() for name, value in state.items()}), "no plain numbers"
    ),
    "a_module": broken(lambda path: torch.save(torch.nn.Linear(2, 2), path), "pickled code", "state_dict()"),
    "code": broken(lambda path: torch.save({"linear1.weight": Trap()}, path), "pickled code", "mkdir"),
    "code_of_old": broken(
        lambda path: torch.save(Trap(), path, _use_new_zipfile_serialization=False), "pickled code", "mkdir"
    ),
    "bare_pickle": broken(pickle.dumps(Trap()), "pickled code"),
    "a_folder": broken(lambda path: (path.unlink(), path.mkdir()), "truncated or not a checkpoint"),
}
POINTS = {
    "no_such_epoch": case(
        "landscape runs/digits@99", "runs/digits has no checkpoint '99'", "0, 1, 2, 3, best", "first, last"
    ),
    "no_such_step": case("landscape runs/digits@step-5", "no checkpoint 'step-5'"),
    "no_such_word": case("landscape runs/digits@final", "no checkpoint 'final'"),
    "no_average": case("interpolate runs/digits runs/digits@ema", "no checkpoint 'ema'"),
    "nothing_after_the_at": case("landscape runs/digits@", "no checkpoint ''"),
    "no_such_run": case(
        "landscape runs/digist", "runs/digist: no such run (did you mean runs/digits?); runs in runs: digits, other"
    ),
    "no_such_folder": case("landscape run/other@3", "run/other: no such run (did you mean runs/other?)"),
    "run_without_its_folder": case("report digits", "digits: no such run (did you mean runs/digits?)"),
    "capital": case("solutions runs/Digits", "runs/Digits: no such run (did you mean runs/digits?)"),
    "one_of_many": case(
        "report runs/dmo",
        "runs/dmo: no such run (did you mean runs/demo?); runs in runs: a0, a1, a2, a3, a4, a5, a6, a7, … (12 in all)",
        files={f"runs/{name}/config.yaml": "" for name in (*(f"a{number}" for number in range(9)), "demo")},
    ),
    "escape": case("landscape 'runs/\x1b[31m'", "runs/\\x1b[31m: no such run; runs in runs: "),
    "long_run": case(f"landscape runs/{'x' * 9000}", f"runs/{'x' * 35}…xxx", "File name too long"),
    "loop": case("report loop", "loop: no such run", files={"loop": loop}),
    "loop_to_write": case("report runs/digits -o loop", "loop/", "Too many levels", files={"loop": loop}),
    "loop_of_runs": case("train good.yaml --runs loop", "loop/digits", files={"loop": loop}),
    "loop_new": case("new loop", "loop exists", files={"loop": loop}),
    "twice": case("landscape runs/digits --grid 3 --grid 5", "--grid: given twice"),
    "pair_twice": case("interpolate runs/digits --range 0 1 --range 0 2", "--range: given twice"),
    "name_twice": case("train good.yaml --name a --name b", "--name: given twice"),
    "short_and_long": case("report runs/digits -o a --output b", "--output: given twice"),
    "no_run": case("landscape runs", "runs: not a run", "config.yaml"),
    "a_file": case("interpolate good.yaml", "good.yaml", "no such run"),
    "same_point": case("interpolate runs/digits@3 runs/digits@last", "the same point"),
    "one_end": case("interpolate runs/digits@2", "a line needs two ends"),
    "other_model": case("interpolate runs/digits runs/other", "runs/other/checkpoints/epoch-0001.pt", "another model"),
    "dropout_seed": case("interpolate runs/digits --seed 4", "--seed 4", "--dropout keep"),
    "film_samples": case("film runs/digits --samples 1000000 --grid 3", "1000000", "300"),
    "dropout_word": case("interpolate runs/digits --dropout on", "--dropout", "off", "keep"),
    "points_1": case("interpolate runs/digits --points 1", "--points", "2"),
    "points_negative": case("interpolate runs/digits --points -5", "--points"),
    "points_absurd": case("interpolate runs/digits --points 5000000000", "--points", "10000000"),
    "points_text": case("interpolate runs/digits --points many", "--points: 'many': a whole number"),
    "range_reversed": case("interpolate runs/digits --range 1 0", "range 1 0", "smaller one first"),
    "range_empty": case("interpolate runs/digits --range 0.5 0.5", "range 0.5 0.5"),
    "range_nan": case("interpolate runs/digits --range nan 1", "--range: 'nan': a finite number"),
    "range_inf": case("interpolate runs/digits --range 0 inf", "--range: 'inf': a finite number"),
    "range_absurd": case("interpolate runs/digits --range -1e10 1e10", "range -1e+10 1e+10", "farther"),
    "range_too_narrow": case("interpolate runs/digits --range 1 1.000000000000001", "too narrow for 1001"),
    "range_of_one": case("interpolate runs/digits --range 0", "--range"),
    "range_text": case("interpolate runs/digits --range a b", "--range: 'a': a finite number"),
    "range_of_the_plane": case("landscape runs/digits --range 1 -1", "range 1 -1", "smaller one first"),
    "x_range": case("landscape runs/digits --x-range 0 nan", "--x-range: 'nan': a finite number"),
    "y_range": case("landscape runs/digits --y-range 3 3", "range 3 3"),
    "y_range_of_a_line": case("landscape runs/digits --dims 1 --y-range 0 1", "--y-range", "--dims 2"),
    "grid_0": case("landscape runs/digits --grid 0", "--grid 0", "at least 2 points"),
    "grid_half": case("landscape runs/digits --grid 5x", "--grid 5x", "N or NxM"),
    "grid_of_a_point": case("landscape runs/digits --grid 1x1", "--grid 1x1", "at least 2 points"),
    "grid_negative": case("landscape runs/digits --grid -3", "--grid -3", "N or NxM"),
    "grid_absurd": case("landscape runs/digits --grid 100000", "--grid 100000", "10 million"),
    "grid_astronomical": case(f"landscape runs/digits --grid {10**30}", "10 million"),
    "grid_empty": case("landscape runs/digits --grid ''", "--grid", "N or NxM"),
    "grid_of_a_line": case("landscape runs/digits --dims 1 --grid 5x9", "--grid 5x9", "N for a line"),
    "dims": case("landscape runs/digits --dims 3", "--dims"),
    "directions": case("landscape runs/digits --directions sideways", "--directions", "'random'", "'pca'"),
    "seed": case("landscape runs/digits --seed -1", "--seed"),
    "normalize": case(
        "landscape runs/digits --normalize filtre", "--normalize 'filtre'", "did you mean 'filter'?", "unit"
    ),
    "ignore": case("landscape runs/digits --ignore bias,nrom", "--ignore 'nrom'", "did you mean 'norm'?", "none"),
    "ignore_nothing": case("landscape runs/digits --ignore ''", "--ignore", "bias, norm, none"),
    "batch_norm": case("interpolate runs/digits --batch-norm frozn", "--batch-norm 'frozn'", "did you mean 'frozen'?"),
    "batch_norm_of_a_plane": case(
        "landscape runs/digits --batch-norm interpolated", "--batch-norm", "allowed: frozen, recompute"
    ),
    "split": case("landscape runs/digits --split val", "--split", "'train', 'test', 'both'"),
    "precision": case("landscape runs/digits --precision fp16", "--precision", "'fp64', 'fp32', 'tf32', 'bf16'"),
    "device": case("landscape runs/digits --device gpu", "device 'gpu'", "cuda:N"),
    "device_of_torch": case("landscape runs/digits --device meta", "device 'meta'"),
    "device_without_number": case("landscape runs/digits --device cuda:x", "device 'cuda:x'"),
    "cuda": case("landscape runs/digits --device cuda", "no CUDA device is available"),
    "cuda_to_interpolate": case("interpolate runs/digits --device cuda:7", "no CUDA device is available"),
    "result_in_a_file": case(
        "landscape runs/digits --grid 3", "landscape is not a folder", files={"runs/digits/landscape": "a"}
    ),
    "line_in_a_file": case(
        "interpolate runs/digits", "interpolate is not a folder", files={"runs/digits/interpolate": "a"}
    ),
    "data_that_went": case(
        "landscape runs/digits",
        "mnist",
        "lacks",
        files={"runs/digits/config.yaml": swap("name: digits\n  root", "name: mnist\n  root")},
    ),
    "film_kind": case("film runs/digits --kind sideways", "--kind", "'both', 'descent', 'plane'"),
    "film_of_no_run": case("film runs/digist", "runs/digist: no such run"),
    "film_every": case("film runs/digits --every 0", "--every: '0': a number from 1e-06 on"),
    "film_format": case("film runs/digits --format gif,avi", "--format 'avi'", "allowed: gif, mp4"),
    "film_fps": case("film runs/digits --fps 100", "--fps", "50"),
    "film_grid": case("film runs/digits --grid 4", "4 points", "miss the checkpoint", "odd number"),
    "film_range": case("film runs/digits --range -1 1", "--range", "units differ", "--kind", "--directions"),
    "film_range_nan": case("film runs/digits --kind plane --range nan 1", "--range: 'nan': a finite number"),
    "film_seed": case("film runs/digits --kind descent --seed 3", "--seed 3", "nothing is drawn for pca"),
    "film_in_a_file": case("film runs/digits --grid 3", "film is not a folder", files={"runs/digits/film": "a"}),
    "directions_of_another_net": case(
        "landscape runs/digits --directions-of runs/other", "runs/other", "another net", "model.hidden"
    ),
    "directions_of_through": case(
        "landscape runs/digits --directions-of runs/digits@1 --towards runs/digits@0", "--directions-of", "leave it"
    ),
    "overwrite_of_its_origin": case(
        "train good.yaml --overwrite --set init_from.run=runs/digits",
        "--overwrite would delete runs/digits, which init_from.run names: choose another --name",
    ),
    "overwrite_of_its_own_weights": case(
        f"train good.yaml --overwrite --set init_from.run={LAST}",
        f"--overwrite would delete {LAST}, which init_from.run",
    ),
    "overwrite_of_its_teacher": case(
        "train good.yaml --overwrite --set teacher.run=[runs/other,./runs/digits@1]",
        "--overwrite would delete ./runs/digits@1, which teacher.run names",
    ),
    "study_of_no_file": case("study nope.yaml", "nope.yaml: no such file"),
    "study_of_a_config": case(
        "study good.yaml",
        "good.yaml:1:1: this is the config of a run, and a study is needed",
        "lossscape train good.yaml takes it",
    ),
    "study_of_a_sweep": case(
        "study s.yaml", "s.yaml:1:1: this is a sweep", "lossscape sweep s.yaml", files={"s.yaml": SWEPT}
    ),
    "study_of_no_kind": case(
        "study a.yaml",
        "a.yaml:1:1: study: is required; allowed: interpolation, minimum",
        files={"a.yaml": "nets: {a: good.yaml}\nscales: {small: {}}\n"},
    ),
    "study_of_nothing": case(
        "study a.yaml", "a.yaml:1:1: study: is required", files={"a.yaml": "study:\nseeds: [0]\n"}
    ),
    "study_of_a_net_that_is_a_sweep": case(
        "study a.yaml --scale small",
        "s.yaml:1:1: this is a sweep, and the config of a run is needed here",
        files={
            "a.yaml": "study: minimum\nlearning_rates: [0.1]\nnets: {a: s.yaml}\nscales: {small: {}}\n",
            "s.yaml": SWEPT,
        },
    ),
    "sweep_of_a_config": case(
        "sweep good.yaml",
        "good.yaml:1:1: this is the config of a run, and a sweep is needed",
        "lossscape train good.yaml takes it",
    ),
    "sweep_of_a_study": case(
        "sweep 'a b.yaml'",
        "a b.yaml:1:1: this is a study",
        "lossscape study 'a b.yaml'",
        files={"a b.yaml": "study: minimum\nname: a\n"},
    ),
    "sweep_of_a_base_that_is_a_sweep": case(
        "sweep t.yaml",
        "s.yaml:1:1: this is a sweep, and the config of a run",
        files={"t.yaml": SWEPT.replace("good", "s"), "s.yaml": SWEPT},
    ),
    "train_of_a_sweep": case(
        "train s.yaml",
        "s.yaml:1:1: this is a sweep, and the config of a run is needed",
        "lossscape sweep s.yaml takes it",
        files={"s.yaml": SWEPT},
    ),
    "train_of_a_study": case(
        "train a.yaml",
        "a.yaml:1:1: this is a study",
        "lossscape study a.yaml",
        files={"a.yaml": "study: minimum\nnets: {}\n"},
    ),
    "adopt_of_a_sweep": case(
        "adopt s.yaml good.yaml", "s.yaml:1:1: this is a sweep", "lossscape sweep s.yaml", files={"s.yaml": SWEPT}
    ),
    "initial_values_of_a_sweep": case(
        "initial-values s.yaml", "s.yaml:1:1: this is a sweep", "lossscape sweep s.yaml", files={"s.yaml": SWEPT}
    ),
    "study_scale": case(
        "study a.yaml --scale tiny",
        "a.yaml",
        "--scale 'tiny'",
        "small",
        files={"a.yaml": "study: interpolation\nnets: {a: good.yaml}\nscales: {small: {}}\n"},
    ),
    "study_option": case(
        "study a.yaml --scale small",
        "a.yaml:1:1: seeds: is required",
        "starts: ",
        files={"a.yaml": "study: interpolation\nnets: {a: good.yaml}\nscales: {small: {}}\n"},
    ),
    "study_set": case(
        "study a.yaml --scale small --set training.epochs=x",
        "--set training.epochs=x: training.epochs: ",
        files={"a.yaml": "study: minimum\nlearning_rates: [0.1]\nnets: {a: good.yaml}\nscales: {small: {}}\n"},
    ),
    "report_of_no_run": case("report runs/nope", "runs/nope: no such run"),
    "report_without_runs": case("report", "RUN"),
    "report_in_a_file": case("report runs/digits --output good.yaml/x", "good.yaml is not a folder"),
    "runs_nowhere": case("runs --runs nowhere", "nowhere: no such folder", "--runs"),
    "runs_of_a_file": case("runs --runs good.yaml", "good.yaml: no such folder"),
    "new_exists": case("new good.yaml", "good.yaml exists"),
    "new_in_a_file": case("new good.yaml/x.yaml", "good.yaml is not a folder"),
    "new_in_proc": case("new /proc/x.yaml", "/proc/x.yaml"),
    "unknown_command": case("trian good.yaml", "trian", "'train'"),
    "unknown_option": case("train good.yaml --nmae x", "--nmae", "--name"),
    "no_argument": case("train", "config"),
    "too_many_arguments": case("schema now", "now"),
}
ADOPTIONS = {
    "nothing": case(f"adopt {UNTRAINED}", "Missing argument 'CHECKPOINT'", files=KNOWN),
    "device": case(f"adopt {UNTRAINED} /dev/zero", "/dev/zero: is not a plain file", files=KNOWN),
    "pipe": case(f"adopt {UNTRAINED} pipe", "pipe: is not a plain file", files=KNOWN | {"pipe": os.mkfifo}),
    "loop": case(f"adopt {UNTRAINED} loop", "loop", files=KNOWN | {"loop": loop}),
    "no_file": case(f"adopt {UNTRAINED} a*.pt", "a*.pt: no such file, nor does one match", files=KNOWN),
    "folder": case(f"adopt {UNTRAINED} runs", "runs: is a folder; name its files", files=KNOWN),
    "twice": case(f"adopt {UNTRAINED} {LAST} ./{LAST}", f"{LAST}: is named twice", files=KNOWN),
    "no_model": case(
        f"adopt {UNTRAINED} {LAST}", "model: is required", files={UNTRAINED: "name: a\ndataset: {name: digits}\n"}
    ),
    "other_keys": case(
        f"adopt {UNTRAINED} other.pt", "other.pt: does not fit the config's model; missing: ",
        "output.bias; left over: a",
        files=KNOWN | {"other.pt": lambda path: torch.save({"model": {"a": torch.zeros(1)}}, path)},
    ),
    "other_width": case(
        f"adopt {UNTRAINED} runs/other/checkpoints/epoch-0001.pt", "belongs to another model", files=KNOWN
    ),
    "no_weights": case(
        f"adopt {UNTRAINED} other.pt", "other.pt: not a state_dict", "nor is one under state_dict, model_state_dict",
        files=KNOWN | {"other.pt": lambda path: torch.save({"epoch": 3}, path)},
    ),
    "code": case(
        f"adopt {UNTRAINED} trap.pt", "trap.pt: holds ", "pickled code and objects are not loaded",
        files=KNOWN | {"trap.pt": lambda path: torch.save({"state_dict": Trap()}, path)},
    ),
    "torn_safetensors": case(
        f"adopt {UNTRAINED} a.safetensors", "a.safetensors: truncated or not a checkpoint",
        files=KNOWN | {"a.safetensors": b"torn"},
    ),
    "epochs": case(f"adopt {UNTRAINED} {LAST} --epochs 1,x", "--epochs 1,x: write different whole", files=KNOWN),
    "same_epochs": case(f"adopt {UNTRAINED} {LAST} --epochs 1,01", "write different whole numbers", files=KNOWN),
    "more_epochs": case(
        f"adopt {UNTRAINED} {LAST} --epochs 1,2", "1 files need as many epochs, and 2 are given", files=KNOWN
    ),
    "over_a_trained_run": case(
        f"adopt {UNTRAINED} {LAST} --name digits", "runs/digits was trained, not adopted", files=KNOWN
    ),
    "trained_without_optimizer": case(f"train {UNTRAINED}", "optimizer: is required", files=KNOWN),
}  # fmt: skip
NUMERALS: dict[str, tuple[float | None, ...]] = {
    # a whole number and a number of a config; of an option; a cell of a CSV
    "12": (12, 12.0, 12, 12.0, 12.0),
    "+3": (3, 3.0, 3, 3.0, 3.0),
    "-0": (0, 0.0, 0, 0.0, 0.0),
    "1e3": (None, 1000.0, None, 1000.0, 1000.0),
    "1e9": (None, 1e9, None, 1e9, 1e9),
    "3.0": (None, 3.0, None, 3.0, 3.0),
    ".5": (None, 0.5, None, 0.5, 0.5),
    " 10 ": (10, 10.0, None, None, None),
    "1e-30": (None, 1e-30, None, 1e-30, 1e-30),
    "1e15": (None, 1e15, None, 1e15, 1e15),
    "5e-324": (None, None, None, None, 5e-324),
    "9e18": (None, None, None, None, 9e18),
    "1e39": (None, None, None, None, 1e39),
    "1e999": (None, None, None, None, math.inf),
    "inf": (None, None, None, None, math.inf),
    "nan": (None, None, None, None, math.nan),
    ".inf": (None, None, None, None, None),
    ".nan": (None, None, None, None, None),
    "010": (None, None, None, None, 10.0),
    "0x10": (None, None, None, None, None),
    "0o17": (None, None, None, None, None),
    "1_0": (None, None, None, None, None),
    "1,5": (None, None, None, None, None),
    "1 000": (None, None, None, None, None),
    "1:30": (None, None, None, None, None),
    "'12'": (None, None, None, None, None),
    "True": (None, None, None, None, None),
    "١٢": (None, None, None, None, None),
    "１２": (None, None, None, None, None),
    "½": (None, None, None, None, None),
    "−1": (None, None, None, None, None),
    "": (None, None, None, None, None),
}
"""What texts are where numbers are wanted; None: refused, as no number or as one that nobody means."""
CURVATURES = {
    "two_runs": case("curvature runs/digits runs/other", "are of two runs: give the checkpoints of one at a time"),
    "blocks": case("curvature runs/digits --blocks whole,layers", "--blocks", "allowed: whole, layer, block"),
    "nothing": case("curvature runs/digits --largest 0 --smallest 0", "ask for one eigenvalue at least"),
    "precision": case("curvature runs/digits --precision bf16", "bf16"),
    "other_width": case(
        "curvature runs/digits", f"{LAST}: belongs to another model",
        files={LAST: lambda path: path.write_bytes(Path("runs/other/checkpoints/epoch-0001.pt").read_bytes())},
    ),
    "decay_of_gradients": case(
        "curvature runs/digits --matrix gradient_covariance --weight-decay include", "is of hessian and ggn"
    ),
}  # fmt: skip
SADDLES = {
    "two_runs": case("saddles runs/digits runs/other", "are of two runs: give the checkpoints of one at a time"),
    "kinks": case("saddles runs/digits", "kinks in the parameters (relu)", "tanh, sigmoid, gelu, silu, softplus"),
    "no_number": case("saddles runs/digits --sizes 0.1,x", "0.1,x: a finite number is needed"),
    "no_length": case("saddles runs/digits --sizes 0,1", "--sizes 0: a number above 0 and up to 100 is needed"),
}
SHARPNESS = {
    "two_runs": case("sharpness runs/digits runs/other", "are of two runs: give the checkpoints of one at a time"),
    "measures": case("sharpness runs/digits --measures worst,best", "--measures", "allowed: worst, average,"),
    "negative": case("sharpness runs/digits --rho=-0.1,0.2", "--rho -0.1,0.2: give radii above 0"),
    "no_number": case("sharpness runs/digits --adaptive-rho 0.1,x", "0.1,x: a finite number is needed"),
    "no_rise": case("sharpness runs/digits --rise 0", "--rise", "a number from 1e-12 to"),
}  # fmt: skip
CONVEXITY = {
    "line": case("convexity runs/digits --grid 1", "needs at least 2 points an axis"),
    "both": case("convexity runs/digits --split both", "--split", "train"),
    "ranges": case("convexity runs/digits --auto-range 3 --range -1 1", "--auto-range finds the range"),
}
GRADIENTS = {
    "two_runs": case("gradients runs/digits runs/other", "are of two runs: give the checkpoints of one at a time"),
    "both_splits": case("gradients runs/digits --split both", "--split", "both"),
    "gradcheck_no_file": case("gradcheck none.yaml", "none.yaml"),
    "gradcheck_of_nothing": case("gradcheck runs/digits --directions 0 --coordinates 0", "there is nothing to check"),
    "gradcheck_settings": case("gradcheck runs/digits --set seed=1", "--set seed=1: is laid over a config"),
}  # fmt: skip
RACES = {
    "no_surface": case("race sadle", "no such run", "surfaces: saddle, monkey_saddle, valley"),
    "no_method": case("race saddle --methods sgdd:lr=0.1", "sgdd", "did you mean 'sgd'?"),
    "no_option": case("race saddle --methods sgd:momentum=0.1", "momentum", "--methods sgd"),
    "no_value": case("race saddle --methods sgd:lr", "write NAME:key=value", "sgd:lr=0.01"),
    "twice": case("race saddle --methods sgd,sgd", "sgd is named twice"),
    "no_list": case("race saddle --methods m.yaml", "a list of optimizers is needed", files={"m.yaml": "name: sgd\n"}),
    "no_point": case("race saddle --start 1", "give two numbers as in --start 0.5,0, or ridge"),
    "no_ridge": case("race beale --start ridge", "is of saddle and monkey_saddle"),
    "both_starts": case("race saddle --start 1,0 --starts 3", "choose one"),
    "many_rows": case("race saddle --starts 10000 --steps 100000", "more than the 5,000,000 rows"),
    "data_of_a_formula": case("race saddle --samples 20", "is a formula, without data or directions"),
    "window": case("race saddle --range 1 2", "its saddle, (0, 0), has to lie in the range"),
    "no_saddles": case("race runs/digits --saddles nowhere", "nowhere"),
    "displaced": case("race runs/digits --displace 0.1", "--saddles methods begin; give both"),
    "report_of_nothing": case("report data", "no such run"),
}
CASES = {
    f"{table}-{name}": case
    for table, cases in (
        ("config", CONFIGS),
        ("run", RUNS),
        ("checkpoint", CHECKPOINTS),
        ("point", POINTS),
        ("adopt", ADOPTIONS),
        ("curvature", CURVATURES),
        ("saddles", SADDLES),
        ("sharpness", SHARPNESS),
        ("convexity", CONVEXITY),
        ("gradients", GRADIENTS),
        ("race", RACES),
    )
    for name, case in cases.items()
}
