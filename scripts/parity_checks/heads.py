"""Last layers trained anew and samples chosen for it, beside the authors' code."""

from __future__ import annotations

from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler
from torch import Tensor, nn, optim
from torch.nn.utils import clip_grad_norm_
from torch.utils.data import Subset

from debias.data.orders import upweighted
from debias.group_inference import (
    focal_weights,
    largest_disagreement,
    largest_losses,
)
from debias.heads.linear import Heads, Rows
from debias.heads.refits import focal_heads
from debias.heads.sparse import sparse_head
from debias.types import Groups
from parity_checks.cases import Replaced, apart, draws
from parity_checks.official import Clones
from parity_checks.rows import Row

SPUCO = "BigML-CS-UCLA/SpuCo"


def afr(clones: Clones) -> Iterator[Row]:
    loss = clones.take("AndPotap/afr", "losses/__init__.py", "afr_fn", "get_exp_weights")
    names = ("normalize_weights", "rebalance_weights", "get_last_layer_model", "take_step")
    space = {"Linear": nn.Linear, "clip_grad_norm_": clip_grad_norm_}
    code = clones.take("AndPotap/afr", "utils/supervised_utils.py", *names, space=space)

    def case(seed: int) -> tuple[float, float]:
        (classes, gamma, penalty), generator = (
            ((2, 10.0, 0.0), (3, 4.0, 0.2), (2, 20.0, 0.3))[seed],
            draws(seed),
        )
        x, y = (
            2 * torch.randn(90, 5, generator=generator),
            torch.randint(classes, (90,), generator=generator),
        )
        y[5 * seed :] *= seed != 2  # one class is rare
        start = (
            torch.randn(classes, 5, generator=generator),
            torch.randn(classes, generator=generator),
        )
        logits = x @ start[0].T + start[1]
        weights = code["rebalance_weights"](loss["get_exp_weights"](logits, y, gamma), y)
        weights = code["normalize_weights"](weights)
        gap = apart(weights, focal_weights(logits, y, gamma=gamma) / 90)
        layer = code["get_last_layer_model"](start)
        optimizer = optim.SGD(layer.parameters(), lr=0.01)
        for _ in range(100):
            code["take_step"](
                layer,
                (x, y, weights),
                optimizer,
                loss["afr_fn"],
                None,
                start,
                penalty,
                max_norm=1.0,
            )
        heads = Heads(start[0][None], start[1][None])
        found = focal_heads(
            x, y, heads, gamma=gamma, start_penalty=penalty, held_out=Rows(x, y, y),
            learning_rate=0.01, steps=100, every=100,
        ).heads  # fmt: skip
        return gap, max(apart(layer.weight, found.weights[0]), apart(layer.bias, found.biases[0]))

    found = [case(seed) for seed in range(3)]
    yield loss.row("afr", "sample weights; gamma 4 to 20", [gap for gap, _ in found], bar=1e-12)
    yield code.row(
        "afr", "last layer after 100 steps; penalty 0 to 0.3", [gap for _, gap in found], bar=1e-10
    )


def dfr(clones: Clones) -> Iterator[Row]:
    fits: list[Any] = []

    def regression(**options: Any) -> Any:
        fits.append(LogisticRegression(random_state=0, **options))
        return fits[-1]

    unshuffled = Replaced(np, {"random": SimpleNamespace(shuffle=lambda _: None)})
    space = {
        "np": unshuffled,
        "REG": "l1",
        "StandardScaler": StandardScaler,
        "LogisticRegression": regression,
    }
    path, names = "dfr_evaluate_spurious.py", ("dfr_on_validation_eval", "dfr_train_subset_eval")
    code = clones.take("PolinaKirichenko/deep_feature_reweighting", path, *names, space=space)

    def case(seed: int) -> float:
        y, bias = torch.arange(200) % 2, torch.arange(200) // 2 % 2
        noise = torch.randn(200, 10, generator=draws(seed)) + torch.stack(
            [y, 2 * bias, *[0 * y] * 8], 1
        )
        x, group = noise * torch.linspace(0.1, 9, 10) + 3, 2 * y + bias
        found = sparse_head(
            Rows(x, y, group), draws(seed), classes=2, strengths=(0.3,), subsamples=1
        )
        rows = {split: x.numpy() for split in ("train", "val", "test")}
        targets, groups = ({split: v.numpy() for split in rows} for v in (y, group))
        name, options = ((names[0], {"balance_val": True, "add_train": False}), (names[1], {}))[
            seed % 2
        ]
        fits.clear()
        code[name](0.3, 1.0, 1.0, rows, targets, groups, num_retrains=1, **options)
        scaled = StandardScaler().fit_transform(x.numpy())
        weights, biases = (
            value[0, 1] - value[0, 0] for value in (found.head.weights, found.head.biases)
        )
        return apart(fits[0].decision_function(scaled), x @ weights.double() + biases.double())

    compared = "margins of 200 rows, one fit on the same balanced rows; on validation, on training"
    yield code.row(
        "dfr",
        compared,
        map(case, range(6)),
        bar=1e-3,
        because="tolerance of the solver, whose order is drawn",
    )


def self_selection(clones: Clones) -> Iterator[Row]:
    repository, path = "tmlabonte/last-layer-retraining", "milkshake/datamodules/disagreement.py"
    code = clones.lines(repository, path, 409, 433)

    def chosen(kind: str, early: Tensor, final: Tensor, target: Tensor) -> Any:
        given = {
            "all_orig_logits": [early],
            "all_logits": [final],
            "all_targets": [target],
            "to_np": np.asarray,
        }
        given |= {"all_orig_probs": [early.softmax(1)], "all_probs": [final.softmax(1)]}
        return code.run(given | {"self": SimpleNamespace(finetune_type=kind, num_data=50)})[
            "disagreements"
        ]

    def case(seed: int) -> float:
        early, final = torch.randn(2, 200, 2 + seed, generator=draws(seed)) * torch.tensor(
            [1.0, 3.0]
        ).view(2, 1, 1)
        y = torch.randint(2 + seed, (200,), generator=draws(seed))
        least = apart(
            chosen("misclassification", final, final, y), largest_losses(final, y, count=50)
        )
        most = apart(
            chosen("early-stop disagreement", early, final, y),
            largest_disagreement(early, final, count=50),
        )
        return max(least, most)

    compared = "the 50 samples chosen of 200, by loss and by disagreement, in order"
    yield code.row("self", compared, map(case, range(3)), bar=0.0)


def jtt(clones: Clones) -> Iterator[Row]:
    code = clones.lines("anniesch/jtt", "run_expt.py", 88, 98)

    def case(copies: int) -> float:
        wrong = (torch.rand(57, generator=draws(copies)) < 0.2).long()
        args, given = (
            SimpleNamespace(aug_col="wrong", up_weight=copies),
            {"train_col": {"wrong": wrong.numpy()}},
        )
        again = code.run(given | {"args": args, "train_data": range(57), "Subset": Subset})[
            "upsampled_points"
        ]
        theirs = np.bincount([*range(57), *again.indices], minlength=57)
        ours = upweighted(wrong, Groups(("0", "1"), ("0", "1")), copies=copies).draw(draws(0))
        return apart(theirs, torch.bincount(ours, minlength=57))

    yield code.row(
        "jtt", "visits of each sample in an epoch; 1 to 100 copies", map(case, (1, 5, 100)), bar=0.0
    )
