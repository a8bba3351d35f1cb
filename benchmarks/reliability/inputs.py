"""Bad input, drawn by seed: configs, --set texts, options and points that people, scripts and accidents might give."""

import copy
import inspect
import random
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from types import UnionType
from typing import Any, Literal, Union, get_args, get_origin

import yaml

from benchmarks.reliability.works import ANALYSED, commands

SCALARS = (
    "0", "1", "-1", "2", "3", "0.5", "-0.0", "1e-3", "1e3", "1_0", "0x1F", "0o17", "010", "1e400", "-1e400", "1e39",
    "5e-324", "9e18", "9223372036854775808", "4294967296", "99999999999999999999999", ".nan", ".inf", "-.inf", "nan",
    "inf", "null", "~", "true", "yes", "''", "' '", "'1'", "[]", "{}", "[1]", "[1, 2]", "[0]", "[[]]", "{a: 1}", "x",
    "name", "none", "auto", "cpu", "cuda", "cuda:99", "fp32", "bf16", "digits", "synthetic", "mnist", "mlp", "cnn",
    "resnet50", "sgd", "momentum", "adam", "lbfgs", "cosine", "mse", "cross_entropy", "relu", "accuracy", "polyak",
    "١٢", "½", "三", "é", "\"\\0\"", "\"\\e[31m\"", "\"a\\nb\"", "../x", "/dev/null", "nowhere.py:f", "os:mkdir",
    "2026-01-01", "12:30:00", "!!int x", "!!map [1]", "!!seq {a: 1}", "!!set {a}", "!!omap [a: 1]", "!!binary aGk=",
    "!!python/name:os.system", "!!python/object/apply:os.mkdir [sprung]", "!x 1", "!!null x", "!!float x", "!!bool 2",
    "!!timestamp x", "&a [*a]", "*nowhere", "<<", "=", "? x", "|", ">", "@", "`", "%", "1e", "--", "- 1", ": ", "#",
)  # fmt: skip
"""As written in YAML."""
NUMBERS = (
    "0", "1", "2", "3", "5", "-1", "0.5", "-0.5", "1.5", "1e-6", "1e6", "nan", "inf", "-inf", "1e400", "1e39", "1e-320",
    "1_0", "٣", "0x3", "3.0", "", " ", "3 ", "x", "99999999999999999999", "2147483648", "-0", "+3", "1e3", "1,5", "½",
)  # fmt: skip
PATHS = (
    "nowhere", "runs", "runs/a", "a.yaml", "a.yaml/x", "", " ", ".", "new\nline", "\x1b[31mred", "é" * 200, "x" * 5000,
    "/proc/nothing", "/dev/null", "/dev/null/x", "/dev/full", "/dev/zero", "loop", "dangling", "~nobody/x", "$HOME",
    "*", "a b", "-", "runs/a/metrics.csv", "runs/a/checkpoints/epoch-0003.pt", "<b>bold</b>", "'; rm x", "a\x07b",
)  # fmt: skip
"""None that would write outside of the folder of the campaign."""
POINTS = (
    "runs/a", "runs/b", "runs/a@first", "runs/a@last", "runs/a@best", "runs/a@ema", "runs/a@1", "runs/a@99", "runs/a@",
    "runs/a@@1", "runs/a@-1", "runs/a@1.0", "runs/a@1e0", "runs/a@٣", "runs/a@step-3", "runs/a@step-", "runs/a@step-٣",
    "runs/a@epoch-0001", "runs/a@../b", "runs/a@1@2", "runs//a", "./runs/a", "runs/a/", "runs/../runs/a", "runs/dmo",
    "@", "@1", "runs/a@ 1", "runs/a@first ", "runs/A", "runs/norm", "runs/norm@2", "runs/a@99999999999999999999",
)  # fmt: skip
WORDS = ("accuracy", "top5", "mae", "bias", "norm", "none", "gif", "x2", "+0.1", "vts", "a:b", ",", "filter", "unit")
SIGNS = (b" ", b"\t", b"\n", b":", b"- ", b"'", b"{", b"]", b"\0", b"\xff", b"#", b"\r")
MISPRINTS = ((b": ", b":"), (b"\n", b"\r\n"), (b"  ", b"\t"))
SETTINGS = (
    "", "=", "seed", "seed=", "=1", ".=1", "a..b=1", "seed.x=1", "training=5", "model=null", "é=1", "seed=1\n",
    "model={", "optimizer.lr=0.1=2", "\x1b[31m=1", "training.epochs=[", "x" * 9999,
)  # fmt: skip
LONG = 200_000
NEVER = {"--workers": ("-1", "0", "x", "", "1.5", "nan"), "--scheduler": ("nowhere", "tcp://", "tcp://127.0.0.1:1",
         "x://y", "a.yaml", "", "tls://127.0.0.1:1")}  # fmt: skip
