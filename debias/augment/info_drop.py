"""InfoDrop: drop positions of a feature map whose patch of the input repeats around them."""

from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from debias.augment.layer_augmentation import LayerAugmentation
from debias.errors import InputError, check_at_least, check_between, check_positive
from debias.models.layers import LayerChange, find_layer, layer_shape
from debias.types import Batch


class Window(NamedTuple):
    """The patches that a convolution reads: its kernel, stride, padding and dilation."""

    kernel: tuple[int, ...]
    stride: tuple[int, ...]
    padding: tuple[int, ...]
    dilation: tuple[int, ...]


def repetition(maps: Tensor, offsets: Tensor, window: Window, *, bandwidth: float = 1.0) -> Tensor:
    r"""How much the patch that a convolution reads at each position resembles patches around it.

    .. math:: q = \frac{1}{R} \sum_r \exp\left(-\frac{D_r}{2 \bar D h^2}\right)

    :math:`D_r` is the squared distance to the patch at offset r, summed over channels and the
    kernel. :math:`\bar D` is its mean over images, offsets and positions. Texture repeats, so its
    patches have a large q; edges have a small one.

    Source: Shi et al., "Informative Dropout for Robust Representation Learning: A Shape-bias
    Perspective", ICML 2020.

    Args:
        maps: ``(N, C, H, W)`` float input of the convolution. Outside of it are zeros.
        offsets: ``(R, 2)`` int64, rows and columns to move by.
        window: the patches that are compared.
        bandwidth: h, positive.

    Returns:
        ``(N, 1, H', W')`` float in [0, 1], of the size of the convolution's output.
    """
    radius, (rows, columns) = int(offsets.abs().max()), window.padding
    height, width = maps.shape[2] + 2 * rows, maps.shape[3] + 2 * columns
    padded = F.pad(maps, (columns + radius,) * 2 + (rows + radius,) * 2)

    def moved(row: int, column: int) -> Tensor:
        """The padded maps, moved by an offset."""
        top, left = radius + row, radius + column
        return padded[:, :, top : top + height, left : left + width]

    own, ones = moved(0, 0), maps.new_ones(1, 1, *window.kernel)
    squares = [(own - moved(*offset)).square().sum(dim=1) for offset in offsets.tolist()]
    stacked = torch.cat(squares)[:, None]
    distance = F.conv2d(stacked, ones, stride=window.stride, dilation=window.dilation)
    distance = distance.view(len(squares), len(maps), *distance.shape[1:])
    # equal patches everywhere have no distance at all
    scale = 2 * bandwidth**2 * distance.mean().clamp(min=torch.finfo(distance.dtype).tiny)
    return torch.exp(-distance / scale).mean(dim=0)


class InfoDrop(LayerAugmentation):
    r"""Drop positions of an early feature map whose patch of the image repeats around them.

    For each channel, :math:`1.5\, H W` positions are drawn with replacement, with probabilities
    proportional to :math:`q^{1/T}`, and set to 0. q is the :func:`repetition` of the patch that
    ``convolution`` reads. Texture is dropped, and edges remain, so the model relies more on shape.
    The last part of the training is without it.

    Source: Shi et al., "Informative Dropout for Robust Representation Learning: A Shape-bias
    Perspective", ICML 2020; reference code bfshi/InfoDrop.

    Args:
        model: the model that is trained.
        image: ``(1, 3, H, W)`` float, an example that gives the shapes inside the model.
        convolution: dotted name of the convolution whose patches are compared. The default is the
            stem of a ResNet.
        layer: dotted name of the layer whose output loses positions: the convolution, a later layer
            of the same size, or the max pooling after it.
        rate: drawn positions, as a multiple of all positions, positive. At least one is drawn.
        temperature: T, positive. With a small one, few positions are drawn often.
        bandwidth: h of the repetition, positive.
        radius: largest offset, in pixels of the convolution's input, at least 1.
        patches: number of random offsets per pass, at least 1.
        until: share of the training after which nothing is dropped, in [0, 1]. The default is 100
            of 120 epochs. In a plain loop, call the object with each batch and this share.

    Raises:
        ValueError: an option is outside its range, a layer does not exist, ``convolution`` is none,
            pads by itself or has several groups, or the sizes of the two layers do not fit.

    Differs from the reference: evaluation drops nothing; theirs has no test for it. Theirs trains
    the last 20 epochs as a second run, with a new optimiser and schedule (``model.weights=RUN``).
    """

    def __init__(
        self,
        model: nn.Module,
        image: Tensor,
        *,
        convolution: str = "conv1",
        layer: str = "maxpool",
        rate: float = 1.5,
        temperature: float = 0.03,
        bandwidth: float = 1.0,
        radius: int = 3,
        patches: int = 9,
        until: float = 5 / 6,
    ) -> None:
        positive = {"rate": rate, "temperature": temperature, "bandwidth": bandwidth}
        check_positive(positive, of="InfoDrop")
        check_at_least(1, {"radius": radius, "patches": patches}, of="InfoDrop")
        check_between("[0, 1]", {"until": until}, of="InfoDrop")
        super().__init__(model, [], probability=1.0)
        self.window, self.pooling = _patches(model, convolution), _pooling(model, layer)
        _check_sizes(model, image, convolution, layer, self.pooling)
        LayerChange(model, convolution, self.look)  # before the layer, which may be the same
        LayerChange(model, layer, self.changed)
        self.rate, self.temperature, self.bandwidth = rate, temperature, bandwidth
        self.radius, self.patches, self.until = radius, patches, until
        self.active, self.repeated = True, torch.empty(0)

    def forward(self, batch: Batch, progress: float = 0.0) -> Batch:
        """Return the same batch object, and note whether positions are still dropped."""
        self.active = progress < self.until
        return batch

    @torch.no_grad()
    def look(self, inputs: tuple[Any, ...], output: Tensor) -> Tensor:
        """Compute the repetition of patches of the convolution's input; its output stays."""
        if self.active:
            size = (self.patches,)
            rows, columns = (torch.randint(-self.radius, self.radius + 1, size) for _ in range(2))
            precise = inputs[0].to(torch.promote_types(inputs[0].dtype, torch.float32))
            with torch.autocast(precise.device.type, enabled=False):
                offsets = torch.stack([rows, columns], dim=1)
                self.repeated = repetition(precise, offsets, self.window, bandwidth=self.bandwidth)
        return output

    def change(self, activation: Tensor) -> Tensor:
        """Set the drawn positions of each channel to 0."""
        if not self.active:
            return activation
        q = self.repeated if self.pooling is None else -self.pooling(-self.repeated)
        chances = position_chances(q, self.temperature)
        return activation * kept_positions(chances, activation, self.rate).to(activation.dtype)


