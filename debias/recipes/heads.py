"""The published methods that fit the last layer anew on features that stand still."""

from __future__ import annotations

import itertools
from typing import Any

import torch
from torch import nn

from debias.data.orders import seeded_generator
from debias.errors import InputError
from debias.heads.refits import balanced_heads, focal_heads
from debias.heads.sparse import STRENGTHS, sparse_head
from debias.parts import Parts
from debias.recipes.frozen import Frozen
from debias.recipes.last_layer import TRAINED, LastLayer
from debias.runs.choice import Choice

#: AFR's grids on Waterbirds.
GAMMAS = tuple(4 + 0.5 * step for step in range(33))
PENALTIES = (0.0, 0.1, 0.2, 0.3)


class DFR(LastLayer):
    """Refit the last layer on group-balanced subsamples (deep feature reweighting).

    On validation rows, with their group labels, C chosen on halves of them; or on training rows, C
    chosen on validation. See :func:`debias.heads.sparse.sparse_head` for equation, source and
    differences.

    Args:
        split: "val" or "train", whose rows and group labels the head is fitted on.
        subsamples: how many fits are averaged; the authors take 20 on validation, 10 on training.
        backbone: "trained", "pretrained", or the folder of a finished run.
        base: what the backbone's stage changes of the run's config.

    Raises:
        ValueError: another split, or no subsample.
    """

    def __init__(
        self,
        *,
        split: str = "val",
        subsamples: int = 20,
        backbone: str = TRAINED,
        base: dict[str, Any] | None = None,
    ) -> None:
        super().__init__(backbone, base)
        if split not in ("val", "train"):
            raise InputError(f"recipe.split must be val or train; got {split!r}")
        if subsamples < 1:
            raise InputError(f"recipe.subsamples must be at least 1; got {subsamples}")
        self.split, self.subsamples, self.reads = split, subsamples, (split,)

    def check(self, parts: Parts) -> None:
        """Refuse also a group of one image in validation, where this is halved to choose C."""
        super().check(parts)
        counts = parts.examples.frequencies("val").tolist()
        if self.split == "val" and 1 in counts:
            raise InputError(
                f"{parts.examples.source} has one image of "
                f"{parts.examples.groups.names[counts.index(1)]} in val, which this recipe halves "
                "within groups: add another"
            )

    def fit(self, frozen: Frozen, seed: int) -> nn.Linear:
        """One head, the scaling of the features folded in."""
        held_out = frozen.rows("val") if self.split == "train" else None
        classes = frozen.stage.examples.groups.rows
        generator = seeded_generator(seed)
        rows = frozen.labelled(self.split)
        found = sparse_head(
            rows, generator, classes=classes, held_out=held_out, subsamples=self.subsamples
        )
        on, grouped = ("half of val", True) if self.split == "val" else ("val", frozen.grouped)
        grid = [{"C": strength} for strength in STRENGTHS]
        self.choice = Choice(
            grid, found.scores, int(found.scores.argmax()), on, found.judged, grouped
        )
        return found.head.linear(0)


