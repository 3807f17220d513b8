"""DFR: a new last layer, by sparse logistic regression on group-balanced subsamples."""

from collections.abc import Sequence
from inspect import signature
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from debias.errors import InputError, check_at_least, check_positive
from debias.heads.linear import Heads, Rows, worst_group_accuracies
from debias.heads.orders import balanced_subsample, halves

#: The strengths that the authors choose from.
STRENGTHS = (1.0, 0.7, 0.3, 0.1, 0.07, 0.03, 0.01)


class SparseHead(NamedTuple):
    """What DFR found.

    Attributes:
        head: one head, which reads the features as they come.
        strength: the C that was chosen.
        scores: ``(strengths,)`` float64 worst-group accuracy of each.
        subsamples: ``(subsamples, K)`` int64 rows of the fitting split that each fit saw.
        judged: ``(N,)`` int64 group of the rows by which C was chosen.
    """

    head: Heads
    strength: float
    scores: Tensor
    subsamples: Tensor
    judged: Tensor


def sparse_head(
    fitting: Rows,
    generator: torch.Generator,
    *,
    classes: int,
    held_out: Rows | None = None,
    strengths: Sequence[float] = STRENGTHS,
    subsamples: int = 20,
) -> SparseHead:
    r"""Deep feature reweighting: the mean of sparse logistic regressions on balanced subsamples.

    .. math:: \min_{w, b} \|w\|_1 + |b|
              + C \sum_i \log\big(1 + \exp(-t_i (w^\top s_i + b))\big), \qquad
              s = \frac{z - \mu}{\sigma}, \quad t_i = \pm 1

    with :math:`\mu, \sigma` of the rows fitted on. C is the one with the best worst-group accuracy
    after one fit: on one half of the fitting split, scored on the other (DFR on validation), or on
    the fitting split, scored on ``held_out`` (DFR on training). The scaling is folded into the
    head: :math:`W = w / \sigma`, :math:`b - \sum_d w_d \mu_d / \sigma_d`. With more than two
    classes each is fitted against the rest.

    Source: Kirichenko et al., "Last Layer Re-Training is Sufficient for Robustness to Spurious
    Correlations", ICLR 2023; reference code PolinaKirichenko/deep_feature_reweighting, with its
    strengths and 20 subsamples (10 on training). The solver is scikit-learn's liblinear.

    Args:
        fitting: rows with features in evaluation mode, classes and groups; those of group -1 are
            left out.
        generator: what halves, subsamples and the solver's order are drawn from.
        classes: C, how many classes there are, at least 2.
        held_out: rows of another split to choose C on; without them half of the fitting split.
            Never the test split.
        strengths: values of C to choose from, positive; of equal scores the first is taken.
        subsamples: how many fits are averaged, at least 1.

    Returns:
        One head, the chosen C, and its scores. For two classes the softmax of the head is the mean
        regression's sigmoid; for more, the greatest logit decides and the softmax is no
        probability.

    Raises:
        ValueError: no strength or subsample, a group too small to halve, or a class without a row.

    Differs from the reference: the scaling is always that of the fitting split (there, of the
    balanced rows of a half while C is chosen, of the training rows after); halves have the same
    groups; C is chosen by fits that run to the end (there, on training, 20 iterations); class
    weights are not searched (there by an option, on training).
    """
    check_at_least(1, {"subsamples": subsamples}, of="DFR")
    check_positive({"strengths": min(strengths, default=0)}, of="DFR")
    known = (fitting.group >= 0).nonzero()[:, 0]
    labelled = _checked(fitting.take(known), classes)
    first, second = labelled, held_out
    if second is None:
        first, second = map(labelled.take, halves(labelled.group, generator))
    scores = _scores(first, second, classes, strengths, generator)
    strength = strengths[int(scores.argmax())]
    drawn = torch.stack([balanced_subsample(labelled.group, generator) for _ in range(subsamples)])
    scaler = _scaler(labelled.features)
    fits = [
        _regression(scaler, labelled.take(rows), classes, strength, generator) for rows in drawn
    ]
    head = _folded(scaler, torch.stack(fits).mean(dim=0))
    return SparseHead(head, strength, scores, known[drawn], second.group)


def _scores(
    fitting: Rows,
    held_out: Rows,
    classes: int,
    strengths: Sequence[float],
    generator: torch.Generator,
) -> Tensor:
    """Worst-group accuracy of one fit with each strength."""
    scaler = _scaler(fitting.features)
    balanced = fitting.take(balanced_subsample(fitting.group, generator))
    fits = torch.stack(
        [_regression(scaler, balanced, classes, strength, generator) for strength in strengths]
    )
    predictions = _folded(scaler, fits).logits(held_out.features.float()).argmax(dim=2)
    return worst_group_accuracies(predictions, held_out.target, held_out.group)


def _scaler(features: Tensor) -> Any:
    """scikit-learn's, fitted; its deviation is 1 where a feature is constant."""
    from sklearn.preprocessing import StandardScaler

    return StandardScaler().fit(features.cpu().double().numpy())


def _folded(scaler: Any, joined: Tensor) -> Heads:
    """Heads on plain features, of ``([H,] C, D + 1)`` coefficients on scaled features."""
    joined = joined.reshape(-1, *joined.shape[-2:])
    weights = joined[..., :-1] / torch.from_numpy(scaler.scale_)
    biases = joined[..., -1] - weights @ torch.from_numpy(scaler.mean_)
    return Heads(weights.float(), biases.float())


def _regression(
    scaler: Any, rows: Rows, classes: int, strength: float, generator: torch.Generator
) -> Tensor:
    """``(C, D + 1)`` float64 coefficients and intercepts on scaled features."""
    scaled = scaler.transform(rows.features.cpu().double().numpy())
    positives = [rows.target.cpu().numpy() == each for each in range(classes)]
    if classes == 2:
        contrast = _against_the_rest(scaled, positives[1], strength, generator)
        return torch.stack([-contrast / 2, contrast / 2])
    return torch.stack([_against_the_rest(scaled, each, strength, generator) for each in positives])


def _against_the_rest(
    scaled: NDArray[np.float64],
    positive: NDArray[np.bool_],
    strength: float,
    generator: torch.Generator,
) -> Tensor:
    from sklearn.linear_model import LogisticRegression

    seed = int(torch.randint(2**31 - 1, (), generator=generator))
    # scikit-learn 1.8 replaces the name of the penalty by its share of the absolute values
    renamed = signature(LogisticRegression).parameters["penalty"].default == "deprecated"
    regression = LogisticRegression(
        C=strength, solver="liblinear", max_iter=1000, random_state=seed
    ).set_params(**({"l1_ratio": 1.0} if renamed else {"penalty": "l1"}))
    regression.fit(scaled, positive)
    return torch.from_numpy(np.append(regression.coef_[0], regression.intercept_))


def _checked(fitting: Rows, classes: int) -> Rows:
    if classes < 2 or fitting.target.ndim != 1:
        raise InputError(f"DFR needs one of at least two classes per row; got classes={classes}")
    counts = torch.bincount(fitting.target, minlength=classes).tolist()
    missing = [c for c, count in enumerate(counts) if count == 0]
    if missing or bool((fitting.target >= classes).any()):
        raise InputError(
            f"DFR fits each of {classes} classes on rows of known group; none has class {missing}, "
            f"and targets are {sorted(set(fitting.target.tolist()))}: give rows of every class"
        )
    return fitting
