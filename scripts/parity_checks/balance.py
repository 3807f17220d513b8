"""Compares losses that weight classes, groups or samples with the authors' code."""

from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch

from debias.losses.balanced_weights import balanced_weights
from debias.losses.classification import classification_losses
from debias.losses.cvar import cvar
from debias.losses.focal import focal_losses
from debias.losses.group_dro import GroupDROLoss
from debias.losses.ldam import ldam_losses, ldam_margins
from debias.losses.logit_adjustment import log_priors, logit_adjusted_losses
from debias.strategies.logit_adjustment import ConditionalLogitAdjustment
from debias.types import Batch, Groups
from parity_checks.cases import Given, apart, both, draws, labelled
from parity_checks.official import Clones
from parity_checks.rows import Row

SUBPOP, ALGORITHMS = "YyzHarry/SubpopBench", "subpopbench/learning/algorithms.py"


def group_dro(clones: Clones) -> Iterator[Row]:
    code = clones.take("kohpangwei/group_DRO", "loss.py", "LossComputer")
    for adjustment, text in (
        (0.0, "a group absent from half of the batches"),
        (3.0, "C = 3, less their term in C"),
    ):
        gaps = [_dro_steps(code["LossComputer"], seed, adjustment) for seed in range(4)]
        yield code.row("group_dro", f"value, gradient, q over 40 steps; {text}", gaps, bar=1e-12)


def _dro_steps(computer: Any, seed: int, adjustment: float) -> float:
    counts = torch.tensor([256.0, 64.0, 16.0, 1024.0])  # their square roots are exact
    data = SimpleNamespace(n_groups=4, group_counts=lambda: counts, group_str=None)
    theirs = computer(classification_losses, True, data, alpha=0.2, adj=np.full(4, adjustment))
    ours, generator = GroupDROLoss(4, adjustment=adjustment, counts=counts).double(), draws(seed)
    return max(
        _dro_step(theirs, ours, generator, absent=not adjustment and step % 2 > 0)
        for step in range(40)
    )