"""Options that begin processes or look for them: what they are given in place of the rest."""
SMALLEST = {
    "curvature": ("--largest", "1"),
    "saddles": ("--displacements", "0", "--newton-steps", "1"),
    "sharpness": ("--seeds", "1", "--ascent-steps", "2"),
    "convexity": ("--grid", "2", "--samples", "20"),
    "landscape": ("--grid", "2"),
    "initial-values": ("--schemes", "he", "--seeds", "1", "--epochs", "1"),
    "interpolate": ("--points", "3"),
    "film": ("--grid", "3"),
    "race": ("--steps", "2", "--frames", "2", "--methods", "sgd"),
    "fit": ("--grid", "2", "--frames", "2"),
}
RICH = """\
name: rich
seed: 3
precision: fp32
device: cpu
dataset: {name: digits, train_size: 60, test_size: 20, label_noise: 0.1, augment: {crop: 1, flip: true}}
model: {name: mlp, hidden: [6, 4], activation: relu, dropout: 0.1, batch_norm: true, init: {name: normal, std: 0.1}}
loss: {name: cross_entropy, label_smoothing: 0.1}
optimizer: {name: adam, lr: 0.01, betas: [0.9, 0.99], weight_decay: 0.0001}
schedule: {name: multistep, milestones: [1, 2], gamma: 0.5}
training:
  epochs: 2
  batch_size: 20
  checkpoint_every: 1
  checkpoint_every_steps: 2
  clip_norm: 1.0
  ema: 0.9
  micro_batch: 10
  early_stopping: {patience: 2, metric: test_loss}
metrics: [accuracy, margin]
"""
SMALL = """\
name: small
dataset: {name: synthetic, shape: [1, 4, 4], train: 20, test: 10}
model: {name: cnn, channels: [3], kernel_size: 3}
optimizer: {name: sgd, lr: 0.1}
training: {epochs: 1, batch_size: 10}
teacher: {run: runs/a@last, targets: soft, temperature: 2.0, weight: 0.5}
"""
SWEPT = """\
name: swept
base: {dataset: {name: synthetic, shape: [1, 4, 4], train: 20, test: 10}, model: {name: mlp, hidden: [3]}}
set: {training: {epochs: 1, batch_size: 10}}
product: {seed: [0, 1]}
zip: {model.hidden: [[3], [4, 2]], training.epochs: [1, 2]}
cases:
  sgd: {set: {optimizer: {name: sgd}}, product: {optimizer.lr: [0.1, 1.0]}}
  adam: {set: {optimizer: {name: adam}}}
"""
SOLID = "a.yaml"


@dataclass(frozen=True)
class Input:
    """Words of a command line, and the files that they name."""

    words: tuple[str, ...]
    files: dict[str, bytes]


def config(draw: random.Random) -> Input:
    """Training from a config that was changed, as text or as a tree."""
    change = draw.choice((_text, _text, _tree, _tree, _tree, _grown))
    return Input(("train", "bad.yaml", "--quiet"), {"bad.yaml": change(draw, draw.choice((RICH, RICH, SMALL)))})


