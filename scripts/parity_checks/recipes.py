"""Compares how recipes use the outputs of a first model with the authors' scripts."""

import math
from collections.abc import Iterator
from functools import partial
from types import SimpleNamespace
from typing import Any
from unittest.mock import patch

import numpy as np
import torch
from sklearn.linear_model import LogisticRegression
from torch import Tensor
from torch.utils.data import Subset

from debias.data.orders import upweighted
from debias.heads import sparse as dfr_module
from debias.heads.linear import Rows
from debias.heads.sparse import SparseHead, sparse_head
from debias.recipes.jtt import JTT
from debias.runs.run import Stage
from debias.strategies.correct_n_contrast import CorrectNContrast
from debias.types import Groups
from parity_checks.cases import Replaced, apart, draws
from parity_checks.official import Clones, Piece
from parity_checks.rows import Row

STRENGTHS = (1e-4, 0.01, 0.1, 3.0)


class Column(np.ndarray):
    """An array with the method of a pandas column that their script needs."""

    def apply(self, function: Any) -> Any:
        """Apply a function to the whole column."""
        return function(np.asarray(self)).view(Column)


def jtt(clones: Clones) -> Iterator[Row]:
    find = clones.lines("anniesch/jtt", "process_training.py", 33, 33)
    repeat = clones.lines("anniesch/jtt", "run_expt.py", 88, 98)

    def case(copies: int) -> float:
        generator = draws(copies)
        logits = torch.randn(80, 2, generator=generator)
        y = torch.randint(2, (80,), generator=generator)
        split = torch.arange(80) % 2  # training rows are the even ones
        rows = (split == 0).nonzero()[:, 0]
        columns = {"y_pred": logits[rows].argmax(1), "y_true": y[rows]}
        logged: dict[str, Any] = {
            f"{k}_None_epoch_4_val": v.numpy().view(Column) for k, v in columns.items()
        }
        find.run({"train_df": logged, "final_epoch": 4})
        args = SimpleNamespace(aug_col="wrong_1_times", up_weight=copies)
        given = {"args": args, "train_col": logged, "train_data": range(len(rows))}
        again = repeat.run(given | {"Subset": Subset})["upsampled_points"].indices
        theirs = [*range(len(rows)), *again]
        found = SimpleNamespace(index=rows, logits=logits[rows], target=y[rows])
        inferred, sampler = _second_training(
            copies, SimpleNamespace(predictions=lambda split: found), split
        )
        drawn = upweighted(inferred[rows] == 1, copies=sampler["copies"]).draw(draws(0))
        return apart(np.bincount(theirs), torch.bincount(drawn))

    compared = (
        "visits of each row in the second training, from the logits of the first; 1 to 100 copies"
    )
    yield repeat.row("jtt", compared, map(case, (1, 5, 100)), bar=0.0)


def _second_training(copies: int, stage: Any, split: Tensor) -> tuple[Tensor, dict[str, Any]]:
    """The values that our recipe infers for every row, and the sampler of its last stage."""
    stage.examples = SimpleNamespace(split=split)
    stage.everywhere = partial(Stage.everywhere, stage)
    run: Any = SimpleNamespace(
        stage_config=lambda changes: changes,
        train_stage=lambda name, config: stage,
        infer=lambda inferred, examples: inferred,
        train_last=lambda changes, partition: (partition, changes["sampler"]),
    )
    found: Any = JTT(upweight=copies).train(run)
    return found


def _dfr_code(clones: Clones, shuffled: list[Tensor]) -> Piece:
    """Their two functions that choose C; each of their shuffles gives the next of these orders."""
    random = SimpleNamespace(shuffle=lambda rows: np.copyto(rows, shuffled.pop(0)))
    space: dict[str, Any] = {
        "REG": "l1",
        "C_OPTIONS": STRENGTHS,
        "np": Replaced(np, {"random": random}),
    }
    space["LogisticRegression"] = lambda **given: LogisticRegression(
        **(given | {"max_iter": 1000, "random_state": 0})
    )
    repository, path = "PolinaKirichenko/deep_feature_reweighting", "dfr_evaluate_spurious.py"
    return clones.take(
        repository, path, "dfr_on_validation_tune", "dfr_train_subset_tune", space=space
    )


def dfr(clones: Clones) -> Iterator[Row]:
    shuffled: list[Tensor] = []
    code = _dfr_code(clones, shuffled)

    def on_training(seed: int) -> float:
        rows, held_out = _biased(seed, rare=24), _biased(seed + 100, rare=60)
        found, balanced, _ = _recorded(rows, seed, held_out)
        shuffled[:] = _taken_first(balanced, rows.group)
        scaled = {"train": _scaled(rows, rows), "val": _scaled(held_out, rows)}
        return _same_choice(
            found, code["dfr_train_subset_tune"](*_arrays(scaled), preprocess=False)
        )

    def on_validation(seed: int) -> float:
        rows = _biased(seed, rare=24)
        found, balanced, (fitted, scored) = _recorded(rows, seed, None)
        first = rows.take(fitted)
        shuffled[:] = [torch.cat([scored, fitted]), *_taken_first(balanced, first.group)]
        options = {"preprocess": False, "balance_val": True, "add_train": False}
        scaled = _arrays(dict.fromkeys(("train", "val"), _scaled(rows, first)))
        return _same_choice(found, code["dfr_on_validation_tune"](*scaled, **options))

    compared = (
        "the C chosen of four, on the same halves and balanced rows, scaled alike, each fit run to "
        "its end"
    )
    gaps = [choice(seed) for seed in range(6) for choice in (on_validation, on_training)]
    yield code.row("dfr", compared, gaps, bar=0.0)


