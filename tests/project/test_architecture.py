"""The arrows between rooms point one way, and what must be light to import is."""

import ast
import io
import subprocess
import sys
import tokenize
from functools import cache
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[2] / "debias"

#: What each room may import of the package, besides itself, ``types`` and ``errors``.
ALLOWED = {
    "types": set(),
    "errors": set(),
    "pixels": set(),
    "files": set(),
    "csv_files": set(),
    "json_files": set(),
    "texts": set(),
    "merging": {"texts"},
    "processes": set(),
    "launched": set(),
    "imports": set(),
    "progress": {"launched"},
    "devices": set(),
    "losses": {"processes"},
    "models": set(),
    "metrics": set(),
    "augment": {"models", "pixels"},
    "group_inference": {"progress"},
    "methods": set(),
    "heads": {"group_inference", "losses", "models", "progress"},
    "data": {"csv_files", "devices", "files", "json_files", "presets", "processes", "progress"},
    "storage": {"files", "json_files", "progress", "store"},
    "places": {"config", "launched", "storage", "store"},
    "store": {"files", "json_files"},
    "own_parts": set(),
    "signatures": {"merging"},
    "readers": set(),
    "presets": {"merging"},
    "downloads": {"files", "json_files", "presets", "progress"},
    "shipped_configs": set(),
    "config": {"files", "merging", "own_parts", "shipped_configs", "texts"},
    "components": {"config", "merging", "methods", "own_parts", "presets", "readers", "signatures"}
    | {"storage"},
    "strategies": {"losses", "models", "pixels", "processes"},
    "training": {"augment", "files", "metrics", "models", "processes", "progress", "strategies"}
    | {"launched"},
    "reports": {"config", "csv_files", "files", "json_files", "merging", "metrics", "progress"},
    "checks": {"config", "data", "merging", "metrics", "models", "training"},
    "idle": {"components", "config", "merging", "own_parts"},
    "parts": {"data", "pixels", "progress", "training"},
    "run_weights": {"config", "merging", "models", "reports"},
    "build": {
        "augment",
        "checks",
        "components",
        "config",
        "data",
        "devices",
        "merging",
        "models",
        "parts",
    }
    | {"places", "run_weights"}
    | {"strategies", "training"},
    "evaluation": {
        "augment",
        "build",
        "config",
        "data",
        "losses",
        "merging",
        "metrics",
        "models",
        "parts",
        "pixels",
        "processes",
        "progress",
        "reports",
        "training",
    },
    "runs": {"build", "checks", "components", "config", "data", "evaluation", "files", "json_files"}
    | {
        "launched",
        "merging",
        "metrics",
        "models",
        "own_parts",
        "parts",
        "processes",
        "progress",
        "reports",
    }
    | {"idle", "places", "run_weights", "store"}
    | {"training"},
    "recipes": {
        "augment",
        "build",
        "components",
        "config",
        "data",
        "evaluation",
        "files",
        "group_inference",
    }
    | {"heads", "merging", "metrics", "models", "parts", "places", "processes", "progress"}
    | {"reports", "run_weights", "runs", "store", "strategies", "training"},
    "audits": {"build", "config", "csv_files", "data", "devices", "evaluation", "files"}
    | {"group_inference"}
    | {"heads", "json_files", "metrics", "models", "parts", "progress", "reports", "trained"},
    "sweeps": {
        "build",
        "idle",
        "imports",
        "methods",
        "checks",
        "components",
        "config",
        "evaluation",
        "files",
    }
    | {
        "launched",
        "csv_files",
        "devices",
        "json_files",
        "merging",
        "metrics",
        "models",
        "own_parts",
        "places",
    }
    | {"presets", "progress", "readers", "reports", "runs", "shipped_configs", "storage"},
    "commands": {
        "audits",
        "build",
        "imports",
        "methods",
        "components",
        "config",
        "csv_files",
        "data",
        "devices",
        "downloads",
        "evaluation",
        "files",
        "group_inference",
    }
    | {"json_files", "merging", "metrics", "models", "own_parts", "parts", "places", "presets"}
    | {"launched", "processes", "progress"}
    | {"reports", "runs", "shipped_configs", "signatures", "storage", "store", "sweeps"}
    | {"trained", "training"},
    "trained": {"components", "config", "data", "files", "json_files", "merging", "models"}
    | {"progress", "reports", "strategies"},
    "api": {
        "audits",
        "commands",
        "config",
        "evaluation",
        "json_files",
        "merging",
        "places",
        "reports",
        "storage",
        "trained",
        "training",
    },
    "__main__": {"commands", "launched"},
}

#: What a room must never import, for whoever imports it alone.
FORBIDDEN = {
    "launched": {"torch", "pytorch_lightning"},
    "processes": {"pytorch_lightning", "torchmetrics", "omegaconf"},
    "devices": {"pytorch_lightning", "torchmetrics", "omegaconf"},
    "losses": {"pytorch_lightning", "torchmetrics", "timm", "albumentations", "omegaconf"},
    "strategies": {"pytorch_lightning", "torchmetrics", "omegaconf"},
    "config": {"torch", "pytorch_lightning"},
    "merging": {"torch", "pytorch_lightning"},
    "presets": {"torch", "pytorch_lightning"},
    "downloads": {"torch", "pytorch_lightning"},
    "storage": {"torch", "pytorch_lightning", "omegaconf"},
    "augment": {"pytorch_lightning", "torchmetrics", "omegaconf"},
    "pixels": {"pytorch_lightning", "torchmetrics", "timm", "albumentations", "omegaconf"},
    "group_inference": {"pytorch_lightning", "torchmetrics", "timm", "omegaconf"},
    "heads": {"pytorch_lightning", "torchmetrics", "timm", "omegaconf"},
    "audits": {"pytorch_lightning"},
    "training": {"omegaconf"},
    "trained": {"pytorch_lightning", "torchmetrics"},
}


