"""The rooms and who may import whom: imports go downward only, the command line starts without torch.

And tests use what is public: they reach for no underscore name of lossscape, and patch no constant of it.
"""

import ast
import importlib
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path

import pytest

import lossscape

ROOT = Path(lossscape.__file__).parent
LAYERS = [
    {"errors", "numerals"},
    {
        "yamlfile",
        "weights",
        "files",
        "facts",
        "manifest",
        "seeds",
        "densities",
        "signals",
        "progress",
        "vectors",
        "surfaces",
        "usercode",
        "text",
        "options",
        "devices",
        "onednn",
        "shipped",
        "unchanged",
    },
    {"outputs", "tokens", "held"},
    {"batches", "estimates"},
    {"modules"},
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
    {"models", "listing"},
    {"refusals"},
    {"config"},
    {"objective", "runs"},
    {"derivatives"},
    {"spectra", "gradcheck"},
    {"evaluate", "targets"},
    {"results", "train"},
    {"adopt", "sweeps"},
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
PATCHING, REACHING = {"setattr", "delattr", "patch", "object", "multiple"}, {"getattr", "hasattr", "attrgetter"}
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


def test_every_name_of_the_library_is_what_type_checkers_take_it_for() -> None:
    (block,) = (node for node in ast.parse((ROOT / "__init__.py").read_text()).body if isinstance(node, ast.If))
    said = {alias.name: line.module for line in block.body if isinstance(line, ast.ImportFrom) for alias in line.names}
    assert sorted(said) == lossscape.__all__
    for name, module in said.items():
        assert getattr(lossscape, name) is getattr(importlib.import_module(str(module)), name)
        assert callable(getattr(lossscape, name)), name


def is_private(name: str) -> bool:
    return name.startswith("_") and not name.endswith("_")


def names_made_in(tree: ast.AST) -> Iterator[str]:
    """The names that code gives to functions, classes, variables and attributes."""
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            yield node.name
        elif isinstance(node, ast.Name | ast.Attribute) and isinstance(node.ctx, ast.Store):
            yield node.id if isinstance(node, ast.Name) else node.attr


MADE = {name for file in ROOT.rglob("*.py") for name in names_made_in(ast.parse(file.read_text(encoding="utf-8")))}
PRIVATE, CONSTANTS = set(filter(is_private, MADE)), set(filter(str.isupper, MADE))


def misused(source: str) -> list[str]:
    """Where code, or a script in a string of it, reaches for a private name of lossscape or patches a constant."""
    return [found for node in ast.walk(ast.parse(source)) for found in misused_by(node)]


def misused_by(node: ast.AST) -> list[str]:
    """What is wrong in one node."""
    line = f"{getattr(node, 'lineno', 0)}: "
    match node:
        case ast.ImportFrom(module=str(module), names=names) if module.split(".")[0] == "lossscape":
            return [line + name.name for name in names if any(map(is_private, [*module.split("."), name.name]))]
        case ast.Import(names=names):
            parts = {name.name: name.name.split(".") for name in names}
            return [
                line + name for name in parts if parts[name][0] == "lossscape" and any(map(is_private, parts[name]))
            ]
        case ast.Attribute(value=value, attr=name, ctx=use):
            private = name in PRIVATE and ast.unparse(value) not in ("self", "cls")
            patched = name in CONSTANTS and not isinstance(use, ast.Load)
            return [line + ast.unparse(node)] if private or patched else []
        case ast.keyword(arg=str(name)) if name in PRIVATE:
            return [line + name]
        case ast.Call(func=ast.Name(id=called) | ast.Attribute(attr=called), args=args):
            wrong = PRIVATE | CONSTANTS if called in PATCHING else PRIVATE if called in REACHING else set()
            texts = [each.value for each in args if isinstance(each, ast.Constant) and isinstance(each.value, str)]
            items = [ast.unparse(args[0]).split(".")[-1]] if called in ("setitem", "delitem") and args else []
            names = [name for text in texts for name in text.split(".") if name in wrong]
            return [line + name for name in [*names, *(name for name in items if name in CONSTANTS)]]
        case ast.Constant(value=str(text)) if "import lossscape" in text or "from lossscape" in text:
            try:
                return [f"{line}in a script, {found}" for found in misused(textwrap.dedent(text))]
            except SyntaxError:  # of words about such an import
                return []
    return []


def test_tests_use_what_is_public() -> None:
    files = Path(__file__).parent.rglob("*.py")
    assert [(file.name, found) for file in files for found in misused(file.read_text(encoding="utf-8"))] == []


@pytest.mark.parametrize(
    "source",
    [
        "from lossscape.files import %s_is_row",
        "from lossscape.%s_private import name",
        "import lossscape.%s_private",
        "log.%s_file.tell()",
        "CsvLog.%s_write = write",
        "replace(work, %s_networks={})",
        "getattr(log, '%s_file')",
        "monkeypatch.setattr(log, '%s_file', file)",
        "monkeypatch.setattr('lossscape.files.%s_is_row', row)",
        "monkeypatch.setattr(decode, 'PROCESSES_FROM%s', 1)",
        "monkeypatch.setattr('lossscape.evaluate.engine.KEPT_BYTES%s', 1)",
        "mock.patch('lossscape.evaluate.engine.KEPT_BYTES%s', 1)",
        "decode.PROCESSES_FROM%s = 1",
        "monkeypatch.setitem(calibration.TOLERANCE%s, 'fp32', 1)",
        "script = 'from lossscape import files; files.%s_is_row(1)'",
    ],
)
def test_what_is_not_public_is_found(source: str) -> None:
    assert len(misused(source % "")) == 1
    assert not misused(source % "a")
    assert not misused("self._file.close(); surface._repr_png_(); module._forward_hooks; decode.PROCESSES_FROM > 1")


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