def position_chances(repeated: Tensor, temperature: float) -> Tensor:
    r"""Probabilities of positions, proportional to :math:`q^{1/T}` in each image.

    Args:
        repeated: ``(N, 1, H, W)`` float q in [0, 1].
        temperature: T, positive.

    Returns:
        Same shape, with a sum of 1 per image.
    """
    # relative to the largest, since small q to the power 1/T are all 0 in float32
    least = torch.finfo(repeated.dtype).tiny
    largest = repeated.amax(dim=(2, 3), keepdim=True).clamp(min=least)
    powers = (repeated.clamp(min=least) / largest) ** (1 / temperature)
    return powers / powers.sum(dim=(2, 3), keepdim=True)


@torch.no_grad()
def kept_positions(chances: Tensor, activation: Tensor, rate: float) -> Tensor:
    """A mask that is 0 at positions drawn with replacement, by torch's global generators.

    Args:
        chances: ``(N, 1, H, W)`` float, probability of each position.
        activation: ``(N, C, H, W)``; only the shape is used. Channels are drawn apart.
        rate: number of draws per channel, as a multiple of H W; at least one is made.

    Returns:
        ``(N, C, H, W)`` bool.
    """
    channels, every = activation.shape[1], chances.flatten(1) + 1e-8
    # one row per image, whose draws are dealt to its channels: its sums are computed once
    count = max(1, int(rate * every.shape[1]))
    drawn = torch.multinomial(every, channels * count, replacement=True)
    kept = torch.ones(len(every), channels, every.shape[1], dtype=torch.bool, device=every.device)
    kept.scatter_(2, drawn.view(len(every), channels, count), False)
    return kept.view(activation.shape)


def _patches(model: nn.Module, name: str) -> Window:
    """The patches of a named convolution."""
    layer = find_layer(model, name)
    if not isinstance(layer, nn.Conv2d) or layer.groups > 1:
        raise InputError(
            f"augment.convolution={name} is no convolution of all channels: name an nn.Conv2d"
        )
    if isinstance(layer.padding, str) or type(layer).forward is not nn.Conv2d.forward:
        raise InputError(
            f"augment.convolution={name} is a {type(layer).__name__} with a padding or gradient of "
            "its own: name a plain nn.Conv2d with a padding in numbers (model.first_layer=tract "
            "replaces the first one)"
        )
    return Window(layer.kernel_size, layer.stride, layer.padding, layer.dilation)


def _pooling(model: nn.Module, name: str) -> nn.MaxPool2d | None:
    """A max pooling as the named layer, without its hooks; ``None`` if the layer is another one."""
    layer = find_layer(model, name)
    if not isinstance(layer, nn.MaxPool2d):
        return None
    window = layer.kernel_size, layer.stride, layer.padding, layer.dilation
    return nn.MaxPool2d(*window, ceil_mode=layer.ceil_mode)


def _check_sizes(
    model: nn.Module, image: Tensor, convolution: str, layer: str, pooling: nn.MaxPool2d | None
) -> None:
    size = layer_shape(model, convolution, image)[1:]
    if pooling is not None:
        size = tuple(pooling(image.new_zeros(1, *size)).shape[1:])
    shape = layer_shape(model, layer, image)
    if shape[1:] != size:
        raise InputError(
            f"augment.layer={layer} gives {shape}, and {convolution} has {size} positions for it: "
            f"name {convolution}, a later layer of its size, or the max pooling after it"
        )