def _arrays(rows: dict[str, Rows]) -> list[dict[str, Any]]:
    """Features, classes and groups as dictionaries of splits."""
    return [
        {split: getattr(of, kind).numpy() for split, of in rows.items()} for kind in Rows._fields
    ]


def _same_choice(found: SparseHead, theirs: Any) -> float:
    if found.scores.min() == found.scores.max():  # nothing was chosen
        return math.inf
    return abs(math.log10(float(theirs[0]) / found.strength))


def _biased(seed: int, *, rare: int) -> Rows:
    """Rows of two large groups and two small ones; class and bias are in the first two features.

    Every group has an even number of rows.
    """
    group = torch.arange(4).repeat_interleave(torch.tensor([160, rare, rare, 160]))
    y, b = group // 2, group % 2
    noise = torch.randn(len(group), 20, generator=draws(seed))
    return Rows(noise + torch.stack([1.5 * y, 3.0 * b, *[0.0 * y] * 18], 1), y, group)


def _recorded(
    rows: Rows, seed: int, held_out: Rows | None
) -> tuple[SparseHead, Tensor, tuple[Tensor, ...]]:
    """Our chosen head, the balanced rows on which it was fitted, and the halves of the rows."""
    balanced: list[Tensor] = []
    parts: list[tuple[Tensor, Tensor]] = []

    def subsample(*given: Any) -> Tensor:
        balanced.append(REAL["balanced_subsample"](*given))
        return balanced[-1]

    def halves(*given: Any) -> tuple[Tensor, Tensor]:
        parts.append(REAL["halves"](*given))
        return parts[-1]

    with patch.multiple(dfr_module, balanced_subsample=subsample, halves=halves):
        found = sparse_head(
            rows, draws(seed), classes=2, held_out=held_out, strengths=STRENGTHS, subsamples=1
        )
    return found, balanced[0], parts[0] if parts else ()


REAL = {name: getattr(dfr_module, name) for name in ("balanced_subsample", "halves")}


def _taken_first(balanced: Tensor, group: Tensor) -> list[Tensor]:
    """The rows of each group, with those of our balanced subsample first.

    The official code uses the same number of rows from the front.
    """
    chosen = torch.isin(torch.arange(len(group)), balanced)
    return [
        torch.cat([(own & chosen).nonzero()[:, 0], (own & ~chosen).nonzero()[:, 0]])
        for own in group == torch.arange(4)[:, None]
    ]


def _scaled(rows: Rows, by: Rows) -> Rows:
    mean, deviation = by.features.mean(0), by.features.std(0, correction=0)
    return rows._replace(features=(rows.features - mean) / deviation)


def cnc(clones: Clones) -> Iterator[Row]:
    path = "contrastive_supervised_loader.py"
    code = clones.take("HazyResearch/correct-n-contrast", path, "prepare_contrastive_points")

    def case(seed: int) -> float:
        classes, generator = 2 + seed % 2, draws(seed)
        y, predicted = torch.randint(classes, (2, 60), generator=generator)
        slices = [(predicted == value).nonzero()[:, 0].numpy() for value in range(classes)]
        right = [(y[rows] == predicted[rows]).numpy() for rows in slices]
        targets = {"target": y.numpy(), "spurious": y.numpy()}
        loader = SimpleNamespace(dataset=SimpleNamespace(targets_all=targets))
        given = (slices, [0.0 * of for of in right], right, loader, None)
        anchors, negatives, positives, _ = code["prepare_contrastive_points"](*given)
        theirs = torch.zeros(60, 60)
        for anchor, negative in zip(anchors, negatives, strict=True):
            for row, target in zip(anchor["ix"], anchor["target"], strict=True):
                theirs[row, negative["ix"]], theirs[row, positives[target]["ix"]] = -1.0, 1.0
        rows = np.concatenate([anchor["ix"] for anchor in anchors])
        return apart(theirs[rows], _pulls(y, predicted, classes)[rows])

    compared = (
        "positives and negatives of every anchor, from targets and predictions; 2 and 3 classes"
    )
    yield code.row("correct_n_contrast", compared, map(case, range(6)), bar=0.0)


def _pulls(target: Tensor, predicted: Tensor, classes: int) -> Tensor:
    """The direction in which our loss changes each similarity, if all are equal before.

    1 is up, -1 is down, and 0 means that the similarity is not part of the loss.
    """
    names = tuple(map(str, range(classes)))
    similarities = torch.zeros(len(target), len(target), requires_grad=True)
    loss = CorrectNContrast(Groups(names, names))._contrast(similarities, target, predicted)
    return -torch.autograd.grad(loss, similarities)[0].sign()
