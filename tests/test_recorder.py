"""A recorder in somebody's training loop: what it keeps, what it must not change, and what it refuses."""

import csv
import json
import random
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from conftest import Answer
from processes import At, Processes
from torch import Tensor, nn

import lossscape
from lossscape import Recorder
from lossscape.adopt import adopt
from lossscape.config import RunConfig, read_config
from lossscape.errors import BadInput
from lossscape.models.cnn import cnn
from lossscape.models.mlp import mlp
from lossscape.runs import Run
from lossscape.usercode import load

SHAPE, CLASSES = (1, 6, 6), 3
NETS = """\
from torch import nn

def net(shape, classes, width: int = 5, act=nn.Tanh):
    return nn.Sequential(nn.Flatten(), nn.Linear(36, width), nn.BatchNorm1d(width), act(), nn.Linear(width, classes))

def other(shape, classes, width: int = 5):
    return net(shape, classes, width, nn.ReLU)
"""
Split = tuple[Tensor, Tensor]


def split(size: int, seed: int) -> Split:
    """Random inputs and classes."""
    generator = torch.Generator().manual_seed(seed)
    inputs = torch.randn(size, *SHAPE, generator=generator)
    return inputs, torch.randint(CLASSES, (size,), generator=generator)


TRAIN, TEST = split(40, 0), split(20, 1)


def own() -> nn.Module:
    """A net that lossscape does not know."""
    torch.manual_seed(3)
    return nn.Sequential(nn.Flatten(), nn.Linear(36, 5), nn.BatchNorm1d(5), nn.Tanh(), nn.Linear(5, CLASSES))


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder, with nets.py."""
    monkeypatch.chdir(tmp_path)
    Path("nets.py").write_text(NETS)
    return tmp_path


def step(model: nn.Module) -> None:
    """A step of plain training."""
    loss = nn.functional.cross_entropy(model(TRAIN[0]), TRAIN[1])
    loss.backward()
    with torch.no_grad():
        for value in model.parameters():
            assert value.grad is not None
            value -= 0.1 * value.grad
            value.grad = None


def rows(run: Run) -> list[dict[str, str]]:
    """metrics.csv."""
    with run.metrics_file.open() as file:
        return list(csv.DictReader(file))


MODELS: dict[str, tuple[Callable[[], nn.Module], dict[str, Any]]] = {
    "of lossscape": (lambda: mlp(SHAPE, CLASSES, hidden=[7], dropout=0.5), {}),
    "of lossscape, wrapped": (lambda: nn.DataParallel(cnn(SHAPE, CLASSES, channels=[4], batch_norm=True)), {}),
    "named": (own, {"named": "nets.py:net"}),
    "named with options": (own, {"named": {"name": "nets.py:net", "width": 5}}),
}


@pytest.mark.usefixtures("undrawn")
@pytest.mark.parametrize(("make", "options"), MODELS.values(), ids=MODELS)
def test_the_command_line_works_on_what_is_recorded(
    make: Callable[[], nn.Module], options: dict[str, Any], place: Path, cli: Callable[..., Answer]
) -> None:
    model = make()
    recorder = Recorder("runs/mine", model, train=TRAIN, test=TEST, loss="cross_entropy", **options)
    for epoch in range(3):
        values = recorder.save(epoch=epoch)
        step(model.train())
    with torch.no_grad():  # the model as it was saved last
        model.load_state_dict(
            {f"module.{k}": v for k, v in recorder.run.checkpoint("2").state().items()}
            if isinstance(model, nn.DataParallel)
            else recorder.run.checkpoint("2").state()
        )
        outputs = model.eval()(TEST[0]).double()
    assert values["test_loss"] == pytest.approx(float(nn.functional.cross_entropy(outputs, TEST[1])), rel=1e-5)
    assert values["test_accuracy"] == float((outputs.argmax(1) == TEST[1]).double().mean())
    for words in (("interpolate", "runs/mine", "--points", 3), ("landscape", "runs/mine", "--grid", 3)):
        answer = cli(*words)
        assert answer.code == 0, answer.err
    certificate = json.loads(next(Path("runs/mine/interpolate").glob("*/certificate.json")).read_text())
    assert sum(check["kind"] == "stored" for check in certificate["checks"]) == 4
    assert cli("report", "runs/mine").code == 0
    assert cli("runs").out.splitlines()[1].endswith("recorded")


def test_a_model_that_is_not_named_gets_its_remedy(place: Path, cli: Callable[..., Answer]) -> None:
    Recorder("runs/mine", own(), train=TRAIN, test=TEST).save(epoch=0)
    refused = cli("landscape", "runs/mine", "--grid", 3)
    assert refused.code == 2
    assert 'model: {name: "mine.py:net"}' in refused.err
    assert cli("runs").out.splitlines()[1].split()[2] == "unknown"
    assert cli("report", "runs/mine").code == 0
    first = rows(Run("runs/mine"))
    Recorder("runs/mine", own(), train=TRAIN, test=TEST, named="nets.py:net").save(epoch=1)
    assert rows(Run("runs/mine"))[:1] == first
    assert cli("landscape", "runs/mine", "--grid", 3).code == 0
    Recorder("runs/mine", own(), train=TRAIN, test=TEST).save(epoch=2)  # named before
    assert [row["epoch"] for row in rows(Run("runs/mine"))] == ["0", "1", "2"]


def test_a_data_set_of_the_config(place: Path, cli: Callable[..., Answer]) -> None:
    model = mlp((1, 8, 8), 10, hidden=[4])
    recorder = Recorder(
        "runs/mine", model, loss={"name": "mse"}, config={"dataset": {"name": "digits", "train_size": 100}}
    )
    recorder.save(epoch=0)
    assert cli("landscape", "runs/mine", "--grid", 3).code == 0


TOKENS = """\
import torch
from torch import nn