def _dro_step(
    theirs: Any, ours: GroupDROLoss, generator: torch.Generator, *, absent: bool
) -> float:
    logits = 3 * torch.randn(24, 2, generator=generator)
    group = torch.randint(4, (24,), generator=generator)
    group[:4] = torch.arange(4)
    group[group == 2] = 0 if absent else 2

    def official(z: torch.Tensor) -> Any:
        return theirs.loss(z, group // 2, group, True) - theirs.adv_probs @ ours.margin

    gap = both(official, lambda z: ours(classification_losses(z, group // 2), group), logits)
    return max(gap, apart(theirs.adv_probs, ours.weights))


def cvar_dro(clones: Clones) -> Iterator[Row]:
    code = clones.take(
        "daniellevy/fast-dro", "robust_losses.py", "GEOMETRIES", "cvar_value", "RobustLoss"
    )

    def case(seed: int) -> float:
        size, alpha = (1, 2, 7, 30, 128)[seed % 5], (0.01, 0.1, 0.29, 0.5, 0.7, 1.0)[seed % 6]
        losses = 5 * torch.rand(size, generator=draws(seed))
        theirs = code["RobustLoss"](alpha, 0, "cvar")
        ties = losses.round()
        return max(
            both(theirs, lambda v: cvar(v, alpha=alpha), losses),
            apart(theirs(ties), cvar(ties, alpha=alpha)),
        )

    compared = "value, gradient; N 1 to 128, alpha 0.01 to 1; value with equal losses"
    yield code.row("cvar_dro", compared, map(case, range(60)), bar=1e-12)


def focal(clones: Clones) -> Iterator[Row]:
    code = clones.take("kaidic/LDAM-DRW", "losses.py", "focal_loss", "FocalLoss")

    def case(seed: int) -> float:
        (logits, target), gamma = labelled(4 * seed + seed % 3), (0.0, 0.5, 1.0, 2.0, 5.0)[seed % 5]
        theirs = code["FocalLoss"](gamma=gamma)
        return both(
            lambda z: theirs(z, target),
            lambda z: focal_losses(z, target, gamma=gamma).mean(),
            logits,
        )

    yield code.row("focal", "value, gradient; gamma 0 to 5", map(case, range(15)), bar=1e-12)


def ldam(clones: Clones) -> Iterator[Row]:
    code = clones.take("kaidic/LDAM-DRW", "losses.py", "LDAMLoss")

    def case(seed: int) -> float:
        counts = ([3682, 1113], [5000, 500, 50, 5, 1])[seed % 2]
        (logits, target), theirs = labelled(seed, classes=len(counts)), code["LDAMLoss"](counts)
        margins = ldam_margins(torch.tensor(counts))
        return both(
            lambda z: theirs(z, target),
            lambda z: ldam_losses(z, target, margins=margins).mean(),
            logits,
        )

    yield code.row(
        "ldam",
        "value, gradient; 2 and 5 classes",
        map(case, range(12)),
        bar=1e-5,
        because="our margins are float32",
    )


def balanced_softmax(clones: Clones) -> Iterator[Row]:
    repository = "jiawei-ren/BalancedMetaSoftmax-Classification"
    code = clones.take(repository, "loss/BalancedSoftmaxLoss.py", "balanced_softmax_loss")

    def case(seed: int) -> float:
        (logits, target), counts = labelled(seed), torch.tensor([5000, 500, 50, 5, 1])
        prior = log_priors(counts)
        return both(
            lambda z: code["balanced_softmax_loss"](target, z, counts, "mean"),
            lambda z: logit_adjusted_losses(z, target, log_prior=prior).mean(),
            logits,
        )

    compared = "value, gradient; counts 5,000 to 1, tau = 1"
    gaps = map(case, range(8))
    yield code.row("logit_adjustment", compared, gaps, bar=1e-6, because="our priors are float32")


def bias_balanced(clones: Clones) -> Iterator[Row]:
    repository = "grayhong/bias-contrastive-learning"
    table = clones.take(repository, "debias/datasets/utils.py", "get_confusion_matrix")
    code = clones.take(repository, "debias/losses/bbloss.py", "BBLoss")

    def case(seed: int) -> float:
        classes, generator = (2, 3, 10)[seed % 3], draws(seed)
        target = torch.randint(classes, (3000,), generator=generator)
        other = torch.randint(classes, (3000,), generator=generator)
        bias = torch.where(
            torch.rand(3000, generator=generator) < (0.9, 0.999)[seed % 2], target, other
        )
        targets, biases = (tuple(f"{side}{c}" for c in range(classes)) for side in "yb")
        groups = Groups(targets, biases)
        theirs = code["BBLoss"](table["get_confusion_matrix"](classes, target, bias)[1])
        ours = ConditionalLogitAdjustment(groups, groups.frequencies(target, bias))
        logits, y, b = torch.randn(64, classes, generator=generator), target[:64], other[:64]
        batch = Batch(logits, y, b, y)
        return both(
            lambda z: theirs(z + 0, y, b), lambda z: ours.loss(Given(z), batch).total, logits
        )

    method = "conditional_logit_adjustment"
    compared = "value, gradient; 2 to 10 classes, cells without a sample"
    because = "priors: float32, 1e-9 added"
    yield code.row(method, compared, map(case, range(12)), bar=3e-6, because=because)


def weights(clones: Clones) -> Iterator[Row]:
    base = type("ERM", (), {"__init__": lambda self, *_: None})
    code = clones.take(
        SUBPOP, ALGORITHMS, "ReWeight", "SqrtReWeight", "CBLoss", space={"ERM": base}
    )
    settings = {"ReWeight": (1.0, 1.0), "SqrtReWeight": (0.5, 1.0), "CBLoss": (1.0, 0.99)}

    def scaled(name: str, sizes: list[int]) -> float:
        power, beta = settings[name]
        base.hparams = {"beta": beta}  # type: ignore[attr-defined]
        theirs = code[name](None, None, 2, 2, None, None, sizes).weights_per_grp
        counts = torch.tensor(sizes)
        theirs = theirs / ((theirs * counts).sum() / counts.sum())
        return apart(theirs, balanced_weights(counts, power=power, beta=beta))

    gaps = [
        scaled(name, sizes)
        for name in settings
        for sizes in ([3498, 184, 56, 1057], [100, 90, 7, 30])
    ]
    compared = "weights of ReWeight, SqrtReWeight, CBLoss, theirs scaled to mean 1 over the data"
    yield code.row("group_reweighting", compared, gaps, bar=1e-6, because="our weights are float32")


def effective_number(clones: Clones) -> Iterator[Row]:
    code = clones.lines("vandit15/Class-balanced-loss-pytorch", "class_balanced_loss.py", 71, 73)

    def case(beta: float) -> float:
        counts = torch.tensor([5000, 500, 50, 5, 1])
        given = {"beta": beta, "samples_per_cls": counts.numpy(), "no_of_classes": 5}
        theirs = torch.from_numpy(code.run(given)["weights"])
        return apart(
            theirs / ((theirs * counts).sum() / counts.sum()), balanced_weights(counts, beta=beta)
        )

    compared = (
        "weights, theirs scaled to mean 1 over the data; beta 0.9 to 0.9999; a port, not the "
        "authors'"
    )
    gaps = map(case, (0.9, 0.99, 0.999, 0.9999))
    yield code.row("group_reweighting", compared, gaps, bar=1e-6, because="our weights are float32")
