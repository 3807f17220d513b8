"""Texts of a zero-shot head, without their spurious directions (biased prompts)."""

from collections.abc import Sequence
from itertools import combinations

import torch
from torch import Tensor
from torch.nn import functional as F

from debias.errors import InputError, check_at_least

#: A text is lost in a projection that leaves less than this share of its norm.
LEAST_NORM = 1e-6


def same_class_pairs(classes: Sequence[str], attributes: Sequence[str]) -> Tensor:
    """Pairs of prompts of equal class and different attribute, the set S of biased prompts.

    Args:
        classes: class of each of K prompts.
        attributes: attribute of each prompt.

    Returns:
        ``(S, 2)`` int64 numbers of the prompts, each pair once.

    Example:
        >>> same_class_pairs(["land", "land", "land"], ["sea", "wood", "sea"]).tolist()
        [[0, 1], [1, 2]]
    """
    pairs = [
        (first, second)
        for first, second in combinations(range(len(classes)), 2)
        if classes[first] == classes[second] and attributes[first] != attributes[second]
    ]
    return torch.tensor(pairs, dtype=torch.int64).view(-1, 2)


def orthogonal_projection(spurious: Tensor) -> Tensor:
    r"""The projection that removes the span of spurious directions: :math:`P_0 = I - V V^\top`.

    V are the right singular vectors of the directions whose singular value is above
    :math:`\max(K, D)\, \epsilon\, \sigma_1`, so prompts that repeat others change nothing.

    Source: Chuang et al., "Debiasing Vision-Language Models via Biased Prompts", 2023; reference
    code chingyaoc/debias_vl.

    Args:
        spurious: ``(K, D)`` float directions; K may be 0.

    Returns:
        ``(D, D)`` symmetric projection.

    Differs from the reference: the singular vectors are exact. There they are those of a randomised
    decomposition with K components, also if the directions have a lower rank.
    """
    _, values, vectors = torch.linalg.svd(spurious, full_matrices=False)
    tolerance = max(spurious.shape) * torch.finfo(spurious.dtype).eps
    basis = vectors[values > tolerance * values[:1]]
    projection: Tensor = torch.eye(spurious.shape[1]).to(spurious) - basis.T @ basis
    return projection


def calibrated_projection(
    spurious: Tensor, candidates: Tensor, pairs: Tensor, *, strength: float = 1000.0
) -> Tensor:
    r"""The projection of biased prompts: near P0, and with equal texts for both prompts of a pair.

    .. math:: P = P_0 (I + \lambda M)^{-1}, \qquad
              M = \frac{1}{|S|} \sum_{(i, j) \in S} (z_i - z_j) (z_i - z_j)^\top

    P minimises :math:`\|P - P_0\|_F^2 + \frac{\lambda}{|S|} \sum_{(i, j) \in S} \|P z_i - P
    z_j\|^2`. P is not symmetric, and :math:`P_0 P = P`.

    Source: Chuang et al., "Debiasing Vision-Language Models via Biased Prompts", 2023; reference
    code chingyaoc/debias_vl.

    Args:
        spurious: ``(K, D)`` float directions. :func:`orthogonal_projection` makes P0 from them.
        candidates: ``(N, D)`` float texts z.
        pairs: ``(S, 2)`` int64 rows of the candidates. Without any, P is P0.
        strength: :math:`\lambda`, at least 0. 0 gives P0.

    Returns:
        ``(D, D)``, for texts as columns.

    Raises:
        ValueError: ``strength`` is negative.

    Differs from the reference: a linear system is solved, and no matrix is inverted. See also
    :func:`orthogonal_projection`.
    """
    check_at_least(0, {"strength": strength}, of="biased prompts")
    differences = candidates[pairs[:, 0]] - candidates[pairs[:, 1]]
    mean = differences.T @ differences / max(len(pairs), 1)
    calibration = torch.eye(len(mean)).to(mean) + strength * mean
    projection: Tensor = torch.linalg.solve(
        calibration, orthogonal_projection(spurious), left=False
    )
    return projection


def class_texts(
    prompts: Tensor, target: Tensor, names: Sequence[str], *, projection: Tensor | None = None
) -> Tensor:
    r"""The unit vector of each class: the mean of its unit prompts, projected.

    .. math:: t_c = \frac{P m_c}{\|P m_c\|}, \qquad
              m_c = \frac{1}{|K_c|} \sum_{k \in K_c} \frac{z_k}{\|z_k\|}

    Source: Radford et al., "Learning Transferable Visual Models From Natural Language Supervision"
    (CLIP), ICML 2021, for the mean of several prompts; Chuang et al., 2023, for P.

    Args:
        prompts: ``(K, D)`` float embeddings, at least one per class.
        target: ``(K,)`` int64 class of each prompt.
        names: names of the C classes, for the message.
        projection: P, ``(D, D)``; ``None`` leaves the texts as they are.

    Returns:
        ``(C, D)`` unit vectors.

    Raises:
        ValueError: the projection, or the mean, leaves nothing of the texts of a class.
    """
    members = F.one_hot(target, len(names)).T.to(prompts)
    means = members @ F.normalize(prompts, dim=1) / members.sum(dim=1, keepdim=True)
    texts = means if projection is None else means @ projection.T
    lost = texts.norm(dim=1) <= LEAST_NORM
    if bool(lost.any()):
        raise InputError(
            "each class needs a text outside the removed directions; nothing is left of class "
            f"{names[int(lost.nonzero()[0])]}: leave out the spurious prompts that name it, or use "
            "recipe.projection=none"
        )
    return F.normalize(texts, dim=1)
