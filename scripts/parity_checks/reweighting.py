"""Compares GSR with the authors' code: fits, influences and steps of the row weights, in turn."""

import abc
import gc
import time
from collections.abc import Iterator
from copy import deepcopy
from types import SimpleNamespace
from typing import Any

import torch
from torch import nn
from torch.func import functional_call, grad, vmap
from torch.nn import functional as F
from torch.utils import data
from torch.utils.data import DataLoader, Dataset

from debias.heads.linear import Rows
from debias.heads.reweighted import reweighted_heads
from parity_checks.cases import apart, draws
from parity_checks.head_games import Silent
from parity_checks.official import Clones, Piece
from parity_checks.rows import Row

GSR = "qiaoruiyt/GSR"


def gsr(clones: Clones) -> Iterator[Row]:
    space: dict[str, Any] = {
        "DataLoader": DataLoader, "Dataset": Dataset, "data": data, "optim": torch.optim,
        "deepcopy": deepcopy, "time": time, "gc": gc, "abc": abc, "grad": grad, "vmap": vmap,
        "functional_call": functional_call, "tqdm": Silent,
    }  # fmt: skip
    for path, *names in (
        ("utils.py", "AverageMeter", "StepLR", "get_scheduler", "evaluate_group_metrics"),
        (
            "torch_influence/base.py",
            "_set_attr",
            "_del_attr",
            "BaseObjective",
            "BaseInfluenceModule",
        ),
        ("reweight_utils.py", "FastExactInfluenceModule"),
    ):
        space |= clones.take(GSR, path, *names, space=space).space
    names = ("SubpopDataset", "IndexedDataset", "WeightedObjective", "GSRTrainer")
    code = clones.take(GSR, "gsr.py", *names, space=space)
    compared = (
        "row weights and head of the best of 8 rounds, in turn: fit, errors of the groups, "
        "influence, step with clamping at 0; 2 and 3 classes"
    )
    gaps = (_gsr(code, seed) for seed in range(5))
    yield code.row("gsr", compared, gaps, bar=1e-4, because="tolerance of L-BFGS")


def _gsr(code: Piece, seed: int) -> float:
    """Difference of the weights of the rows, and of the head, in the best round."""
    generator, classes = draws(seed), 2 + seed % 2
    y, bias = (torch.randint(classes, (3, 60), generator=generator) for _ in range(2))
    bias[0] = torch.where(torch.rand(60, generator=generator) < 0.8, y[0], bias[0])
    x = torch.randn(3, 60, 5, generator=generator) + F.one_hot(y, 5) + 2 * F.one_hot(bias, 5)
    group = classes * y + bias
    sets = [
        code["IndexedDataset"](code["SubpopDataset"](*each, all_group_indices=None))
        for each in zip(x, y, group, strict=True)
    ]
    args = SimpleNamespace(
        inner_lr=0.1, outer_lr=2.0, outer_lr_scheduler="step", outer_max_magnitude=None,
        normalize_weights_batch=False, normalize_weights=True, outer_grad_clip=0.1, epochs=1,
        max_outer_iter=8, optimizer="lbfgs", weight_decay=0.01, momentum=0.0, temperature=0.1,
        hard_update=False, resample=False, label_correction=False, inf="exact", damp=0.0,
        inf_batch_size=60, batch_size=60, workers=0, multiplicative_updates=True,
        dro_metric="acc", pgd=True,
    )  # fmt: skip
    trainer = code["GSRTrainer"](args, nn.Linear(5, classes), *sets, sets[2], device="cpu")
    _, weights, model = trainer.solve()
    guiding, judged = (Rows(x[k], y[k], group[k]) for k in (1, 2))
    ours = reweighted_heads(
        x[0], y[0], guiding, judged, classes=classes, penalty=0.01, step=2.0, largest_step=0.1,
        rounds=8,
    )  # fmt: skip
    # a head is compared without the mean of its classes, which no prediction depends on
    centred = [each - each.mean(0) for each in (model.weight, ours.heads.weights[0])]
    return max(apart(weights, ours.weights[0]), apart(*centred))
