"""A prior on the weights of a linear layer: which concept speaks for or against which class."""

import torch
from torch import Tensor


def weight_prior(weights: Tensor, prior: Tensor) -> Tensor:
    r"""Mean distance of the squashed weights of a linear layer to a table of signs.

    .. math:: L = \frac{1}{KC} \sum_{kc} |\tanh(W_{kc}) - P_{kc}|

    The gradient vanishes where a weight is large and has the sign of the prior: the prior fixes
    the sign of such a weight, and the task its size. 0 in the prior pulls a weight to 0.

    Source: Yang et al., "A Textbook Remedy for Domain Shifts: Knowledge Priors for Medical Image
    Analysis", NeurIPS 2024; reference code YueYANG1996/KnoBo.

    Args:
        weights: ``(K, C)`` float, of K classes and C concepts.
        prior: ``(K, C)`` in [-1, 1]: 1 if the concept speaks for the class, -1 if against it, 0 if
            that is unknown.

    Returns:
        Scalar, at least float32.

    Example:
        >>> weights = torch.tensor([[0.0, 0.5493]])  # tanh(0.5493) = 0.5
        >>> round(weight_prior(weights, torch.tensor([[0.0, 1.0]])).item(), 4)  # (0 + 0.5) / 2
        0.25
    """
    squashed = weights.to(torch.promote_types(weights.dtype, torch.float32)).tanh()
    return (squashed - prior.to(squashed)).abs().mean()
