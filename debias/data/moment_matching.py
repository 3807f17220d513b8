"""M4: weights of samples for which several attributes have given rates and are not associated."""

from __future__ import annotations

from typing import NamedTuple, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from debias.data.orders import Order, Weighted
from debias.errors import InputError, check_at_least, check_one_of, check_positive
from debias.types import Attribute, Groups

#: Which rates of the attribute values the weighted data have.
RATES = ("as_is", "uniform")
#: How far a constraint may be missed, beside its tolerance.
MISSED = 1e-3


class MatchedMoments(NamedTuple):
    """The result of :func:`matched_moments`.

    Attributes:
        weights: ``(N,)`` float64 in [0, Q].
        prices: ``(2 (R + 1), S)`` float64 in [0, V]: the price of each constraint. The first R + 1
            rows are for moments above their bound, the others for moments below it. In each half,
            the first R rows are for association with the labels, the last for representation.
        moments: ``(R + 1, S)`` float64 association and representation under the weights.
    """

    weights: Tensor
    prices: Tensor
    moments: Tensor


def matched_moments(
    attributes: Tensor,
    labels: Tensor,
    rates: Tensor,
    *,
    association: float = 0.0,
    representation: float = 0.0,
    mean: float = 1.0,
    largest: float = 10.0,
    price: float = 100.0,
) -> MatchedMoments:
    r"""The sample weights nearest to equal ones that remove the association of attributes.

    .. math:: \min_{q} \tfrac12 \mathrm{E}[(q - \eta)^2]
              + V \sum_{k, r} \big(|\mathrm{E}[q (s_k - \pi_k) y_r]| - \epsilon_D\big)_+
              + V \sum_k \big(|\mathrm{E}[q (s_k - \pi_k)]| - \epsilon_R\big)_+

    under :math:`\mathrm{E}[q] = \eta` and :math:`0 \le q \le Q`. E is the mean over the samples,
    :math:`s_k` an attribute and :math:`y_r` a label. Attributes may overlap. The first sum is small
    if no attribute has another rate among the samples of a label, the second if each attribute has
    the rate :math:`\pi_k`. The dual has one price :math:`v_j \in [0, V]` per signed constraint
    :math:`a_j`, and a free price :math:`\mu` of the mean:

    .. math:: q_i(v, \mu) = \mathrm{clip}\big(\eta - \textstyle\sum_j v_j a_j(i) - \mu, 0, Q\big)

    L-BFGS-B maximises it, at :math:`\mathrm{E}[q a_j] - \epsilon_j` as gradient.

    Source: Alabdulmohsin et al., "CLIP the Bias: How Useful is Balancing Data in Multimodal
    Learning?" (M4), ICLR 2024.

    Args:
        attributes: ``(N, S)`` 0/1.
        labels: ``(N, R)`` 0/1.
        rates: ``(S,)`` float in [0, 1], :math:`\pi`.
        association: :math:`\epsilon_D \ge 0`.
        representation: :math:`\epsilon_R \ge 0`.
        mean: :math:`\eta > 0`, the mean of the weights.
        largest: Q, at least ``mean``.
        price: V >= 0. With 0, all weights are ``mean``. If no weights satisfy the constraints, V
            limits how far the weights go for the constraints that fail.

    Returns:
        Weights, prices and moments.

    Raises:
        ValueError: a tolerance or ``price`` is negative, ``mean`` is not positive, or ``largest``
            is below ``mean``.

    Example:
        >>> counts = torch.tensor([40, 10, 10, 40])  # of (label, attribute) = 00, 01, 10, 11
        >>> cells = torch.tensor([[0, 0, 1, 1], [0, 1, 0, 1]])
        >>> label, attribute = cells.repeat_interleave(counts, dim=1)
        >>> found = matched_moments(
        ...     attribute[:, None], torch.stack([1 - label, label], 1), torch.tensor([0.5])
        ... )
        >>> [round(value, 3) for value in found.weights[[0, 40, 50, 60]].tolist()]
        [0.625, 2.5, 2.5, 0.625]

    Differs from the reference: the authors use a stochastic descent over a stream of samples; here
    all samples are in memory, and the solution is exact. Their code could not be read.
    """
    _check(association, representation, mean, largest, price)
    # samples with equal labels and attributes have equal weights
    joined = torch.cat([labels, torch.ones_like(labels[:, :1]), attributes], dim=1)
    kinds, kind, counts = torch.unique(joined, dim=0, return_inverse=True, return_counts=True)
    rows, values = labels.shape[1] + 1, attributes.shape[1]
    shifted = kinds[:, rows:].double() - rates.double()
    signed = torch.einsum("nr,ns->rsn", kinds[:, :rows].double(), shifted)
    bound = np.repeat([association, representation], [(rows - 1) * values, values])
    moments, share = signed.reshape(rows * values, -1).numpy(), (counts / len(labels)).numpy()
    prices, weights = _dual(moments, share, bound, mean, largest, price)
    return MatchedMoments(
        torch.from_numpy(weights)[kind],
        torch.from_numpy(prices).view(2 * rows, values),
        torch.from_numpy(moments @ (share * weights)).view(rows, values),
    )