def sweep(draw: random.Random) -> Input:
    """A sweep from a file that was changed."""
    change = draw.choice((_text, _tree, _tree, _grown))
    return Input(("sweep", "bad.yaml", "--quiet"), {"bad.yaml": change(draw, SWEPT)})


def setting(draw: random.Random) -> Input:
    """Training with --set."""
    texts = [_setting(draw) for _ in range(draw.choice((1, 1, 2, 3)))]
    return Input(("train", "base.yaml", "--quiet", *(f"--set={text}" for text in texts)), {"base.yaml": RICH.encode()})


def option(draw: random.Random) -> Input:
    """Any command with any of its options, right ones and wrong ones."""
    name = draw.choice([name for name in commands() for _ in range(3 if name in ANALYSES else 1)])
    every = parameters(name)
    words = [word for each in every if not each.flags for word in _arguments(draw, name, each)]
    options = [each for each in every if each.flags]
    for each in draw.sample(options, min(len(options), draw.choice((1, 1, 2, 3)))):
        for _ in range(draw.choice((1, 1, 1, 1, 2))):
            words += _option(draw, each)
    if draw.random() < 0.05:
        words.insert(draw.randint(0, len(words)), draw.choice(("--nmae", "-x", "--", "extra", "--quiet=1", "--seed")))
    small = SMALLEST.get(name, ())
    return Input((name, *words, *(small if small and small[0] not in words else ())), {"base.yaml": RICH.encode()})


def points(draw: random.Random) -> Input:
    """Points and lists of points."""
    name = draw.choice(sorted(ANALYSES | {"report"}))
    found = [_point(draw) for _ in range(draw.choice((1, 1, 2, 3)))]
    more: list[str] = []
    if name == "landscape":
        more = [
            draw.choice(("--towards", "--through", "--directions-of", "--teacher", "--path")),
            *(_point(draw) for _ in range(draw.choice((0, 1, 2)))),
        ]
    return Input((name, *found, *SMALLEST.get(name, ()), *more), {})


KINDS: dict[str, tuple[float, Callable[[random.Random], Input]]] = {
    "configs": (0.4, config), "sweeps": (0.05, sweep), "--set": (0.25, setting), "options": (0.2, option),
    "points": (0.1, points),
}  # fmt: skip
"""By the row of the table: the share of all cases, and what makes one."""
ANALYSES = {*ANALYSED}


def drawn(kind: str, seed: int, number: int) -> Input:
    """The input of a case."""
    return KINDS[kind][1](random.Random(f"{seed}/{kind}/{number}"))


@dataclass(frozen=True)
class Parameter:
    """An option or argument of a command."""

    name: str
    flags: tuple[str, ...]
    """None of an argument."""
    type: Any
    required: bool

    @property
    def numbers(self) -> int:
        """Values that one use of it takes."""
        if self.type is bool:
            return 0
        return len(get_args(self.type)) if get_origin(self.type) is tuple else 1


@cache
def parameters(command: str) -> list[Parameter]:
    """What a command takes, as it tells typer."""
    from typer.models import OptionInfo

    found = []
    for name, each in inspect.signature(commands()[command]).parameters.items():
        info, kind = each.default, each.annotation
        if get_origin(kind) in (UnionType, Union):
            (kind,) = [part for part in get_args(kind) if part is not type(None)]
        flags: tuple[str, ...] = ()
        if isinstance(info, OptionInfo):
            flags = tuple(info.param_decls or ()) or (f"--{name.replace('_', '-')}",)
        found.append(Parameter(name, flags, kind, info.default is ...))
    return found


@cache
def _parsed(text: str) -> Any:
    return yaml.safe_load(text)


