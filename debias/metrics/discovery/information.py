"""Mutual information and association of two labellings, from their table of counts."""

import torch
from torch import Tensor

from debias.errors import InputError
from debias.metrics.accuracy.counts import Margins, joint_counts
from debias.types import Groups


def mutual_information(table: Tensor) -> Tensor:
    r"""Mutual information of the rows and columns of a table of counts, in nats.

    .. math:: I = \sum_{ij} p_{ij} \log \frac{p_{ij}}{p_{i \cdot} p_{\cdot j}}

    Source: Shannon, 1948; the same as scikit-learn's ``mutual_info_score`` and torchmetrics'
    ``MutualInfoScore``.

    Args:
        table: ``(..., R, C)`` counts. Leading dimensions index separate tables. Empty rows and
            columns add nothing.

    Returns:
        ``(...)`` float64 in [0, log min(R, C)], 0 for independence; NaN for an empty table. Divide
        by ``log(2)`` for bits.

    Example:
        >>> round(mutual_information(torch.tensor([[5, 0], [0, 5]])).item(), 6)  # log(2)
        0.693147
    """
    joint = _shares(table)
    expected = joint.sum(dim=-1, keepdim=True) * joint.sum(dim=-2, keepdim=True)
    # cells of an empty row or column are empty, and 0 log 0 is 0
    terms = torch.xlogy(joint, joint) - torch.xlogy(joint, expected)
    return terms.sum(dim=(-2, -1)).clamp(min=0)


def normalized_mutual_information(table: Tensor) -> Tensor:
    """Mutual information of rows and columns, divided by the mean of their entropies.

    Source: scikit-learn's ``normalized_mutual_info_score`` with the arithmetic mean.

    Args:
        table: ``(..., R, C)`` counts.

    Returns:
        ``(...)`` float64 in [0, 1], 0 for independence; NaN if all samples are in one cell.

    Differs from the reference: scikit-learn returns 1 if all samples are in one cell.
    """
    joint = _shares(table)
    entropies = _entropy(joint.sum(dim=-1)) + _entropy(joint.sum(dim=-2))
    return _ratio(2 * mutual_information(table), entropies)


def conditional_mutual_information(tables: Tensor) -> Tensor:
    r"""Conditional mutual information of rows and columns given a third variable, in nats.

    .. math:: I(\hat y; a \mid y) = \sum_y p(y)\, I(\hat y; a \mid Y = y)

    If the third variable is the target, it is the information of the predictions about the bias
    that the target does not contain.

    Source: Cover and Thomas, "Elements of Information Theory", 2006, section 2.5.

    Args:
        tables: ``(..., Y, R, C)`` counts, one table for each value of the third variable.

    Returns:
        ``(...)`` float64, at least 0, ideal 0; NaN for empty tables.
    """
    sizes = tables.sum(dim=(-2, -1)).double()
    information = torch.where(sizes > 0, mutual_information(tables), 0)
    return _ratio((sizes * information).sum(dim=-1), sizes.sum(dim=-1))


def cramers_v(table: Tensor) -> Tensor:
    r"""Cramér's V: the strength of association of the rows and columns of a table of counts.

    .. math:: V = \sqrt{\frac{\chi^2}{n\, (\min(R, C) - 1)}}

    R and C are the numbers of rows and columns that are not empty. There is no correction for
    continuity or bias.

    Source: Cramér, "Mathematical Methods of Statistics", 1946; scipy's ``contingency.association``,
    which raises an error for empty rows and columns.

    Args:
        table: ``(..., R, C)`` counts.

    Returns:
        ``(...)`` float64 in [0, 1], 0 for independence; NaN if fewer than two rows or fewer than
        two columns hold counts.
    """
    joint = _shares(table)
    rows, columns = joint.sum(dim=-1), joint.sum(dim=-2)
    expected = rows[..., :, None] * columns[..., None, :]
    deviation = torch.where(expected > 0, (joint - expected).square() / expected, 0).sum(
        dim=(-2, -1)
    )
    freedom = torch.minimum((rows > 0).sum(dim=-1), (columns > 0).sum(dim=-1)) - 1
    return _ratio(deviation, freedom.clamp(min=0).double()).sqrt()


def information_scalars(counts: Tensor | Margins, groups: Groups) -> dict[str, Tensor]:
    """Information and association between predictions, targets and the bias attribute.

    ``numbers.csv`` explains each scalar, in the family ``information``.

    Args:
        counts: ``(rows, biases + 1, choices)`` int64 from ``joint_counts``. Samples of unknown bias
            are left out.
        groups: names and numbering of the groups.

    Returns:
        float64 scalars; information is in nats. Multi-label: the mean over the labels for which a
        value is defined; NaN if it is defined for none.

    Raises:
        ValueError: ``counts`` are ``Margins``, which lack the predictions per target.
    """
    if isinstance(counts, Margins):
        raise InputError(
            "counts must come from joint_counts for information_scalars; got Margins. Call "
            "joint_counts in place of margin_counts"
        )
    known = counts[:, :-1]
    # shape (labels, targets per label, biases, choices); single-label data have one label
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
    """Compute ``information_scalars`` from predictions, as plain floats. Arguments are those of
    ``joint_counts``.
    """
    scalars = information_scalars(joint_counts(prediction, target, bias, groups), groups)
    return {key: value.item() for key, value in scalars.items()}


def _shares(table: Tensor) -> Tensor:
    return table.double() / table.sum(dim=(-2, -1), keepdim=True)


def _entropy(shares: Tensor) -> Tensor:
    return -torch.xlogy(shares, shares).sum(dim=-1)


def _ratio(above: Tensor, below: Tensor) -> Tensor:
    return above / torch.where(below > 0, below, torch.nan)
