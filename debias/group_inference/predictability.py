"""AFLite: how predictable the class of each sample is, and which samples remain without the easy.

Adversarial filtering removes the samples whose class a linear model on frozen features predicts.
"""

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from debias.errors import InputError, check_at_least, check_between
from debias.progress import each


def predictability(features: Tensor, target: Tensor, fitted_on: Tensor) -> Tensor:
    r"""Share of linear models, among those that were not fitted on a sample, that are right on it.

    .. math:: E_i = \frac{\sum_{m: i \notin T_m} 1[h_m(z_i) = y_i]}{|\{m: i \notin T_m\}|}

    where :math:`h_m` is a logistic regression that was fitted on the samples :math:`T_m`.

    Source: Le Bras et al., "Adversarial Filters of Dataset Biases" (AFLite), ICML 2020.

    Args:
        features: ``(N, D)`` float.
        target: ``(N,)`` int64 class.
        fitted_on: ``(M, N)`` bool: the samples on which each of M models is fitted. A model whose
            samples have one class predicts this class.

    Returns:
        ``(N,)`` float64 in [0, 1]; 0 for a sample on which all models were fitted.

    Raises:
        ValueError: ``target`` is not ``(N,)``, or a model has no sample.
    """
    if target.ndim != 1 or bool((fitted_on.sum(dim=1) == 0).any()):
        raise InputError(
            "predictability needs one class per sample, and a sample for each model; got targets "
            f"of shape {tuple(target.shape)} and models with {fitted_on.sum(dim=1).tolist()[:3]} "
            "samples"
        )
    points, classes = features.detach().cpu().double().numpy(), target.cpu().numpy()
    right, tests = np.zeros(len(points)), np.zeros(len(points))
    for chosen in fitted_on.cpu().numpy():
        right[~chosen] += _predicted(points, classes, chosen) == classes[~chosen]
        tests[~chosen] += 1
    return torch.from_numpy(right / np.maximum(tests, 1))


def _predicted(points: NDArray[Any], classes: NDArray[Any], chosen: NDArray[Any]) -> NDArray[Any]:
    """Classes that a model predicts for the samples on which it was not fitted."""
    from sklearn.linear_model import LogisticRegression

    fitting = classes[chosen]
    if chosen.all() or (fitting == fitting[0]).all():
        return np.full((~chosen).sum(), fitting[0])
    model = LogisticRegression(max_iter=1000).fit(points[chosen], fitting)
    predicted: NDArray[Any] = model.predict(points[~chosen])
    return predicted