def _scalar(draw: random.Random) -> str:
    if draw.random() < 0.005:
        return draw.choice(("'" + "x" * LONG + "'", "[" * 500 + "]" * 500, "9" * 5000, "[" + "1, " * 3000 + "1]"))
    if draw.random() < 0.2:
        return _number(draw)
    return draw.choice(SCALARS)


def _number(draw: random.Random) -> str:
    value = draw.choice((draw.uniform(-2, 2), 10 ** draw.uniform(-330, 308)))
    return draw.choice((repr(value), repr(-value), str(int(min(abs(value), 1e30))), f"{value:.3e}"))


def _text(draw: random.Random, text: str) -> bytes:
    """A text with one to three changes that an editor or a broken disk may make."""
    content = bytearray(text.encode())
    for _ in range(draw.choice((1, 1, 2, 3))):
        at = draw.randrange(len(content))
        kind = draw.randrange(8)
        if kind == 0:
            content[at] ^= 1 << draw.randrange(8)
        elif kind == 1:
            del content[at : at + draw.choice((1, 1, 5, 50))]
        elif kind == 2:
            content[at:at] = draw.choice(SIGNS)
        elif kind == 3:
            found = list(re.finditer(rb"[\w.]+", bytes(content)))
            word = draw.choice(found) if found else None
            if word:
                content[word.start() : word.end()] = _scalar(draw).encode(errors="replace")
        elif kind == 4:
            lines = bytes(content).splitlines(keepends=True)
            draw.shuffle(lines)
            content = bytearray(b"".join(lines))
        elif kind == 5:
            lines = bytes(content).splitlines(keepends=True)
            lines.insert(draw.randrange(len(lines)), draw.choice(lines))
            content = bytearray(b"".join(lines))
        elif kind == 6:
            del content[at:]
        else:
            content = bytearray(bytes(content).replace(*draw.choice(MISPRINTS), 1))
        if not content:
            break
    return bytes(content)


def _tree(draw: random.Random, text: str) -> bytes:
    """The tree of a text with one to three values, keys or branches changed."""
    marks: dict[str, str] = {}
    tree = copy.deepcopy(_parsed(text))
    for number in range(draw.choice((1, 1, 2, 3))):
        places = list(places_of(tree))
        holder, key = draw.choice(places)
        kind = draw.randrange(6)
        if kind <= 2:
            marks[f"mark{number}x"] = _scalar(draw)
            holder[key] = f"mark{number}x"
        elif kind == 3:
            del holder[key]
        elif kind == 4 and isinstance(holder, dict):
            holder[draw.choice((f"{key}s", str(key)[:-1], str(key).upper(), "name", "x", ""))] = holder.pop(key)
        else:
            old = holder[key]
            holder[key] = draw.choice(([old], {"name": old}, {str(key): old}, [old] * 2))
    written = yaml.safe_dump(tree, sort_keys=False, default_flow_style=draw.choice((True, False, None)), width=10**6)
    for mark, value in marks.items():
        written = written.replace(mark, value)
    return written.encode(errors="replace")


def _grown(draw: random.Random, text: str) -> bytes:
    """A section replaced by a tree of hypothesis's, which knows strange texts, numbers and nestings."""
    tree = copy.deepcopy(_parsed(text))
    tree[draw.choice([*tree, "name", "training"])] = draw.choice(make_strange())
    return yaml.safe_dump(tree, allow_unicode=True, sort_keys=False).encode(errors="replace")


@cache
def make_strange() -> list[Any]:
    """Values of hypothesis's, the same ones every time."""
    import hypothesis
    from hypothesis import strategies as st

    leaves = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20) | st.dates() | st.binary()
    keys = st.text(max_size=8) | st.sampled_from(["name", "lr", "epochs", "hidden", "batch_size"])
    trees = st.recursive(leaves, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(keys, inner, max_size=4))
    found: list[Any] = []

    @hypothesis.seed(0)
    @hypothesis.settings(
        max_examples=500, database=None, deadline=None, phases=[hypothesis.Phase.generate],
        suppress_health_check=list(hypothesis.HealthCheck),
    )  # fmt: skip
    @hypothesis.given(trees)
    def collect(value: Any) -> None:
        found.append(value)

    collect()
    return found


