"""Risk extrapolation (V-REx): mean and variance of the risks of the environments."""

from typing import NamedTuple

from torch import Tensor

from debias.losses.group_means import group_means


class EnvironmentRisks(NamedTuple):
    """Mean and population variance, over environments, of their mean losses; both scalars."""

    mean: Tensor
    variance: Tensor


def environment_risks(losses: Tensor, environment: Tensor, environments: int) -> EnvironmentRisks:
    r"""Mean and variance, over environments, of their risks; a risk is a mean loss.

    .. math:: \bar R = \frac{1}{|E|} \sum_e R_e, \qquad
              \mathrm{Var}_e(R_e) = \frac{1}{|E|} \sum_e (R_e - \bar R)^2, \qquad
              R_e = \frac{1}{n_e} \sum_{i: e_i = e} \ell_i

    where E are the environments in the joined batch of all processes.

    Source: Krueger et al., "Out-of-Distribution Generalization via Risk Extrapolation (REx)", ICML
    2021.

    Args:
        losses: ``(N,)`` float loss per sample.
        environment: ``(N,)`` int64 in [0, environments); -1 leaves the sample out.
        environments: number of environments, including absent ones.

    Returns:
        Scalars, at least float32; the variance is 0 for a single environment.

    Example:
        >>> import torch
        >>> risks = environment_risks(torch.tensor([1.0, 3.0, 4.0]), torch.tensor([0, 0, 1]), 2)
        >>> (risks.mean.item(), risks.variance.item())  # risks 2 and 4
        (3.0, 1.0)
    """
    means, counts = group_means(losses, environment, environments)
    present = counts > 0
    number = present.sum().clamp(min=1)
    mean = means.sum() / number
    return EnvironmentRisks(mean, ((means - mean).square() * present).sum() / number)
