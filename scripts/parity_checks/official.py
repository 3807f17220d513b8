"""Code out of the authors' repositories, at fixed commits, run without their imports.

Nothing of a repository is imported or kept here: a file is read by ``git show``, the named
definitions (or the statements between two lines) are taken out of its syntax tree and executed in a
namespace that a check gives. Four things are changed on the way, so that they run on this machine
and in float64: ``.cuda()`` is left out, ``float`` becomes ``double``, masks of ``uint8`` become
``bool``, and type annotations are dropped.
"""

from __future__ import annotations

import ast
import os
import shutil
import subprocess
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import autograd, nn
from torch.nn import functional as F

from parity_checks.rows import Row


class Reference(NamedTuple):
    """The commit of a repository that a check reads, and the licence found in it."""

    commit: str
    licence: str


REFERENCES = {
    "AndPotap/afr": Reference("b34b6cd17cf920cd34a298c7801ca76a7b9db613", "Apache-2.0"),
    "BigML-CS-UCLA/SpuCo": Reference("91842463a577b0a90b4f829fec367308f3052e9f", "MIT"),
    "EIDOSLAB/entangling-disentangling-bias": Reference(
        "b09564818763563ab3c765064f3575c1d5ba0cd2", "MIT"
    ),
    "HazyResearch/correct-n-contrast": Reference(
        "eaa1c664fd2002ed4dd45344353583dbce31fac0", "Apache-2.0"
    ),
    "PolinaKirichenko/deep_feature_reweighting": Reference(
        "9d8d5de78feafb0ba99878b8a1f91c5cd942e62a", "BSD-2-Clause"
    ),
    "YyzHarry/SubpopBench": Reference("4d3dbbe21029666ef19d040e110ec22908640c5b", "MIT"),
    "aida-ugent/fairret": Reference("33b0eaba64e9548c7f5b18fca056d4b7ca9087fd", "MIT"),
    "aliasgharkhani/Masktune": Reference("9a0e2414a713c8d11ddb1aa7469866b865cbd137", "none stated"),
    "alinlab/LfF": Reference("e66796ec117ea52d2e44176055b7ef7959680a1b", "none stated"),
    "anniesch/jtt": Reference("1de6cc5b65e56e8d4db9ad6beb27c3070ba3ee1b", "none stated"),
    "clovaai/rebias": Reference("79d1d1d892412a5e3b07fbea8b776461bed0e096", "MIT"),
    "daniellevy/fast-dro": Reference("dc75246ed5df5c40a54990916ec351ec2b9e0d86", "MIT"),
    "ecreager/eiil": Reference("0e9daed7198ea7206b9cd673982b6f2823f28a2f", "CC-BY-NC-4.0"),
    "facebookresearch/DomainBed": Reference("b93c22a1cfc3b2428398272c1a116c8de1f4139e", "MIT"),
    "facebookresearch/InvariantRiskMinimization": Reference(
        "fc185d0f828a98f57030ba3647efc7394d1be95a", "CC-BY-NC-4.0"
    ),
    "facebookresearch/XRM": Reference("5e90815250aedea546b9e17ffd5d7e0a7c34c20f", "CC-BY-NC-4.0"),
    "fhn98/DaC": Reference("854537dcd121ba811d32f34a059f39347e9c237d", "none stated"),
    "grayhong/bias-contrastive-learning": Reference(
        "35562b6d700356c3a3c7346781f0310ca38f6fd1", "none stated"
    ),
    "gsarridis/FLAC": Reference("1cf04872105e1ec16fb82743568bf4d5d5f0404f", "none stated"),
    "jiawei-ren/BalancedMetaSoftmax-Classification": Reference(
        "34a61e432881816c2da14d577d6ed63501288f5f", "BSD-3-Clause"
    ),
    "kaidic/LDAM-DRW": Reference("2536330f2afdaa65618323cb5a5850efccce762a", "MIT"),
    "kakaoenterprise/Learning-Debiased-Disentangled": Reference(
        "7626f3692f412ebae8d872480fdaa85ab9cddec0", "none stated"
    ),
    "kohpangwei/group_DRO": Reference("cbbc1c5b06844e46b87e264326b56056d2a437d1", "MIT"),
    "mohammadpz/Gradient_Starvation": Reference("bc5c29631fc3abe72e7d05c7ab3424c342e7fd49", "MIT"),
    "motivationss/BAM": Reference("dba35b1fa7fdaabb8b8a73e335c0fadf1e76dbf7", "none stated"),
    "princetonvisualai/DomainBiasMitigation": Reference(
        "c432e751632bce2c7467ef22a6ffb44402b88684", "none stated"
    ),
    "tmlabonte/last-layer-retraining": Reference("40612d4c794ee75545e8cc1e8d045e73224f2dc8", "MIT"),
    "vandit15/Class-balanced-loss-pytorch": Reference(
        "921ccb8725b1eb0903b2c22a1a752a594fcae138", "MIT"
    ),
    "zhihengli-UR/DebiAN": Reference("6ab77f6e33d172ea75e5f635a5d00a68b664ff79", "GPL-3.0"),
}


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
    """Code out of one file: what its definitions are, by name, or statements to run."""

    source: str
    body: list[ast.stmt]
    space: dict[str, Any]

    def __getitem__(self, name: str) -> Any:
        return self.space[name]

    def run(self, space: dict[str, Any]) -> dict[str, Any]:
        """Execute the body once more; returns the namespace after it."""
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
        """The row of a comparison with this code; the greatest of the differences counts."""
        return Row(method, self.source, compared, max(gaps), bar, because)


@dataclass(frozen=True)
class Clones:
    """A folder of clones, ``owner/name`` each; what is missing is cloned from GitHub."""

    folder: Path
    references: dict[str, Reference]

    def take(
        self, repository: str, path: str, *names: str, space: dict[str, Any] | None = None
    ) -> Piece:
        """Definitions of a file, executed; other names that they need are given."""
        source = f"{repository}@{self.references[repository].commit[:10]} {path}"
        body = definitions(ast.parse(self._text(repository, path)), names, source)
        piece = Piece(source, body, {})
        piece.space.update(piece.run(space or {}))
        return piece

    def lines(self, repository: str, path: str, first: int, last: int) -> Piece:
        """Statements of a file, of a training loop for example, which ``run`` executes."""
        source = f"{repository}@{self.references[repository].commit[:10]} {path}"
        body = statements(ast.parse(self._text(repository, path)), first, last, source)
        return Piece(f"{source}:{first}-{last}", body, {})

    def _text(self, repository: str, path: str) -> str:
        clone, commit = self.folder / repository, self.references[repository].commit
        if not clone.exists():
            print(f"cloning {repository}", file=sys.stderr)
            # under another name at first: what is interrupted is not taken for a clone
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
    quiet = os.environ | {
        "GIT_TERMINAL_PROMPT": "0"
    }  # GitHub asks who you are where a repository is gone
    done = subprocess.run(
        ["git", *arguments], capture_output=True, text=True, stdin=subprocess.DEVNULL, env=quiet
    )
    if done.returncode:
        said = (done.stderr.strip().splitlines() or ["no message"])[0]
        raise ValueError(
            f"git {' '.join(arguments)} failed ({said}): give a folder of full clones by --clones, "
            "or delete this one"
        )
    return done.stdout


def _silent(*_: object) -> None:
    pass