def places_of(tree: Any) -> Iterator[tuple[Any, Any]]:
    """Every place in a tree: what holds it, and its key there."""
    for key in tree if isinstance(tree, dict) else range(len(tree)):
        yield tree, key
        if isinstance(tree[key], dict | list):
            yield from places_of(tree[key])


def _setting(draw: random.Random) -> str:
    if draw.random() < 0.1:
        return draw.choice(SETTINGS)
    keys = [key for key in _paths(_parsed(RICH)) if draw.random() < 0.9 or "." not in key]
    key = draw.choice(keys or ["seed"])
    if draw.random() < 0.1:
        key = draw.choice((key + "x", key[:-1], key.upper(), key + ".0", key + ".name", key.replace(".", "..")))
    return f"{key}={_scalar(draw)}"


def _paths(tree: Any, before: str = "") -> list[str]:
    found = []
    for key, value in tree.items():
        found.append(before + key)
        if isinstance(value, dict):
            found += _paths(value, f"{before}{key}.")
    return found


def _point(draw: random.Random) -> str:
    if draw.random() < 0.15:
        return draw.choice(PATHS)
    point = draw.choice(POINTS)
    if draw.random() < 0.3:
        at = draw.randrange(len(point) + 1)
        point = point[:at] + draw.choice("@/.-0٣ é\n*") + point[at + draw.randrange(2) :]
    return point.lstrip("/") if point.startswith("/") else point


def _arguments(draw: random.Random, command: str, parameter: Parameter) -> list[str]:
    """What stands where a command takes files, runs and points."""
    if command in ("train", "adopt") and parameter.name == "config":
        return [draw.choice(("base.yaml", "base.yaml", "a.yaml", "adopted.yaml", draw.choice(PATHS)))]
    if parameter.name == "checkpoints":
        return [draw.choice(("outside/*.pt", "outside/epoch-0001.pt", "*", draw.choice(PATHS)))]
    if parameter.name == "file":
        return [draw.choice(("interpolation.yaml", "minimum.yaml", draw.choice(PATHS)))]
    if parameter.name == "path":
        return [draw.choice(("made.yaml", draw.choice(PATHS)))]
    if not parameter.required and draw.random() < 0.7:
        return []
    return [_point(draw) if draw.random() < 0.4 else draw.choice(("runs/a", "runs/b"))]


def _option(draw: random.Random, parameter: Parameter) -> list[str]:
    flag = draw.choice(parameter.flags)
    if flag in NEVER:
        return [flag, draw.choice(NEVER[flag])]
    count = parameter.numbers - (draw.random() < 0.02)
    return [flag, *(_value(draw, parameter) for _ in range(count))]


def _value(draw: random.Random, parameter: Parameter) -> str:
    choices = [str(each) for each in get_args(parameter.type)] if get_origin(parameter.type) is Literal else []
    numeric = parameter.type in (int, float) or get_origin(parameter.type) is tuple
    lucky = draw.random()
    if lucky < 0.04:
        return draw.choice(("x" * LONG, "\x1b[2J", "a\nb", "é" * 300, "'", "<script>", "%s%n", "{}", "\u202e"))
    if choices and lucky < 0.6:
        return draw.choice(choices)
    if parameter.name in ("runs", "folder", "output", "name", "path"):
        return draw.choice(PATHS)
    if numeric or lucky < 0.4:
        return draw.choice(NUMBERS) if lucky < 0.9 else _number(draw)
    return draw.choice((*WORDS, *POINTS[:8], *choices, f"{draw.choice(WORDS)},{draw.choice(WORDS)}", "3x", "3x3", "0"))
