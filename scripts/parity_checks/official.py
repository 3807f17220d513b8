"""Runs code of the authors' repositories, at fixed commits, without their imports.

No repository is imported or stored here. ``git show`` reads a file. The named definitions, or the
statements between two lines, are extracted from its syntax tree, and executed in a namespace that
a check gives. Four changes make them run on a CPU and in float64: ``.cuda()`` is removed, ``float``
becomes ``double``, masks of ``uint8`` become ``bool``, and type annotations are removed. A check
may leave out a line that is not Python.
"""

import ast
import os
import shutil
import subprocess
import sys
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import autograd, nn
from torch.nn import functional as F

from parity_checks.references import Reference
from parity_checks.rows import Row

RENAMED = {"FloatTensor": "DoubleTensor", "float": "double", "float32": "float64", "uint8": "bool"}


class Portable(ast.NodeTransformer):
    """What is changed in a syntax tree before it runs: see above."""

    def visit_Call(self, node: ast.Call) -> ast.AST:
        self.generic_visit(node)
        return (
            node.func.value
            if isinstance(node.func, ast.Attribute) and node.func.attr == "cuda"
            else node
        )

    def visit_Attribute(self, node: ast.Attribute) -> ast.AST:
        self.generic_visit(node)
        node.attr = RENAMED.get(node.attr, node.attr)
        within = node.value
        if (
            node.attr == "DoubleTensor"
            and isinstance(within, ast.Attribute)
            and within.attr == "cuda"
        ):
            node.value = within.value
        return node

    def visit_FunctionDef(self, node: ast.FunctionDef) -> ast.AST:
        self.generic_visit(node)
        node.returns = None
        for argument in ast.walk(node.args):
            if isinstance(argument, ast.arg):
                argument.annotation = None
        return node


def definitions(tree: ast.Module, names: Iterable[str], where: str) -> list[ast.stmt]:
    """The definitions or assignments of these names, wherever in the tree, in their order.

    Raises:
        ValueError: a name is not defined there, or more than once.
    """
    found: list[ast.stmt] = []
    for name in names:
        nodes = [
            node for node in ast.walk(tree) if isinstance(node, ast.stmt) and _name(node) == name
        ]
        if len(nodes) != 1:
            raise ValueError(
                f"{where} defines {name!r} {len(nodes)} times, and the check needs it once"
            )
        found += nodes
    return found


def statements(tree: ast.AST, first: int, last: int, where: str) -> list[ast.stmt]:
    """The outermost statements that lie between two lines, both included.

    Raises:
        ValueError: none begins at the first line, or none ends at the last.
    """
    found: list[ast.stmt] = []
    for node in ast.iter_child_nodes(tree):
        inside = (
            isinstance(node, ast.stmt) and first <= node.lineno and (node.end_lineno or 0) <= last
        )
        found += [node] if inside else statements(node, first, last, "")  # type: ignore[list-item]
    if where and (not found or found[0].lineno != first or found[-1].end_lineno != last):
        raise ValueError(f"{where} has no statements from line {first} to line {last}")
    return found


def _name(node: ast.stmt) -> str | None:
    if isinstance(node, ast.FunctionDef | ast.ClassDef):
        return node.name
    return (
        node.targets[0].id
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name)
        else None
    )


@dataclass(frozen=True)
class Piece:
    """Code of one file: executed definitions by name, or statements to run."""

    source: str
    body: list[ast.stmt]
    space: dict[str, Any]

    def __getitem__(self, name: str) -> Any:
        return self.space[name]

    def run(self, space: dict[str, Any]) -> dict[str, Any]:
        """Execute the statements in a namespace, and return the namespace."""
        module = ast.fix_missing_locations(
            Portable().visit(ast.Module(list(self.body), type_ignores=[]))
        )
        given = {
            "np": np,
            "torch": torch,
            "nn": nn,
            "F": F,
            "autograd": autograd,
            "print": _silent,
        } | space
        exec(compile(module, self.source, "exec"), given)
        return given

    def row(
        self, method: str, compared: str, gaps: Iterable[float], *, bar: float, because: str = ""
    ) -> Row:
        """The row of a comparison with this code, with the largest of the differences."""
        return Row(method, self.source, compared, max(gaps), bar, because)


@dataclass(frozen=True)
class Clones:
    """A folder of clones, each at ``owner/name``. A missing one is cloned from GitHub."""

    folder: Path
    references: dict[str, Reference]

    def at(self, repository: str, commit: str) -> "Clones":
        """The same clones, with another commit of a repository."""
        changed = self.references[repository]._replace(commit=commit)
        return replace(self, references=self.references | {repository: changed})

    def take(
        self,
        repository: str,
        path: str,
        *names: str,
        space: dict[str, Any] | None = None,
        without: int | None = None,
    ) -> Piece:
        """Execute definitions of a file; ``space`` has the other names that they need.

        A line ``without``, by its number, is left out, since the file cannot be read with it.
        """
        source = f"{repository}@{self.references[repository].commit[:10]} {path}"
        body = definitions(self._tree(repository, path, without), names, source)
        piece = Piece(source, body, {})
        piece.space.update(piece.run(space or {}))
        return piece

    def lines(
        self, repository: str, path: str, first: int, last: int, *, without: int | None = None
    ) -> Piece:
        """Statements between two lines of a file, such as of a training loop, for ``run``."""
        source = f"{repository}@{self.references[repository].commit[:10]} {path}"
        body = statements(self._tree(repository, path, without), first, last, source)
        return Piece(f"{source}:{first}-{last}", body, {})

    def _tree(self, repository: str, path: str, without: int | None) -> ast.Module:
        """The syntax tree of a file, without one of its lines."""
        lines = self._text(repository, path).splitlines()
        if without is not None:
            lines[without - 1] = ""
        return ast.parse("\n".join(lines).rstrip("\\\n"))  # a file of EFDM ends in a backslash

    def _text(self, repository: str, path: str) -> str:
        clone, commit = self.folder / repository, self.references[repository].commit
        if not clone.exists():
            print(f"cloning {repository}", file=sys.stderr)
            # under a temporary name, so that an interrupted clone does not count as a clone
            partial = clone.with_name(f"{clone.name}.partial")
            shutil.rmtree(partial, ignore_errors=True)
            _git(
                "clone",
                "--quiet",
                "--no-checkout",
                f"https://github.com/{repository}",
                str(partial),
            )
            partial.rename(clone)
        return _git("-C", str(clone), f"--git-dir={_git_folder(clone)}", "show", f"{commit}:{path}")


def _git_folder(clone: Path) -> str:
    return ".git" if (clone / ".git").exists() else "."


def _git(*arguments: str) -> str:
    # GitHub asks for a user name if a repository no longer exists
    quiet = os.environ | {"GIT_TERMINAL_PROMPT": "0"}
    process = subprocess.run(
        ["git", *arguments], capture_output=True, text=True, stdin=subprocess.DEVNULL, env=quiet
    )
    if process.returncode:
        reason = (process.stderr.strip().splitlines() or ["no message"])[0]
        raise ValueError(
            f"git {' '.join(arguments)} failed ({reason}): give a folder of full clones with "
            "--clones, or delete this one"
        )
    return process.stdout


def _silent(*_: object) -> None:
    pass
