"""Compares refitted last layers, and the samples chosen for them, with the authors' code."""

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
from debias.group_inference.disagreement import largest_disagreement, largest_losses
from debias.group_inference.focal import focal_weights
from debias.heads.linear import Heads, Rows
from debias.heads.refits import focal_heads
from debias.heads.sparse import sparse_head
from parity_checks.cases import Replaced, apart, draws
from parity_checks.official import Clones, Piece
from parity_checks.rows import Row

#: DFR's functions: a refit on validation, and one on training.
VARIANTS: tuple[tuple[str, dict[str, Any]], ...] = (
    ("dfr_on_validation_eval", {"balance_val": True, "add_train": False}),
    ("dfr_train_subset_eval", {}),
)


def afr(clones: Clones) -> Iterator[Row]:
    loss = clones.take("AndPotap/afr", "losses/__init__.py", "afr_fn", "get_exp_weights")
    names = ("normalize_weights", "rebalance_weights", "get_last_layer_model", "take_step")
    space = {"Linear": nn.Linear, "clip_grad_norm_": clip_grad_norm_}
    code = clones.take("AndPotap/afr", "utils/supervised_utils.py", *names, space=space)
    weights, layers = zip(*(_afr(loss, code, seed) for seed in range(3)), strict=True)
    yield loss.row("afr", "sample weights; gamma 4 to 20", weights, bar=1e-12)
    yield code.row("afr", "last layer after 100 steps; penalty 0 to 0.3", layers, bar=1e-10)


def _afr(loss: Piece, code: Piece, seed: int) -> tuple[float, float]:
    """Differences of the sample weights, and of the last layer trained with them."""
    classes, gamma, penalty = ((2, 10.0, 0.0), (3, 4.0, 0.2), (2, 20.0, 0.3))[seed]
    generator = draws(seed)
    x = 2 * torch.randn(90, 5, generator=generator)
    y = torch.randint(classes, (90,), generator=generator)
    y[5 * seed :] *= seed != 2  # one class is rare
    matrix = torch.randn(classes, 5, generator=generator)
    start = (matrix, torch.randn(classes, generator=generator))
    logits = x @ start[0].T + start[1]
    weights = code["rebalance_weights"](loss["get_exp_weights"](logits, y, gamma), y)
    weights = code["normalize_weights"](weights)
    gap = apart(weights, focal_weights(logits, y, gamma=gamma) / 90)
    layer, rows = code["get_last_layer_model"](start), (x, y, weights)
    optimizer = optim.SGD(layer.parameters(), lr=0.01)
    for _ in range(100):
        given = (layer, rows, optimizer, loss["afr_fn"], None, start, penalty)
        code["take_step"](*given, max_norm=1.0)
    heads = Heads(start[0][None], start[1][None])
    found = focal_heads(
        x, y, heads, gamma=gamma, start_penalty=penalty, held_out=Rows(x, y, y),
        learning_rate=0.01, steps=100, every=100,
    ).heads  # fmt: skip
    return gap, max(apart(layer.weight, found.weights[0]), apart(layer.bias, found.biases[0]))


def dfr(clones: Clones) -> Iterator[Row]:
    fits: list[Any] = []
    code = _dfr(clones, fits)

    def case(seed: int) -> float:
        y, bias = torch.arange(200) % 2, torch.arange(200) // 2 % 2
        means = torch.stack([y, 2 * bias, *[0 * y] * 8], 1)
        noise = torch.randn(200, 10, generator=draws(seed)) + means
        x, group = noise * torch.linspace(0.1, 9, 10) + 3, 2 * y + bias
        options: dict[str, Any] = {"classes": 2, "strengths": (0.3,), "subsamples": 1}
        head = sparse_head(Rows(x, y, group), draws(seed), **options).head
        rows = {split: x.numpy() for split in ("train", "val", "test")}
        targets, groups = ({split: v.numpy() for split in rows} for v in (y, group))
        name, options = VARIANTS[seed % 2]
        fits.clear()
        code[name](0.3, 1.0, 1.0, rows, targets, groups, num_retrains=1, **options)
        scaled = StandardScaler().fit_transform(x.numpy())
        weights, biases = (value[0, 1] - value[0, 0] for value in (head.weights, head.biases))
        return apart(fits[0].decision_function(scaled), x @ weights.double() + biases.double())

    compared = "margins of 200 rows, one fit on the same balanced rows; on validation, on training"
    because = "tolerance of the solver, whose order is drawn"
    yield code.row("dfr", compared, map(case, range(6)), bar=1e-3, because=because)


def _dfr(clones: Clones, fits: list[Any]) -> Piece:
    """Their refits, without shuffling of rows; every regression is appended to ``fits``."""

    def regression(**options: Any) -> Any:
        fits.append(LogisticRegression(random_state=0, **options))
        return fits[-1]

    unshuffled = Replaced(np, {"random": SimpleNamespace(shuffle=lambda _: None)})
    space = {"np": unshuffled, "REG": "l1", "StandardScaler": StandardScaler}
    space |= {"LogisticRegression": regression}
    repository, path = "PolinaKirichenko/deep_feature_reweighting", "dfr_evaluate_spurious.py"
    return clones.take(repository, path, *dict(VARIANTS), space=space)


def self_selection(clones: Clones) -> Iterator[Row]:
    repository, path = "tmlabonte/last-layer-retraining", "milkshake/datamodules/disagreement.py"
    code = clones.lines(repository, path, 409, 433)

    def chosen(kind: str, early: Tensor, final: Tensor, target: Tensor) -> Any:
        given = {"self": SimpleNamespace(finetune_type=kind, num_data=50), "to_np": np.asarray}
        given |= {"all_orig_logits": [early], "all_logits": [final], "all_targets": [target]}
        given |= {"all_orig_probs": [early.softmax(1)], "all_probs": [final.softmax(1)]}
        return code.run(given)["disagreements"]

    def case(seed: int) -> float:
        scales = torch.tensor([1.0, 3.0]).view(2, 1, 1)
        early, final = torch.randn(2, 200, 2 + seed, generator=draws(seed)) * scales
        y = torch.randint(2 + seed, (200,), generator=draws(seed))
        least = chosen("misclassification", final, final, y)
        most = chosen("early-stop disagreement", early, final, y)
        return max(
            apart(least, largest_losses(final, y, count=50)),
            apart(most, largest_disagreement(early, final, count=50)),
        )

    compared = "the 50 samples chosen of 200, by loss and by disagreement, in order"
    yield code.row("self", compared, map(case, range(3)), bar=0.0)


def jtt(clones: Clones) -> Iterator[Row]:
    code = clones.lines("anniesch/jtt", "run_expt.py", 88, 98)

    def case(copies: int) -> float:
        wrong = (torch.rand(57, generator=draws(copies)) < 0.2).long()
        args = SimpleNamespace(aug_col="wrong", up_weight=copies)
        given = {"train_col": {"wrong": wrong.numpy()}}
        again = code.run(given | {"args": args, "train_data": range(57), "Subset": Subset})[
            "upsampled_points"
        ]
        theirs = np.bincount([*range(57), *again.indices], minlength=57)
        ours = upweighted(wrong == 1, copies=copies).draw(draws(0))
        return apart(theirs, torch.bincount(ours, minlength=57))

    yield code.row(
        "jtt", "visits of each sample in an epoch; 1 to 100 copies", map(case, (1, 5, 100)), bar=0.0
    )
