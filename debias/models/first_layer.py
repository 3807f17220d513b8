"""TrAct: another gradient for the first convolution, as if its activations were trained."""

from typing import Any

import torch
from timm.layers import Conv2dSame, pad_same
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.nn import functional as F

from debias.errors import InputError, check_one_of, check_positive

#: Values of ``model.first_layer``.
FIRST_LAYERS = ("tract",)
#: Images whose patches are in memory at the same time.
_CHUNK = 8


def activation_gradient(gradient: Tensor, moments: Tensor, ridge: float) -> Tensor:
    r"""The gradient of a linear layer's weight that moves its activations by gradient descent.

    .. math:: \Delta W = G^\top x \left(\tfrac{1}{b} x^\top x + \lambda I\right)^{-1}

    :math:`G^\top x` is the usual gradient. The weights are those of a ridge regression to the moved
    activations. A larger contrast or brightness of the inputs then does not make larger steps.

    Source: Petersen et al., "TrAct: Making First-layer Pre-Activations Trainable", NeurIPS 2024.

    Args:
        gradient: ``(m, n)`` float :math:`G^\top x`.
        moments: ``(n, n)`` float :math:`x^\top x / b`, over b inputs of the layer.
        ridge: :math:`\lambda`, positive.

    Returns:
        ``(m, n)``.

    Example:
        >>> x = torch.tensor([[2.0, 0.0, 1.0]])
        >>> activation_gradient(3 * x, x.T @ x, 0.1)
        tensor([[1.1765, 0.0000, 0.5882]])
    """
    matrix = moments + ridge * torch.eye(len(moments), dtype=moments.dtype, device=moments.device)
    result: Tensor = torch.linalg.solve(matrix, gradient, left=False)
    return result


class TrActConvolution(nn.Conv2d):
    r"""A convolution with the gradient of :func:`activation_gradient`; its outputs are the same.

    The inputs are the patches of the images. Only the gradient of the weight changes, in training
    passes. Parameters and their names are those of the given layer. Any optimiser may follow.

    Source: Petersen et al., "TrAct: Making First-layer Pre-Activations Trainable", NeurIPS 2024;
    reference code Felix-Petersen/tract.

    Args:
        layer: the convolution, with one group, zeros as padding, and a padding in numbers or that
            of timm's ``Conv2dSame``. Its parameters are used, not copied.
        ridge: :math:`\lambda`, positive.

    Raises:
        ValueError: the layer is of another kind, or ``ridge`` is not positive.

    Differs from the reference: dilation is respected. The moments are summed over few images at a
    time, which takes less memory. They have at least the precision of float32.
    """

    def __init__(self, layer: nn.Module, *, ridge: float = 0.1) -> None:
        check_positive({"model.ridge": ridge})
        self.same = isinstance(layer, Conv2dSame)
        if not (
            isinstance(layer, nn.Conv2d)
            and (self.same or type(layer).forward is nn.Conv2d.forward)
            and (layer.groups, layer.padding_mode) == (1, "zeros")
            and not isinstance(layer.padding, str)
        ):
            raise InputError(
                "model.first_layer=tract needs a plain convolution as first layer; got "
                f"{type(layer).__name__}: leave model.first_layer out"
            )
        size = layer.in_channels, layer.out_channels, layer.kernel_size
        window = layer.stride, layer.padding, layer.dilation
        super().__init__(*size, *window, bias=layer.bias is not None, device="meta")  # type: ignore[arg-type]
        self.weight, self.bias, self.ridge = layer.weight, layer.bias, ridge

    def forward(self, image: Tensor) -> Tensor:
        """The outputs of the convolution for ``(N, C, H, W)`` images."""
        if self.same:
            image = pad_same(image, self.kernel_size, self.stride, self.dilation)
        weight: Tensor = self.weight
        if self.training and torch.is_grad_enabled() and weight.requires_grad:
            precondition: Any = _Preconditioned.apply
            weight = precondition(weight, self.moments(image), self.ridge)
        return F.conv2d(image, weight, self.bias, self.stride, self.padding, self.dilation)

    @torch.no_grad()
    def moments(self, image: Tensor) -> Tensor:
        """Mean over all patches of the ``(n, n)`` products of their values."""
        with torch.autocast(image.device.type, enabled=False):
            precise = image.to(torch.promote_types(image.dtype, torch.float32))
            total, count = precise.new_zeros(()), 0
            window: Any = self.kernel_size, self.dilation, self.padding, self.stride
            for part in torch.split(precise, _CHUNK):
                patches = F.unfold(part, *window)
                total = total + (patches @ patches.transpose(1, 2)).sum(dim=0)
                count += len(patches) * patches.shape[2]
        return total / count


class _Preconditioned(torch.autograd.Function):
    """The weight itself, whose gradient becomes that of trained activations."""

    @staticmethod
    def forward(ctx: Any, weight: Tensor, moments: Tensor, ridge: float) -> Tensor:
        """Return the weight, and keep the moments for its gradient."""
        ctx.save_for_backward(moments)
        ctx.ridge = ridge
        return weight.view_as(weight)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None]:
        """The gradient of the weight, from its usual one."""
        (moments,) = ctx.saved_tensors
        with torch.autocast(gradient.device.type, enabled=False):
            flat = gradient.flatten(1).to(moments.dtype)
            changed = activation_gradient(flat, moments, ctx.ridge)
        return changed.view_as(gradient).to(gradient.dtype), None, None


def train_first_layer(network: nn.Module, kind: str, *, ridge: float) -> None:
    """Replace the first convolution of a timm network by a :class:`TrActConvolution`, in place.

    Args:
        network: a network of timm, which names its first convolution in ``pretrained_cfg``.
        kind: one of :data:`FIRST_LAYERS`.
        ridge: as for :class:`TrActConvolution`.

    Raises:
        ValueError: ``kind`` is another one, the network names no single first convolution, or
            :class:`TrActConvolution` refuses it.
    """
    check_one_of(FIRST_LAYERS, {"model.first_layer": kind})
    path: Any = getattr(network, "pretrained_cfg", {}).get("first_conv")
    if not isinstance(path, str):
        raise InputError(
            f"{type(network).__name__} names no single first convolution, which "
            f"model.first_layer={kind} needs: leave model.first_layer out"
        )
    parent, _, name = path.rpartition(".")
    layer = TrActConvolution(network.get_submodule(path), ridge=ridge)
    setattr(network.get_submodule(parent), name, layer)