class Tagger(nn.Module):
    def __init__(self, classes):
        super().__init__()
        self.embedding, self.head = nn.Embedding(11, 6), nn.Linear(6, classes)

    def forward(self, input_ids, attention_mask):
        hidden = torch.tanh(self.embedding(input_ids)) * attention_mask.unsqueeze(-1)
        return {"hidden": hidden, "logits": self.head(hidden)}

class Reader(Tagger):
    def forward(self, input_ids, attention_mask):
        return {"logits": super().forward(input_ids, attention_mask)["logits"].mean(1)}

def tagger(shape, classes):
    return Tagger(classes)

def reader(shape, classes):
    return Reader(classes)

def line(shape, classes):
    return nn.Linear(shape[0], classes)
"""


def tokens(size: int, seed: int) -> dict[str, Tensor]:
    """Token ids and their mask."""
    ids = torch.randint(11, (size, 7), generator=torch.Generator().manual_seed(seed))
    return {"input_ids": ids, "attention_mask": ids > 1}


def of_positions(inputs: dict[str, Tensor]) -> Tensor:
    """A class of each position, some of which do not count."""
    return (inputs["input_ids"] % 3).masked_fill(~inputs["attention_mask"], -100)


OTHER_NETS: dict[str, tuple[str, Any, Any, str]] = {
    "a class of a text": (
        "reader", (tokens(20, 0), torch.arange(20) % 3), (tokens(9, 1), torch.arange(9) % 3), "cross_entropy"
    ),
    "classes of tokens": (
        "tagger", (tokens(20, 0), of_positions(tokens(20, 0))), (tokens(9, 1), of_positions(tokens(9, 1))),
        "cross_entropy",
    ),
    "numbers": ("line", (torch.randn(20, 4), torch.randn(20, 2)), (torch.randn(9, 4), torch.randn(9, 2)), "mse"),
    "a data set and a loader": (
        "line", torch.utils.data.TensorDataset(torch.randn(20, 4), torch.arange(20) % 3),
        torch.utils.data.DataLoader(
            torch.utils.data.TensorDataset(torch.randn(9, 4), torch.arange(9) % 3), batch_size=4
        ),
        "cross_entropy",
    ),
}  # fmt: skip


@pytest.mark.parametrize(("name", "train", "test", "loss"), OTHER_NETS.values(), ids=OTHER_NETS)
def test_any_net(name: str, train: Any, test: Any, loss: str, place: Path, cli: Callable[..., Answer]) -> None:
    """Inputs by name, outputs with parts, classes of positions, numbers, and data sets of torch's; then adopted too."""
    Path("other_nets.py").write_text(TOKENS)
    torch.manual_seed(0)
    model = load(f"other_nets.py:{name}")((4,), 2 if loss == "mse" else 3)
    again = {"train": train, "test": test, "loss": loss, "named": f"other_nets.py:{name}"}
    recorder = Recorder("runs/mine", model, **again)
    for epoch in range(2):
        values = recorder.save(epoch=epoch)
        with torch.no_grad():
            for value in model.parameters():
                value += 0.1
    assert ("test_accuracy" in values) == (loss != "mse")
    Recorder("runs/mine", model, **again).save(epoch=2)
    answer = cli("interpolate", "runs/mine", "--points", 3)
    assert answer.code == 0, answer.err
    certificate = json.loads(next(Path("runs/mine/interpolate").glob("*/certificate.json")).read_text())
    assert sum(check["kind"] == "stored" for check in certificate["checks"]) == 4
    config = ("runs/mine/config.yaml", "--name", "adopted")
    assert cli("adopt", *config, "runs/mine/checkpoints/*.pt").code == 0
    assert rows(Run("runs/adopted")) == rows(recorder.run)
    assert cli("landscape", "runs/adopted", "--grid", 3).code == 0


