"""How much more a model relies on a shortcut than an observer that uses both cues best."""

from statistics import NormalDist

from torch import Tensor

from debias.errors import check_between
from debias.metrics.accuracy.scalars import accuracy


def reliance(prediction: Tensor, shortcut: Tensor, core: Tensor) -> Tensor:
    """Share of the images whose cues conflict that are answered as the shortcut says.

    Source: Hermann, Mobahi, Fel and Mozer, "On the Foundations of Shortcut Learning", 2023.

    Args:
        prediction: ``(N,)`` integer answers.
        shortcut: ``(N,)`` integer class that the shortcut says.
        core: ``(N,)`` integer class that the core feature says.

    Returns:
        float64 in [0, 1], NaN without a conflict.
    """
    conflict = shortcut != core
    return accuracy((conflict & (prediction == shortcut)).sum(), conflict.sum())


def bayes_reliance(shortcut: float, core: float) -> float:
    r"""Reliance of the observer that weights two cues of unit noise best.

    A cue of predictivity :math:`\rho` has the mean :math:`\pm\mu`, :math:`\mu = \Phi^{-1}(\rho)`.
    The best decision is the sign of :math:`\mu_s z_s + \mu_c z_c`. Over probes that are uniform on
    a square and whose cues conflict, the share decided by the shortcut is

    .. math:: \tfrac12\, \mu_s / \mu_c \;\text{ if } \mu_s \le \mu_c, \qquad
              1 - \tfrac12\, \mu_c / \mu_s \;\text{ otherwise.}

    Source: as :func:`reliance`. The closed form is our own.

    Args:
        shortcut: probability that the shortcut alone tells the class, in (0.5, 1).
        core: the same of the core feature.

    Raises:
        ValueError: a predictivity is not in (0.5, 1).

    Example:
        >>> round(bayes_reliance(0.85, 0.90), 4)
        0.4044
    """
    check_between("(0.5, 1)", {"shortcut": shortcut, "core": core}, of="bayes_reliance")
    of_shortcut, of_core = NormalDist().inv_cdf(shortcut), NormalDist().inv_cdf(core)
    if of_shortcut <= of_core:
        return of_shortcut / of_core / 2
    return 1 - of_core / of_shortcut / 2