def unpredictable(
    features: Tensor,
    target: Tensor,
    generator: torch.Generator,
    *,
    models: int = 64,
    fitted: float = 0.1,
    removed: float = 0.02,
    least: float = 0.5,
    threshold: float = 0.75,
) -> Tensor:
    r"""Remove the most predictable samples of each class, round by round (AFLite).

    In each round, ``models`` linear models are fitted on random parts of the samples S that remain,
    all of :math:`t = ` ``fitted`` :math:`\cdot N` samples. Of each class, the ``removed``
    :math:`\cdot N_y` samples with the largest predictability :math:`E_i \ge` ``threshold`` leave S.
    A class never falls below ``least`` :math:`\cdot N_y` samples. The filter ends when no class
    loses as many samples as it may.

    Source: Le Bras et al., "Adversarial Filters of Dataset Biases" (AFLite), ICML 2020. The
    authors' code could not be read. The steps are those of the paper's algorithm as others describe
    it, with 64 models and a threshold of 0.75.

    Args:
        features: ``(N, D)`` float of a model that is not trained on the samples, or only a little.
        target: ``(N,)`` int64 class.
        generator: source of the random parts.
        models: number of linear models per round, at least 1.
        fitted: share of all N samples on which each model is fitted, in (0, 1). It must be below
            ``least``.
        removed: largest share of a class that a round removes, in (0, 1).
        least: share of each class that remains at least, in (0, 1].
        threshold: :math:`\tau \ge 0`, least predictability of a sample to be removed. Above 1, no
            sample is removed.

    Returns:
        ``(N,)`` bool, true for the samples that remain.

    Raises:
        ValueError: an argument is out of range, ``fitted`` is not below ``least``, or ``target`` is
            not ``(N,)``.

    Differs from the reference: samples are removed within each class, so that the easiest class
    remains; there the easiest samples of all classes together. Sizes are shares of N; there numbers
    (40,000 to fit on and 10,000 to remove per round, until 640,000 of 1.28 million remain).
    """
    check_filter(models, fitted, removed, least, threshold)
    kept = torch.ones(len(target), dtype=torch.bool)
    size = max(1, round(fitted * len(target)))
    most = _rounds(torch.bincount(target), removed, least)
    for _ in each(range(most), "filtering samples", "round", bar=False):
        rows = kept.nonzero().flatten()
        parts = torch.stack([torch.randperm(len(rows), generator=generator) for _ in range(models)])
        # a part is the samples whose place in a random order is below its size
        score = predictability(features[rows], target[rows], parts < size)
        easy, complete = easiest(
            score, target[rows], torch.bincount(target),
            removed=removed, least=least, threshold=threshold,
        )  # fmt: skip
        kept[rows[easy]] = False
        if not complete:
            break
    return kept


def easiest(
    score: Tensor,
    target: Tensor,
    counts: Tensor,
    *,
    removed: float,
    least: float,
    threshold: float,
) -> tuple[Tensor, bool]:
    """The samples that one round of AFLite removes.

    Args:
        score: ``(S,)`` float predictability of the samples that remain.
        target: ``(S,)`` int64 class of these samples.
        counts: ``(C,)`` int64 number of samples of each class before the first round.
        removed, least, threshold: as in :func:`unpredictable`.

    Returns:
        ``(K,)`` int64 positions of the removed samples, and whether a class lost as many samples as
        a round may remove.
    """
    quota = _quota(counts, removed)
    room = torch.bincount(target, minlength=len(counts)) - (least * counts).ceil().long()
    allowed = torch.minimum(quota, room.clamp(min=0))
    order = torch.argsort(-score, stable=True)
    order = order[torch.argsort(target[order], stable=True)]
    sizes = torch.bincount(target, minlength=len(counts))
    rank = torch.arange(len(order)) - (sizes.cumsum(0) - sizes)[target[order]]
    chosen = order[(rank < allowed[target[order]]) & (score[order] >= threshold)]
    full = torch.bincount(target[chosen], minlength=len(counts)) == quota
    return chosen, bool((full & (counts > 0)).any())


def _quota(counts: Tensor, removed: float) -> Tensor:
    """``(C,)`` int64: how many samples of each class a round may remove."""
    return (removed * counts).round().long().clamp(min=1)


def _rounds(counts: Tensor, removed: float, least: float) -> int:
    """The most rounds: in each but the last, at least one class loses as many as it may."""
    room = counts - (least * counts).ceil().long()
    return int((room // _quota(counts, removed)).sum()) + 1


def check_filter(
    models: int, fitted: float, removed: float, least: float, threshold: float
) -> None:
    """Refuse arguments of :func:`unpredictable` that are out of range.

    Raises:
        ValueError: as :func:`unpredictable`.
    """
    check_at_least(1, {"models": models}, of="AFLite")
    check_at_least(0, {"threshold": threshold}, of="AFLite")
    check_between("(0, 1)", {"fitted": fitted}, of="AFLite")
    check_between("(0, 1)", {"removed": removed}, of="AFLite")
    check_between("(0, 1]", {"least": least}, of="AFLite")
    if fitted >= least:
        raise InputError(
            f"fitted must be below least, the share of samples that remains; got fitted={fitted} "
            f"and least={least}: lower fitted"
        )