class AFR(LastLayer):
    """Refit the last layer with larger weights for samples that the model doubts.

    The backbone is trained on a share of the training split, the head refitted on the rest; gamma
    and the pull towards the old head are chosen on validation. See
    :func:`debias.heads.refits.focal_heads`.

    Args:
        gammas: to choose from; the default is the authors' grid for Waterbirds.
        penalties: of the pull towards the old head, to choose from.
        steps: of full-batch descent.
        learning_rate: of the descent.
        share: of the training split that the backbone sees, in (0, 1).
        backbone: "trained", "pretrained", or the folder of a finished run (which has seen all of
            the split).
        base: what the backbone's stage changes of the run's config.

    Raises:
        ValueError: the share or another number is out of range.
    """

    def __init__(
        self,
        *,
        gammas: list[float] = list(GAMMAS),  # noqa: B006 - read as an option's default, never changed
        penalties: list[float] = list(PENALTIES),  # noqa: B006
        steps: int = 500,
        learning_rate: float = 0.01,
        share: float = 0.8,
        backbone: str = TRAINED,
        base: dict[str, Any] | None = None,
    ) -> None:
        super().__init__(backbone, base)
        if not 0 < share < 1:
            raise InputError(
                f"recipe.share must lie between 0 and 1, and leave rows for the head; got {share}"
            )
        if not (gammas and penalties) or min([*gammas, *penalties]) < 0 or steps < 1:
            raise InputError(
                "recipe needs gammas and penalties >= 0 to choose from, and steps >= 1; got "
                f"{gammas}, {penalties} and {steps}"
            )
        self.gammas, self.penalties, self.steps, self.learning_rate = (
            gammas,
            penalties,
            steps,
            learning_rate,
        )
        self.share = share

    def fit(self, frozen: Frozen, seed: int) -> nn.Linear:
        """The best of all gammas, penalties and steps, by validation's worst group or class."""
        rows = self.training_rows(frozen, held_out=True)
        pairs = list(itertools.product(self.gammas, self.penalties))
        grid, held_out = torch.tensor(pairs, dtype=torch.float32), frozen.rows("val")
        fitted = focal_heads(
            rows.features,
            rows.target,
            frozen.head,
            gamma=grid[:, 0],
            start_penalty=grid[:, 1],
            held_out=held_out,
            learning_rate=self.learning_rate,
            steps=self.steps,
        )
        steps = fitted.steps.tolist()
        tried = [
            {"gamma": g, "penalty": p, "step": step}
            for (g, p), step in zip(pairs, steps, strict=True)
        ]
        self.choice = Choice(
            tried, fitted.scores, fitted.best, "val", held_out.group, frozen.grouped
        )
        return fitted.heads.linear(fitted.best)


class CRT(LastLayer):
    """Refit the last layer on balanced draws, with frozen features (classifier retraining).

    See :func:`debias.heads.refits.balanced_heads`.

    Args:
        balance: "group", which needs the training split's labels, or "class".
        weighted: weigh the losses (ReWeightCRT) instead of drawing balanced minibatches (CRT).
        steps: of minibatch descent; the step is chosen on validation, a hundred times at most.
        learning_rate: of the descent.
        backbone: "trained", "pretrained", or the folder of a finished run.
        base: what the backbone's stage changes of the run's config.

    Raises:
        ValueError: an unknown balance, or no step.
    """

    def __init__(
        self,
        *,
        balance: str = "group",
        weighted: bool = False,
        steps: int = 5001,
        learning_rate: float = 1e-3,
        backbone: str = TRAINED,
        base: dict[str, Any] | None = None,
    ) -> None:
        super().__init__(backbone, base)
        if balance not in ("group", "class"):
            raise InputError(f"recipe.balance must be group or class; got {balance!r}")
        if steps < 1:
            raise InputError(f"recipe.steps must be at least 1; got {steps}")
        self.balance, self.weighted, self.steps, self.learning_rate = (
            balance,
            weighted,
            steps,
            learning_rate,
        )
        self.reads = ("train",) if balance == "group" else ()

    def fit(self, frozen: Frozen, seed: int) -> nn.Linear:
        """The head at the step that does best on validation."""
        rows = frozen.labelled("train") if self.balance == "group" else frozen.rows("train")
        generator, held_out = seeded_generator(seed), frozen.rows("val")
        fitted = balanced_heads(
            rows.features,
            rows.target,
            rows.group if self.balance == "group" else rows.target,
            frozen.fresh_head(generator),
            generator,
            steps=self.steps,
            weighted=self.weighted,
            held_out=held_out,
            every=max(self.steps // 100, 1),
            learning_rate=self.learning_rate,
        )
        taken = [{"step": int(fitted.steps[0])}]
        self.choice = Choice(taken, fitted.scores, 0, "val", held_out.group, frozen.grouped)
        return fitted.heads.linear(0)