# --- what it leaves as it was -------------------------------------------------------------------------------


def test_nothing_of_the_model_or_of_the_random_states_is_changed(place: Path) -> None:
    model = mlp(SHAPE, CLASSES, hidden=[7], dropout=0.5, batch_norm=True).train()
    model[1].eval()  # type: ignore[index]
    nn.functional.cross_entropy(model(TRAIN[0]), TRAIN[1]).backward()
    before = [(name, value.clone(), value.grad) for name, value in model.named_parameters()]
    buffers = [value.clone() for value in model.buffers()]
    modes = [module.training for module in model.modules()]
    random_states = torch.get_rng_state(), random.getstate(), np.random.get_state()[1]
    Recorder("runs/mine", model, train=TRAIN, test=TEST).save(epoch=0)
    after = [(name, value, value.grad) for name, value in model.named_parameters()]
    for (name, value, gradient), (other, now, its) in zip(before, after, strict=True):
        assert name == other
        assert torch.equal(value, now)
        assert gradient is its
    assert all(torch.equal(a, b) for a, b in zip(buffers, model.buffers(), strict=True))
    assert modes == [module.training for module in model.modules()]
    assert torch.equal(torch.get_rng_state(), random_states[0])
    assert random.getstate() == random_states[1]
    assert np.array_equal(np.random.get_state()[1], random_states[2])


# --- again --------------------------------------------------------------------------------------------------


def test_an_epoch_saved_again_takes_the_place_of_the_old(place: Path) -> None:
    model = own()
    recorder = Recorder("runs/mine", model, train=TRAIN, test=TEST, named="nets.py:net")
    for epoch in (0, 1):
        recorder.save(epoch=epoch)
        step(model)
    first = rows(recorder.run)
    again = Recorder("runs/mine", model, train=TRAIN, test=TEST, named="nets.py:net")
    again.save(epoch=1)
    assert rows(again.run)[0] == first[0]
    assert rows(again.run)[1]["train_loss"] != first[1]["train_loss"]
    assert len(again.run.environment()["adopted"]) == 2
    assert torch.equal(again.run.checkpoint("1").state()["1.bias"], model.state_dict()["1.bias"])


def test_overwrite_begins_anew(place: Path) -> None:
    Recorder("runs/mine", own(), train=TRAIN, test=TEST).save(epoch=5)
    Recorder("runs/mine", own(), train=TEST, test=TRAIN, named="nets.py:net", overwrite=True).save(epoch=0)
    assert [row["epoch"] for row in rows(Run("runs/mine"))] == ["0"]
    assert len(Run("runs/mine").tensors("train").inputs) == len(TEST[0])


LOOP = """\
import sys, torch
from lossscape import Recorder
from lossscape.adopt import adopt
from lossscape.config import RunConfig, read_config
from lossscape.models.mlp import mlp

x, y = torch.linspace(-1, 1, 24).reshape(12, 2), torch.arange(12) % 3
torch.manual_seed(0)
model = mlp((2,), 3, hidden=[4])
recorder = Recorder("runs/" + sys.argv[1], model, train=(x, y), test=(x, y))
for epoch in range(3):
    recorder.save(epoch=epoch)
    with torch.no_grad():
        for value in model.parameters():
            value += 0.1
"""


@pytest.mark.slow
def test_killed_at_any_file_the_loop_can_be_run_again(place: Path, processes: Processes) -> None:
    """Each time at a later one of the moments around its writes, until it gets through."""
    Path("loop.py").write_text(LOOP)
    assert processes.run("loop.py", "whole", cwd=place).code == 0
    codes = []
    while 0 not in codes:
        at = At("write", 1 + 3 * len(codes), signal.SIGKILL)
        codes.append(processes.run("loop.py", "mine", cwd=place, at=at).code)
    assert set(codes[:-1]) == {-signal.SIGKILL}
    assert len(codes) > 6
    mine, whole = Run("runs/mine"), Run("runs/whole")
    assert rows(mine) == rows(whole)
    assert [c.sha256 for c in mine.checkpoints()] == [c.sha256 for c in whole.checkpoints()]


