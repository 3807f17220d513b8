"""How much two labellings tell of each other, from their table of counts."""

import torch
from torch import Tensor

from debias.errors import InputError
from debias.metrics.accuracy.counts import Margins, joint_counts
from debias.types import Groups


def mutual_information(table: Tensor) -> Tensor:
    r"""Mutual information of the rows and the columns, in nats.

    .. math:: I = \sum_{ij} p_{ij} \log \frac{p_{ij}}{p_{i \cdot} p_{\cdot j}}

    Source: Shannon, 1948; the same as scikit-learn's ``mutual_info_score`` and torchmetrics'
    ``MutualInfoScore``.

    Args:
        table: ``(..., R, C)`` counts; leading dimensions are tables of their own. Empty rows and
            columns add nothing.

    Returns:
        ``(...)`` float64 in [0, log min(R, C)], 0 for independence; NaN for a table without counts.
        Divide by ``log(2)`` for bits.

    Example:
        >>> round(mutual_information(torch.tensor([[5, 0], [0, 5]])).item(), 6)  # log(2)
        0.693147
    """
    joint = _shares(table)
    apart = joint.sum(dim=-1, keepdim=True) * joint.sum(dim=-2, keepdim=True)
    # where a row or column is empty so is the cell, and 0 log 0 is 0
    terms = torch.xlogy(joint, joint) - torch.xlogy(joint, apart)
    return terms.sum(dim=(-2, -1)).clamp(min=0)


def normalized_mutual_information(table: Tensor) -> Tensor:
    """Mutual information over the mean of the two entropies.

    Source: scikit-learn's ``normalized_mutual_info_score`` with the arithmetic mean.

    Args:
        table: ``(..., R, C)`` counts.

    Returns:
        ``(...)`` float64 in [0, 1], 0 for independence; NaN if neither the rows nor the columns
        vary.

    Differs from the reference: scikit-learn returns 1 where neither varies.
    """
    joint = _shares(table)
    entropies = _entropy(joint.sum(dim=-1)) + _entropy(joint.sum(dim=-2))
    return _ratio(2 * mutual_information(table), entropies)


def conditional_mutual_information(tables: Tensor) -> Tensor:
    r"""Mutual information within each value of a third variable, weighted by how common the value
    is, in nats.

    .. math:: I(\hat y; a \mid y) = \sum_y p(y)\, I(\hat y; a \mid Y = y)

    With the third variable the target, it is what predictions tell of the bias beyond what the
    target tells.

    Source: Cover and Thomas, "Elements of Information Theory", 2006, section 2.5.

    Args:
        tables: ``(..., Y, R, C)`` counts, one table for each value of the third variable.

    Returns:
        ``(...)`` float64, at least 0, ideal 0; NaN without counts.
    """
    sizes = tables.sum(dim=(-2, -1)).double()
    found = torch.where(sizes > 0, mutual_information(tables), 0)
    return _ratio((sizes * found).sum(dim=-1), sizes.sum(dim=-1))


def cramers_v(table: Tensor) -> Tensor:
    r"""Cramér's V, the strength of association of the rows and the columns.

    .. math:: V = \sqrt{\frac{\chi^2}{n\, (\min(R, C) - 1)}}

    with R and C the rows and columns that hold any count, and no correction for continuity or bias.

    Source: Cramér, "Mathematical Methods of Statistics", 1946; scipy's ``contingency.association``,
    which refuses empty rows and columns.

    Args:
        table: ``(..., R, C)`` counts.

    Returns:
        ``(...)`` float64 in [0, 1], 0 for independence; NaN unless two rows and two columns hold
        counts.
    """
    joint = _shares(table)
    rows, columns = joint.sum(dim=-1), joint.sum(dim=-2)
    apart = rows[..., :, None] * columns[..., None, :]
    deviation = torch.where(apart > 0, (joint - apart).square() / apart, 0).sum(dim=(-2, -1))
    freedom = torch.minimum((rows > 0).sum(dim=-1), (columns > 0).sum(dim=-1)) - 1
    return _ratio(deviation, freedom.clamp(min=0).double()).sqrt()


def information_scalars(counts: Tensor | Margins, groups: Groups) -> dict[str, Tensor]:
    """The scalars of the family ``INFORMATION``.

    Args:
        counts: ``(rows, biases + 1, choices)`` int64, as ``joint_counts`` returns it; unknown
            biases are left out.
        groups: names and numbering of the groups.

    Returns:
        float64 scalars, information in nats. With several labels, the mean over those where it is
        defined; NaN where it is for none.

    Raises:
        ValueError: the counts are margins, which do not hold every prediction of every target.
    """
    if isinstance(counts, Margins):
        raise InputError(
            "information_scalars reads joint counts, but was given margins: take joint_counts"
        )
    known = counts[:, :-1]
    # (labels, targets of a label, biases, choices); classes are one label
    tables = known.reshape(groups.outputs if groups.multi_label else 1, -1, *known.shape[1:])
    predicted, true = tables.sum(dim=1), tables.sum(dim=3)
    scalars = {
        "information/prediction": mutual_information(predicted),
        "information/prediction_normalized": normalized_mutual_information(predicted),
        "information/prediction_given_target": conditional_mutual_information(tables),
        "information/target": mutual_information(true),
        "information/cramers_v": cramers_v(predicted),
        "information/target_cramers_v": cramers_v(true),
    }
    return {key: values.nanmean() for key, values in scalars.items()}


def information_report(
    prediction: Tensor, target: Tensor, bias: Tensor, groups: Groups
) -> dict[str, float]:
    """``information_scalars`` of predictions, as plain floats; arguments as in ``joint_counts``."""
    scalars = information_scalars(joint_counts(prediction, target, bias, groups), groups)
    return {key: value.item() for key, value in scalars.items()}


def _shares(table: Tensor) -> Tensor:
    return table.double() / table.sum(dim=(-2, -1), keepdim=True)


def _entropy(shares: Tensor) -> Tensor:
    return -torch.xlogy(shares, shares).sum(dim=-1)


def _ratio(above: Tensor, below: Tensor) -> Tensor:
    return above / torch.where(below > 0, below, torch.nan)
