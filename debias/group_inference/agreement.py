"""BiasEnsemble: the samples whose class most biased networks predict surely."""

from torch import Tensor

from debias.errors import InputError, check_between


def agreed(chances: Tensor, *, threshold: float = 0.99, agreement: int = 3) -> Tensor:
    r"""Mark the samples whose class at least some networks predict with a high probability.

    .. math:: \Big|\{m : p_m(y_i \mid x_i) > \tau\}\Big| \ge k

    If the networks use the shortcut, these samples are bias-aligned.

    Source: Lee et al., "Revisiting the Importance of Amplifying Bias for Debiasing" (BiasEnsemble),
    AAAI 2023; reference code kakaoenterprise/BiasEnsemble.

    Args:
        chances: ``(M, N)`` float, probability of the true class by each of M networks.
        threshold: :math:`\tau` in [0, 1].
        agreement: k in [0, M]. With 0, all samples are marked.

    Returns:
        ``(N,)`` bool.

    Raises:
        ValueError: ``threshold`` is outside [0, 1], or ``agreement`` is outside [0, M].

    Example:
        >>> import torch
        >>> agreed(torch.tensor([[1.0, 1.0, 0.2], [1.0, 0.5, 0.3]]), agreement=2).tolist()
        [True, False, False]
    """
    check_between("[0, 1]", {"threshold": threshold}, of="BiasEnsemble")
    if not 0 <= agreement <= len(chances):
        raise InputError(
            f"agreement must lie in [0, {len(chances)}], the number of networks; got {agreement}"
        )
    return (chances > threshold).sum(dim=0) >= agreement
