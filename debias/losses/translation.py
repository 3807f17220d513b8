"""Losses of image translation: Wasserstein distance, gradient penalty and reconstruction."""

import torch
from torch import Tensor


def wasserstein_losses(real: Tensor, translated: Tensor) -> Tensor:
    r"""How much higher a critic scores translated images than real ones.

    .. math:: \ell_i = \overline{D(\tilde x_i)} - \overline{D(x_i)}

    The bars are means over positions. A critic that minimises the mean estimates the negative
    Wasserstein distance of the two distributions, if its gradients have length 1
    (:func:`gradient_penalties`).

    Source: Arjovsky et al., "Wasserstein GAN", ICML 2017; with positions as in Choi et al.,
    "StarGAN", CVPR 2018, reference code yunjey/stargan.

    Args:
        real: ``(N, ...)`` float scores of real images.
        translated: ``(N, ...)`` float scores of translated images.

    Returns:
        ``(N,)`` float32 at least.

    Example:
        >>> wasserstein_losses(torch.tensor([[1.0, 3.0]]), torch.tensor([[0.0, 1.0]]))
        tensor([-1.5000])
    """
    difference = _precise(translated) - _precise(real)
    return difference.flatten(1).mean(dim=1)


def gradient_penalties(scores: Tensor, points: Tensor) -> Tensor:
    r"""Squared distance from 1 of the length of a critic's gradient at each point.

    .. math:: \ell_i = \Big( \Big\lVert \frac{\partial}{\partial \hat x_i} \sum_p D_p(\hat x_i)
              \Big\rVert_2 - 1 \Big)^2

    The sum is over the positions p of the scores. The result can be differentiated by the
    parameters of the critic.

    Source: Gulrajani et al., "Improved Training of Wasserstein GANs", NeurIPS 2017; the sum over
    positions as in Choi et al., CVPR 2018, reference code yunjey/stargan.

    Args:
        scores: ``(N, ...)`` float scores, computed from ``points``, each sample by itself.
        points: ``(N, ...)`` float that requires gradient, such as random points between real and
            translated images.

    Returns:
        ``(N,)`` float32 at least.

    Example:
        >>> points = torch.zeros(1, 2, requires_grad=True)
        >>> gradient_penalties(points @ torch.tensor([[0.0], [3.0]]), points).detach()
        tensor([4.])
    """
    (gradient,) = torch.autograd.grad(scores.sum(), points, create_graph=True)
    lengths: Tensor = torch.linalg.vector_norm(_precise(gradient).flatten(1), dim=1)
    return (lengths - 1).square()


def reconstruction_losses(image: Tensor, again: Tensor) -> Tensor:
    """Mean absolute difference of each image and its reconstruction.

    Source: Zhu et al., "Unpaired Image-to-Image Translation using Cycle-Consistent Adversarial
    Networks", ICCV 2017.

    Args:
        image: ``(N, ...)`` float.
        again: float of the same shape, such as images that were translated and translated back.

    Returns:
        ``(N,)`` float32 at least.

    Example:
        >>> reconstruction_losses(torch.zeros(1, 4), torch.tensor([[1.0, -1.0, 0.0, 0.0]]))
        tensor([0.5000])
    """
    return (_precise(image) - _precise(again)).abs().flatten(1).mean(dim=1)


def _precise(values: Tensor) -> Tensor:
    """The values in float32 at least."""
    return values.to(torch.promote_types(values.dtype, torch.float32))