def _dual(
    moments: NDArray[np.float64],
    share: NDArray[np.float64],
    bound: NDArray[np.float64],
    mean: float,
    largest: float,
    price: float,
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Prices ``(2 J,)`` of the constraints and weights ``(P,)``, for ``(J, P)`` moments of P kinds
    of samples, which have these shares of the data.
    """
    from scipy.optimize import minimize

    constraints, bounds = np.concatenate([moments, -moments]), np.concatenate([bound, bound])

    def weights(point: NDArray[np.float64]) -> NDArray[np.float64]:
        """The weights at these prices. The last price is that of the mean."""
        free = mean - point[:-1] @ constraints - point[-1]
        return cast(NDArray[np.float64], np.clip(free, 0, largest))

    def negative_dual(point: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
        """The dual to maximise, with its gradient, both negative."""
        q = weights(point)
        missed = np.append(constraints @ (share * q) - bounds, share @ q - mean)
        return -(share @ np.square(q - mean) / 2 + point @ missed), -missed

    limits = [(0.0, price)] * len(bounds) + [(None, None)]
    options = {"maxiter": 10_000, "maxfun": 100_000, "ftol": 0.0, "gtol": 1e-9, "maxcor": 50}
    found = minimize(
        negative_dual, np.zeros(len(limits)), jac=True, method="L-BFGS-B", bounds=limits,
        options=options,
    )  # fmt: skip
    return found.x[:-1], weights(found.x)


def _check(
    association: float, representation: float, mean: float, largest: float, price: float
) -> None:
    least = {"association": association, "representation": representation, "price": price}
    check_at_least(0, least, of="M4")
    check_positive({"mean": mean}, of="M4")
    check_at_least(mean, {"largest": largest}, of="M4", hint="it must be at least the mean weight")


def moment_matched(
    row: Tensor,
    bias: Tensor,
    groups: Groups,
    *,
    rates: str = "as_is",
    association: float = 0.0,
    representation: float = 0.0,
    largest: float = 10.0,
) -> Order:
    """Draw N samples with replacement, such that no bias attribute is associated with a label (M4).

    Every value of every bias attribute has about the same rate among the drawn samples of each
    class. It balances attributes one by one, so combinations of values may have no sample. Of all
    weights that do so, the nearest to equal ones are taken; see :func:`matched_moments`.

    Source: Alabdulmohsin et al., "CLIP the Bias: How Useful is Balancing Data in Multimodal
    Learning?" (M4), ICLR 2024.

    Args:
        row: ``(N,)`` int64 class of each training sample, or ``(N, L)`` rows of several labels, of
            which the present ones count.
        bias: ``(N,)`` int64 value of the bias attribute of each training sample.
        groups: the names of classes and bias attributes.
        rates: rates of the values: "as_is" keeps those of the training data, "uniform" makes the
            values of each attribute equally frequent.
        association: how much a value and a label may be associated: a share of the samples, at
            least 0.
        representation: how far the rate of a value may lie from its goal, at least 0.
        largest: largest weight, at least 1, where the mean weight is 1.

    Raises:
        ValueError: ``rates`` is unknown, a tolerance is negative, ``largest`` is below 1, a bias
            value is unknown, or no weights reach the tolerances.

    Differs from the reference: the sampler draws an epoch by the weights. The authors keep an image
    with a probability that is proportional to its weight. Their tolerances could not be read.
    """
    check_one_of(RATES, {"sampler.rates": rates})
    if bool((bias < 0).any()):
        raise InputError(
            "matching moments needs the bias labels of every training sample; "
            f"{int((bias < 0).sum())} of {len(bias)} are unknown: label them, or set "
            "sampler.name=class_balanced"
        )
    values, labels = _values(groups), _labels(row, groups)
    held = groups.decode(bias)
    attributes = torch.stack([(held[:, each.attribute] == each.value).long() for each in values], 1)
    uniform = torch.tensor([each.uniform for each in values], dtype=torch.float64)
    found = matched_moments(
        attributes,
        labels,
        uniform if rates == "uniform" else attributes.double().mean(dim=0),
        association=association,
        representation=representation,
        largest=largest,
    )
    allowed = torch.tensor([association] * labels.shape[1] + [representation])[:, None]
    if float((found.moments.abs() - allowed).max()) > MISSED:
        raise _missed(found.moments, found.moments.abs() - allowed, values, groups, largest)
    return Weighted(found.weights)


def _missed(
    moments: Tensor, excess: Tensor, values: list[_Value], groups: Groups, largest: float
) -> InputError:
    """The error that names the label and the value whose moment is missed by most."""
    label, value = divmod(int(excess.argmax()), len(values))
    labels = groups.target_names[1::2] if groups.multi_label else groups.target_names
    return InputError(
        f"no weights of at most {largest:g} match the rate of {values[value].name} among "
        f"{[*labels, 'all samples'][label]}: it is missed by {float(moments[label, value]):+.3f}. "
        "Raise sampler.largest, sampler.association or sampler.representation, or add samples"
    )


class _Value(NamedTuple):
    """A value of a bias attribute: where the attribute is, its name, and 1 / number of values."""

    attribute: int
    value: int
    name: str
    uniform: float


def _values(groups: Groups) -> list[_Value]:
    """The values of all attributes; of two values only the second, which says the same."""
    attributes = groups.attributes or (Attribute("bias", groups.bias_names),)
    return [
        _Value(position, value, f"{each.name}={each.values[value]}", 1 / len(each.values))
        for position, each in enumerate(attributes)
        for value in range(len(each.values) == 2, len(each.values))
    ]


def _labels(row: Tensor, groups: Groups) -> Tensor:
    """``(N, R)`` 0/1: the class of each sample, or the labels that it has."""
    if groups.multi_label:
        return row % 2
    return F.one_hot(row, groups.rows)