@cache
def nodes(path: Path) -> tuple[ast.AST, ...]:
    """All nodes of a file, which several tests read."""
    return tuple(ast.walk(ast.parse(path.read_text())))


def imports(path: Path) -> set[str]:
    found: set[str] = set()
    for node in nodes(path):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found |= {f"{node.module}.{alias.name}" for alias in node.names} | {node.module}
    return found


def room_of(path: Path) -> str:
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


FILES = sorted(path for path in PACKAGE.rglob("*.py") if path != PACKAGE / "__init__.py")


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_arrows_point_one_way(path):
    room = room_of(path)
    # "debias" itself is imported for its version and its configs
    names = {name.split(".")[1] for name in imports(path) if name.startswith("debias.")} - {
        "__version__"
    }
    assert names - {room, "types", "errors"} <= ALLOWED[room]
    assert not {name.split(".")[0] for name in imports(path)} & FORBIDDEN.get(room, set())


def test_method_names_are_compared_in_one_place():
    """No file but ``components`` holds a strategy's name in a comparison."""
    from debias.components import TABLES

    names = set(TABLES["strategy"]) | set(TABLES["sampler"]) | set(TABLES["augment"])
    for path in FILES:
        for node in nodes(path):
            if isinstance(node, ast.Compare):
                constants = {
                    part.value for part in ast.walk(node) if isinstance(part, ast.Constant)
                }
                assert not constants & names, path


def code_lines(path: Path) -> set[int]:
    """The lines of a file that hold code: no blank lines, comments or docstrings."""
    layout = (
        tokenize.COMMENT,
        tokenize.NL,
        tokenize.NEWLINE,
        tokenize.INDENT,
        tokenize.DEDENT,
        tokenize.ENDMARKER,
    )
    text = path.read_text()
    tokens = tokenize.generate_tokens(io.StringIO(text).readline)
    lines = {
        line
        for token in tokens
        if token.type not in layout
        for line in range(token.start[0], token.end[0] + 1)
    }
    for node in nodes(path):
        if (
            isinstance(node, (ast.Module, ast.ClassDef, ast.FunctionDef))
            and ast.get_docstring(node) is not None
        ):
            lines -= set(range(node.body[0].lineno, node.body[0].end_lineno + 1))
    return lines


def test_functions_are_short_and_take_no_keyword_dictionaries():
    for path in FILES:
        assert len(code_lines(path)) <= 200, path
        for node in nodes(path):
            if isinstance(node, ast.FunctionDef):
                assert node.args.kwarg is None, f"{path}: {node.name}"
                body = node.body[1:] if ast.get_docstring(node) else node.body
                assert not body or node.end_lineno - body[0].lineno < 30, f"{path}: {node.name}"


def test_definitions_without_an_underscore_have_a_docstring():
    for path in FILES:
        for node in nodes(path):
            if isinstance(node, (ast.ClassDef, ast.FunctionDef)) and node.name[0] != "_":
                assert ast.get_docstring(node), f"{path}:{node.lineno} {node.name}"


def test_public_class_names_are_defined_once():
    """A reader who meets a class name anywhere in the package knows which class it is."""
    owners: dict[str, list[str]] = {}
    for path in FILES:
        for node in nodes(path):
            if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
                owners.setdefault(node.name, []).append(str(path.relative_to(PACKAGE)))
    assert {name: files for name, files in owners.items() if len(files) > 1} == {}


def loaded_by(statement: str, *, afterwards: str = "pass") -> set[str]:
    code = f"import sys; {statement}; print(*sys.modules); {afterwards}"
    return set(
        subprocess.run(
            [sys.executable, "-c", code], capture_output=True, text=True, check=True
        ).stdout.split()
    )


def modules_of(*rooms: str) -> str:
    """Every module of some rooms, for an import statement."""
    paths = [path for room in rooms for path in (PACKAGE / room).rglob("[!_]*.py")]
    names = (".".join(path.relative_to(PACKAGE.parent).with_suffix("").parts) for path in paths)
    return ", ".join(names)


def test_rooms_below_training_need_no_lightning():
    """They can be imported where only the package ``lightning`` is installed, or none. Losses,
    strategies and augmentations load no other large package either.
    """
    absent = ("pytorch_lightning", "lightning", "lightning_fabric")
    heavy = {"torchmetrics", "timm", "albumentations", "cv2", "matplotlib"}
    loaded = loaded_by(
        f"sys.modules.update(dict.fromkeys({absent}))"  # importing them is an error from now on
        f"; import debias.types, {modules_of('augment', 'losses', 'strategies')}",
        afterwards=f"import {modules_of('metrics', 'models', 'heads', 'group_inference')}",
    )
    assert not loaded & heavy


def test_help_and_planning_load_no_torch():
    statement = (
        "import debias.__main__ as m; m.parser().format_help(); from debias import config as c"
    )
    statement += "; [c.run_name(c.load(n)) for n in c.shipped_configs.names()]"
    statement += "; from pathlib import Path; from debias.sweeps.plan import plan"
    statement += (
        f"; plan(Path({str(PACKAGE.parent / 'experiments' / 'drawn_birds' / 'sweep.yaml')!r}))"
    )
    assert not loaded_by(statement) & {"torch", "numpy", "pytorch_lightning", "cv2", "matplotlib"}
