"""DFR: refit the last layer by sparse logistic regression on group-balanced subsamples."""

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
from debias.progress import each

#: The values of C, the inverse strength of the penalty, that the authors choose from.
STRENGTHS = (1.0, 0.7, 0.3, 0.1, 0.07, 0.03, 0.01)


class SparseHead(NamedTuple):
    """The head that DFR fitted, and how its C was selected.

    Attributes:
        head: one head, for features without scaling.
        strength: the selected C.
        scores: ``(strengths,)`` float64 worst-group accuracy for each value of C.
        subsamples: ``(subsamples, K)`` int64 rows of the fitting split that each fit used.
        judged: ``(N,)`` int64 groups of the rows on which C was selected.
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
    r"""Deep feature reweighting (DFR): average sparse logistic regressions on balanced subsamples.

    .. math:: \min_{w, b} \|w\|_1 + |b|
              + C \sum_i \log\big(1 + \exp(-t_i (w^\top s_i + b))\big), \qquad
              s = \frac{z - \mu}{\sigma}, \quad t_i = \pm 1

    where :math:`\mu, \sigma` are the mean and the standard deviation of the rows before they are
    subsampled. One fit per C selects the C with the best worst-group accuracy. DFR on validation
    fits one half of ``fitting`` for this, and scores the other half. DFR on training fits
    ``fitting`` and scores ``held_out``. The head includes the scaling: :math:`W = w / \sigma`,
    :math:`b - \sum_d w_d \mu_d / \sigma_d`. With more than two classes, each is fitted against the
    rest.

    Source: Kirichenko et al., "Last Layer Re-Training is Sufficient for Robustness to Spurious
    Correlations", ICLR 2023; reference code PolinaKirichenko/deep_feature_reweighting, with its
    strengths and 20 subsamples (10 on training). The solver is scikit-learn's liblinear.

    Args:
        fitting: rows with classes, groups, and features computed in evaluation mode. Rows of group
            -1 are left out.
        generator: source of the halves, the subsamples and the order of the solver.
        classes: number of classes, at least 2.
        held_out: rows of another split that select C; without them, half of ``fitting``. Never the
            test split.
        strengths: values of C to choose from, positive. The first of equal scores is used.
        subsamples: number of fits to average, at least 1.

    Returns:
        One head, the selected C, and the scores of all C. For two classes, the softmax of the head
        is the sigmoid of the averaged regression. For more, the largest logit gives the class, and
        the softmax is not a probability.

    Raises:
        ValueError: ``strengths`` is empty or not all positive, ``subsamples`` is below 1,
            ``classes`` is below 2, a class has no row, or a group to halve has one row.

    Differs from the reference: the scaling is that of all rows before balancing (there, of the
    balanced rows of a half while C is selected, and of the training rows afterwards). Both halves
    have the same groups. The fits that select C are not stopped early (there, on training, after 20
    iterations). Class weights are not searched (there by an option, on training).
    """
    check_at_least(1, {"subsamples": subsamples}, of="DFR")
    check_positive({"strengths": min(strengths, default=0)}, of="DFR")
    labelled_rows = (fitting.group >= 0).nonzero()[:, 0]
    labelled = _checked(fitting.take(labelled_rows), classes)
    first, second = labelled, held_out
    if second is None:
        first, second = map(labelled.take, halves(labelled.group, generator))
    scores = _scores(first, second, classes, strengths, generator)
    strength = strengths[int(scores.argmax())]
    drawn = torch.stack([balanced_subsample(labelled.group, generator) for _ in range(subsamples)])
    scaler = _scaler(labelled.features)
    fits = [
        _regression(scaler, labelled.take(rows), classes, strength, generator)
        for rows in each(drawn, "fitting the last layer", "subsample", bar=False)
    ]
    head = _folded(scaler, torch.stack(fits).mean(dim=0))
    return SparseHead(head, strength, scores, labelled_rows[drawn], second.group)


def _scores(
    fitting: Rows,
    held_out: Rows,
    classes: int,
    strengths: Sequence[float],
    generator: torch.Generator,
) -> Tensor:
    """``(strengths,)`` worst-group accuracy of one fit for each value of C."""
    scaler = _scaler(fitting.features)
    balanced = fitting.take(balanced_subsample(fitting.group, generator))
    fits = torch.stack(
        [
            _regression(scaler, balanced, classes, strength, generator)
            for strength in each(strengths, "choosing C of the last layer", "value", bar=False)
        ]
    )
    predictions = _folded(scaler, fits).logits(held_out.features.float()).argmax(dim=2)
    return worst_group_accuracies(predictions, held_out.target, held_out.group)


def _scaler(features: Tensor) -> Any:
    """A fitted ``StandardScaler``; its standard deviation is 1 for a constant feature."""
    from sklearn.preprocessing import StandardScaler

    return StandardScaler().fit(features.cpu().double().numpy())


def _folded(scaler: Any, joined: Tensor) -> Heads:
    """Heads for unscaled features, from ``([H,] C, D + 1)`` coefficients for scaled features."""
    joined = joined.reshape(-1, *joined.shape[-2:])
    weights = joined[..., :-1] / torch.from_numpy(scaler.scale_)
    biases = joined[..., -1] - weights @ torch.from_numpy(scaler.mean_)
    return Heads(weights.float(), biases.float())


def _regression(
    scaler: Any, rows: Rows, classes: int, strength: float, generator: torch.Generator
) -> Tensor:
    """``(C, D + 1)`` float64 coefficients and intercepts of one fit on scaled features."""
    scaled = scaler.transform(rows.features.cpu().double().numpy())
    positives = [rows.target.cpu().numpy() == one for one in range(classes)]
    if classes == 2:
        contrast = _against_the_rest(scaled, positives[1], strength, generator)
        return torch.stack([-contrast / 2, contrast / 2])
    return torch.stack([_against_the_rest(scaled, one, strength, generator) for one in positives])


def _against_the_rest(
    scaled: NDArray[np.float64],
    positive: NDArray[np.bool_],
    strength: float,
    generator: torch.Generator,
) -> Tensor:
    from sklearn.linear_model import LogisticRegression

    seed = int(torch.randint(2**31 - 1, (), generator=generator))
    # scikit-learn 1.8 replaces penalty="l1" by l1_ratio=1.0
    renamed = signature(LogisticRegression).parameters["penalty"].default == "deprecated"
    regression = LogisticRegression(
        C=strength, solver="liblinear", max_iter=1000, random_state=seed
    ).set_params(**({"l1_ratio": 1.0} if renamed else {"penalty": "l1"}))
    regression.fit(scaled, positive)
    return torch.from_numpy(np.append(regression.coef_[0], regression.intercept_))


def _checked(fitting: Rows, classes: int) -> Rows:
    if classes < 2 or fitting.target.ndim != 1:
        raise InputError(
            "DFR needs one target per row and at least two classes; got targets of shape "
            f"{tuple(fitting.target.shape)} and classes={classes}"
        )
    counts = torch.bincount(fitting.target, minlength=classes).tolist()
    missing = [c for c, count in enumerate(counts) if count == 0]
    if missing or bool((fitting.target >= classes).any()):
        raise InputError(
            f"DFR needs rows of known group for each class in [0, {classes}); got targets "
            f"{sorted(set(fitting.target.tolist()))}, without class {missing}: add some"
        )
    return fitting
