"""Second batch normalisations: a model's pass with its own scales, shifts and statistics."""

import copy

from torch import Tensor, nn
from torch.func import functional_call
from torch.nn.modules.batchnorm import _BatchNorm

from debias.models.layers import unwrapped
from debias.types import Outputs


class SecondNorms(nn.Module):
    """Copies of a model's batch normalisations, for images of another distribution (MixBN).

    A pass through this module uses the copies in place of the model's own batch normalisations, in
    the mode of the model. All other layers are the model's. The model itself is not changed.

    Source: Xie et al., "Adversarial Examples Improve Image Recognition", CVPR 2020.

    Args:
        model: maps images to :class:`debias.types.Outputs`. Without batch normalisation, both
            passes are the same.
    """

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        layers = {
            name: layer
            for name, layer in unwrapped(model).named_modules()
            if isinstance(layer, _BatchNorm)
        }
        self.names = tuple(layers)
        self.layers = nn.ModuleList(copy.deepcopy(layer) for layer in layers.values())

    def forward(self, model: nn.Module, image: Tensor) -> Outputs:
        """Outputs of the model with the copied batch normalisations, with gradients for both.

        Args:
            model: the model whose batch normalisations were copied; not compiled, and not in parts.
            image: ``(N, 3, H, W)`` float.
        """
        tensors = {
            f"{name}.{key}": value
            for name, layer in zip(self.names, self.layers, strict=True)
            for key, value in (*layer.named_parameters(), *layer.named_buffers())
        }
        outputs: Outputs = functional_call(unwrapped(model), tensors, (image,))
        return outputs