RANKS = """\
import sys, torch
from lossscape import Recorder
from lossscape.adopt import adopt
from lossscape.config import RunConfig, read_config
from lossscape.models.mlp import mlp

torch.distributed.init_process_group("gloo", init_method="file://" + sys.argv[1], rank=int(sys.argv[2]), world_size=2)
x, y = torch.linspace(-1, 1, 24).reshape(12, 2), torch.arange(12) % 3
recorder = Recorder("runs/mine", mlp((2,), 3, hidden=[4]), train=(x, y), test=(x, y))
print(recorder.run.name, sorted(recorder.save(epoch=0)))
torch.distributed.barrier()
group = torch.distributed.group.WORLD  # kept: one that is freed at once may wait for its own thread for ever
torch.distributed.destroy_process_group()
"""


def test_the_first_of_several_processes_records(place: Path, processes: Processes) -> None:
    Path("ranks.py").write_text(RANKS)
    begun = [processes.start("ranks.py", place / "meet", rank, cwd=place) for rank in range(2)]
    ended = [processes.wait(process) for process in begun]
    assert [each.code for each in ended] == [0, 0], ended
    keys = ["test_accuracy", "test_loss", "train_accuracy", "train_loss"]
    assert [each.out.strip() for each in ended] == [f"mine {keys}", "mine []"]
    assert [row["epoch"] for row in rows(Run("runs/mine"))] == ["0"]


def test_weights_are_adopted_beside_recorded_ones(place: Path) -> None:
    recorder = Recorder("runs/mine", own(), train=TRAIN, test=TEST, named="nets.py:net")
    recorder.save(epoch=0)
    torch.save(own().state_dict(), "more.pt")
    config = read_config(RunConfig, recorder.run.config_file)
    with pytest.raises(BadInput, match="epoch 0 of runs/mine was recorded; say its own with --epochs"):
        adopt(config, [Path("more.pt")], epochs=[0])
    adopt(config, [Path("more.pt")])
    assert [row["epoch"] for row in rows(recorder.run)] == ["0", "1"]


# --- what is refused ----------------------------------------------------------------------------------------

REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "no data": ({"train": None}, r"needs train=\(inputs, targets\) and test"),
    "no such loss": ({"loss": "hinge"}, "hinge"),
    "another net": ({"named": {"name": "mlp", "hidden": [3]}}, "does not fit"),
    "the same parameters, another net": ({"named": "nets.py:other"}, "gives other outputs than the recorded one"),
    "options": ({"named": {"name": "nets.py:net", "widht": 5}}, "model.widht: key 'widht' is not a parameter"),
    "no such file": ({"named": "nowhere.py:net"}, "there is no file 'nowhere.py'"),
    "inputs of another shape": ({"train": (TRAIN[0][:, :, :5], TRAIN[1])}, "does not take inputs of shape"),
    "class numbers beyond": ({"train": (TRAIN[0], TRAIN[1] + 7)}, "beyond"),
}


@pytest.mark.parametrize(("options", "says"), REFUSED.values(), ids=REFUSED)
def test_what_does_not_fit_is_refused_before_training(options: dict[str, Any], says: str, place: Path) -> None:
    given = {"train": TRAIN, "test": TEST} | options
    with pytest.raises(BadInput, match=says):
        Recorder("runs/mine", own(), **given)
    assert not Run("runs/mine").config_file.exists()
    Recorder("runs/mine", own(), train=TRAIN, test=TEST)  # nothing is left that stands in the way


def test_other_runs_are_left_alone(place: Path, trained: Run, own_run: Run) -> None:
    with pytest.raises(BadInput, match="was trained, not adopted"):
        Recorder(own_run.path, own(), train=TRAIN, test=TEST)
    assert not (own_run.path / "recorded.pt").exists()
    recorder = Recorder("runs/mine", own(), train=TRAIN, test=TEST)
    with pytest.raises(BadInput, match="was made with other data"):
        Recorder("runs/mine", own(), train=TRAIN, test=TRAIN)
    with pytest.raises(BadInput, match=r"loss\.name: cross_entropy, now mse"):
        Recorder("runs/mine", own(), train=TRAIN, test=TEST, loss="mse")
    with pytest.raises(BadInput, match="epochs count from 0"):
        recorder.save(epoch=-1)
    assert lossscape.Recorder is Recorder
