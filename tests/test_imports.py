"""The rooms and who may import whom: imports go downward only, and the command line starts without torch."""

import ast
import importlib
import subprocess
import sys
from pathlib import Path

import pytest

import lossscape

ROOT = Path(lossscape.__file__).parent
LAYERS = [
    {"errors"},
    {
        "yamlfile",
        "weights",
        "files",
        "seeds",
        "signals",
        "progress",
        "vectors",
        "usercode",
        "text",
        "options",
        "devices",
    },
    {"outputs", "tokens"},
    {"batches", "estimates"},
    {"families", "trust"},
    {
        "runfiles",
        "execution",
        "measured",
        "data",
        "losses",
        "metrics",
        "optimizers",
        "reading",
        "scoring",
        "schedules",
        "dropout",
    },
    {"models"},
    {"refusals"},
    {"config"},
    {"objective", "runs"},
    {"derivatives"},
    {"evaluate", "targets"},
    {"results", "train"},
    {"adopt"},
    {"recorder"},
    {"problem", "trajectory"},
    {"directions"},
    {"certificate"},
    {"figures"},
    {"analyses"},
    {"report", "library"},
    {"studies"},
    {"cli"},
]
LEVEL = {room: level for level, rooms in enumerate(LAYERS) for room in rooms}


def imports_of(file: Path) -> set[str]:
    """The rooms of lossscape that a file imports at run time (imports for type checkers aside)."""
    tree = ast.parse(file.read_text(encoding="utf-8"))
    found: set[str] = set()
    nodes: list[ast.AST] = [tree]
    while nodes:
        node = nodes.pop()
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
            nodes.extend(node.orelse)
            continue
        if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "lossscape":
            parts = (node.module or "").split(".")
            found |= {parts[1]} if len(parts) > 1 else {alias.name for alias in node.names}
        elif isinstance(node, ast.Import):
            found |= {a.name.split(".")[1] for a in node.names if a.name.startswith("lossscape.")}
        nodes.extend(ast.iter_child_nodes(node))
    return found


def test_every_room_has_its_place_in_the_layers() -> None:
    rooms = {path.stem for path in ROOT.iterdir() if path.suffix == ".py" or (path / "__init__.py").exists()}
    assert rooms - {"__init__", "__main__"} == set(LEVEL)


def test_imports_go_downward_only() -> None:
    wrong = []
    for file in ROOT.rglob("*.py"):
        room = file.relative_to(ROOT).parts[0].removesuffix(".py")
        for other in imports_of(file) if room in LEVEL else ():
            if other != room and LEVEL[other] > LEVEL[room]:
                wrong.append(f"{file.relative_to(ROOT)} imports {other}")
    assert not wrong


def test_every_name_of_the_library_is_what_it_says() -> None:
    for name in lossscape.__all__:
        importlib.import_module(f"lossscape.{lossscape._HOMES[name]}")
    for name in lossscape.__all__:
        assert callable(getattr(lossscape, name)), name


@pytest.mark.parametrize(("command", "option"), [("train", "--set"), ("landscape", "--directions")])
def test_help_does_not_import_torch(command: str, option: str) -> None:
    code = (
        f"import sys; sys.argv = ['lossscape', {command!r}, '--help']\n"
        "from lossscape.cli import main\n"
        "try: main()\n"
        "except SystemExit: pass\n"
        "heavy = {'torch', 'numpy', 'pandas', 'matplotlib', 'yaml'} & set(sys.modules)\n"
        "print('heavy:', heavy, file=sys.stderr)"
    )
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "heavy: set()" in answer.stderr
    assert option in answer.stdout
