"""Grad-CAM maps, which show where a model sees evidence for a class; also for transformers."""

import math
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from typing import Any, NamedTuple, TypeAlias

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from debias.errors import InputError, check_one_of
from debias.models.layers import (
    evaluating,
    find_layer,
    first_entry,
    gives_channels_last,
    unwrapped,
)
from debias.types import Outputs

#: The most class and register tokens that are looked for in a transformer not of timm.
MOST_PREFIX_TOKENS = 16
#: How the channels of a layer are weighted in a map.
CAMS = ("grad_cam", "xgrad_cam")
#: Added to a channel's sum, which XGrad-CAM divides by, as in the package grad-cam.
EPSILON = 1e-7

#: Gives the outputs of a model, such as :meth:`debias.strategies.Strategy.classify`.
Classify: TypeAlias = Callable[[nn.Module, Tensor], Outputs]


def grad_cam(
    model: nn.Module,
    image: Tensor,
    *,
    target: Tensor | int,
    layer: str | None = None,
    absolute: bool = False,
    upsample: bool = True,
    cam: str = "grad_cam",
    classify: Classify | None = None,
) -> Tensor:
    r"""Grad-CAM maps of a classifier, scaled to [0, 1] image by image.

    .. math:: \mathrm{relu}\Big(\sum_c A_c \; \tfrac{1}{hw} \textstyle\sum_p
              \partial z_t / \partial A_{cp}\Big), \qquad\text{then}\quad
              (a - \min a) / (\max a - \min a)

    with A the activation of one layer and :math:`z_t` the logit of the target. XGrad-CAM weights
    each channel by its share of the logit instead of its mean gradient:

    .. math:: \mathrm{relu}\Big(\sum_c A_c \; \frac{\sum_p A_{cp}\,
              \partial z_t / \partial A_{cp}}{\sum_p A_{cp}}\Big)

    captum's ``LayerGradCam`` computes Grad-CAM (``pip install "debias-vision[attribution]"``).
    Tokens of a transformer are arranged as maps, without class and register tokens.

    Source: Selvaraju et al., "Grad-CAM: Visual Explanations from Deep Networks via Gradient-based
    Localization", ICCV 2017; Fu et al., "Axiom-based Grad-CAM", BMVC 2020 (XGrad-CAM).

    Args:
        model: maps images to :class:`debias.types.Outputs`; not compiled. The model and its
            gradients are not changed.
        image: ``(N, 3, H, W)`` float, normalised.
        target: ``(N,)`` int64 class, or label when multi-label. An int applies to all images.
        layer: dotted name, as for :func:`debias.models.layers.read_layer`. ``None`` means
            :func:`last_map_layer`.
        absolute: explain :math:`|z_t|` instead of :math:`z_t`, so that the map shows the evidence
            for the predicted "present" or "absent". Attention-IoU does so when multi-label.
        upsample: whether to resize the maps bilinearly to the size of the image.
        cam: "grad_cam" or "xgrad_cam".
        classify: function that gives the outputs of the model, such as
            :meth:`debias.strategies.Strategy.classify`. ``None`` calls the model.

    Returns:
        ``(N, H, W)`` float32 in [0, 1], or ``(N, h, w)`` at the resolution of the layer. A map is 0
        everywhere if there is no evidence for the target, or equal evidence at every place.

    Raises:
        ValueError: the layer does not exist, or gives neither a map nor one token per patch;
            ``cam`` is unknown; or Grad-CAM lacks captum.

    Differs from the reference: the minimum is subtracted, as in Attention-IoU. Grad-CAM itself ends
    with the relu.
    """
    check_one_of(CAMS, {"cam": cam})
    layer = layer or last_map_layer(model, image)
    if cam == "xgrad_cam":
        options: dict[str, Any] = {"absolute": absolute, "classify": classify}
        maps = _xgrad_cam(layer_gradient(model, image, target=target, layer=layer, **options))
    else:
        explainer, routed = _captum(), _Routed(model, absolute=absolute, classify=classify)
        with evaluating(model), routed.through(layer, image):
            explanation = explainer(routed, routed.maps)
            maps = explanation.attribute(image.detach(), target, relu_attributions=True)
    maps = maps.detach().float()
    if upsample:
        maps = F.interpolate(maps, size=image.shape[-2:], mode="bilinear", align_corners=False)
    return _min_max(maps.squeeze(1))


class LayerGradient(NamedTuple):
    """The map of a layer, and the gradient of a logit with respect to it: ``(N, C, h, w)`` both."""

    activation: Tensor
    gradient: Tensor


def layer_gradient(
    model: nn.Module,
    image: Tensor,
    *,
    target: Tensor | int,
    layer: str | None = None,
    absolute: bool = False,
    classify: Classify | None = None,
) -> LayerGradient:
    """What Grad-CAM is made of, without captum: a layer's map, and the gradient of a logit.

    Args:
        model, image, target, layer, absolute, classify: as for :func:`grad_cam`.

    Raises:
        ValueError: as :func:`grad_cam`.
    """
    routed = _Routed(model, absolute=absolute, classify=classify)
    seen: list[Tensor] = []

    def leaf(module: nn.Module, inputs: Any, output: Tensor) -> Tensor:
        """Pass on the map as a leaf, so that frozen networks have a gradient too."""
        seen.append(output.detach().requires_grad_())
        return seen[0]

    through = routed.through(layer or last_map_layer(model, image), image)
    with evaluating(model), through, torch.enable_grad(), routed.maps.register_forward_hook(leaf):
        logits = routed(image.detach())
        column = torch.as_tensor(target, device=logits.device).expand(len(logits))
        chosen = logits.gather(1, column[:, None]).sum()
        (gradient,) = torch.autograd.grad(chosen, seen)
    return LayerGradient(seen[0].detach(), gradient)


def last_map_layer(model: nn.Module, image: Tensor) -> str:
    """Name of the last layer of a model with spatial positions on which the logits depend.

    In a convolutional network it is the last stage. In a transformer it is the normalisation before
    the last attention, because after it the logits may depend on the class token only. timm's
    networks list their stages. Of others, one pass finds the last layer that gives a map, or the
    last normalisation of a transformer whose patch tokens have an influence on the features.

    Args:
        model: maps images to :class:`debias.types.Outputs`.
        image: ``(N, 3, H, W)`` float; only the first image is used.

    Raises:
        ValueError: the network does not list its stages, and gives neither a map nor such tokens.
    """
    network = getattr(unwrapped(model), "backbone", None)
    # timm's list of stages, from the image to the head
    stages: Any = getattr(network, "feature_info", None)
    if not stages:
        return _last_map_by_pass(model, network, image[:1])
    last: str = stages[-1]["module"]
    return f"{last}.norm1" if hasattr(find_layer(model, last), "norm1") else last


@torch.no_grad()
def _last_map_by_pass(model: nn.Module, network: Any, image: Tensor) -> str:
    names = {each: name for name, each in network.named_modules() if name}
    shapes: list[tuple[str, tuple[int, ...]]] = []

    def note(module: nn.Module, inputs: Any, output: Any) -> None:
        """Note the shape of a layer's output."""
        given = first_entry(output)
        if isinstance(given, Tensor):
            shapes.append((names[module], tuple(given.shape)))

    with evaluating(model), ExitStack() as hooks:
        for module in names:
            hooks.enter_context(module.register_forward_hook(note))
        model(image)
    placed = [
        (name, shape)
        for name, shape in shapes
        if (len(shape) == 4 and math.prod(shape[2:]) > 1) or (len(shape) == 3 and shape[1] > 1)
    ]
    if placed and len(placed[-1][1]) == 4:
        return placed[-1][0]
    if placed and (name := _last_read_tokens(model, network, image)):
        return name
    raise InputError(
        f"{type(network).__name__} does not name its stages, and its last layers give no maps: set "
        "layer to the name of the layer to explain, in a transformer the normalisation before the "
        "last attention"
    )


@torch.enable_grad()
def _last_read_tokens(model: nn.Module, network: Any, image: Tensor) -> str:
    """Name of the last normalisation whose tokens have an influence on the features, or "".

    The influence of most tokens must not be zero: after the last attention of many transformers,
    only that of the class token is not.
    """
    given: dict[str, Tensor] = {}

    def note(name: str, module: nn.Module, inputs: Any, output: Any) -> None:
        """Note the output of a layer if it is tokens."""
        if isinstance(output, Tensor) and output.ndim == 3 and output.requires_grad:
            given[name] = output

    with evaluating(model), ExitStack() as hooks:
        for name, module in network.named_modules():
            if "Norm" in type(module).__name__:
                hooks.enter_context(module.register_forward_hook(partial(note, name)))
        # also of a frozen network
        features = model(image.detach().clone().requires_grad_()).features
    # not the logits, since a new head may be zero; nor a plain sum, which a normalisation may fix
    read = (features * torch.arange(1, features.shape[1] + 1).to(features)).sum()
    for name, tokens in reversed(given.items()):
        (gradient,) = torch.autograd.grad(read, tokens, retain_graph=True, materialize_grads=True)
        if (gradient.abs().sum(dim=2) > 0).double().mean() > 0.5:
            return name
    return ""


class _Routed(nn.Module):
    """A classifier in the form that captum needs: it returns logits, not ``Outputs``.

    Its submodule ``maps`` passes on the output of one layer, so that captum can read it there.
    """

    def __init__(
        self,
        model: nn.Module,
        *,
        absolute: bool,
        classify: Classify | None,
    ) -> None:
        super().__init__()
        self.classify = classify or nn.Module.__call__
        self.model = unwrapped(model)
        self.maps = nn.Identity()
        self.absolute = absolute

    def forward(self, image: Tensor) -> Tensor:
        """``(N, C)`` logits of ``(N, 3, H, W)`` images, or their absolute values."""
        logits: Tensor = self.classify(self.model, image).logits
        return logits.abs() if self.absolute else logits

    @contextmanager
    def through(self, layer: str, image: Tensor) -> Iterator[None]:
        """Within this context, the layer's output goes through ``maps`` as ``(N, C, h, w)``."""
        network: Any = self.model.backbone
        chosen = find_layer(self.model, layer)
        channels_last = gives_channels_last(self.model, chosen)

        def routed(output: Any) -> Tensor:
            """Pass an output through ``maps``, and restore its own shape."""
            if isinstance(output, Tensor) and output.ndim == 3:
                return self._tokens(output, _grid(network, output, layer, image))
            if not isinstance(output, Tensor) or output.ndim != 4:
                raise InputError(
                    f"layer {layer!r} gives neither a map (N, C, H, W) nor tokens (N, T, D): name "
                    "another layer"
                )
            if channels_last:
                return self.maps(output.permute(0, 3, 1, 2)).permute(0, 2, 3, 1)  # type: ignore[no-any-return]
            return self.maps(output)  # type: ignore[no-any-return]

        def route(module: nn.Module, inputs: Any, output: Any) -> Any:
            """Route the layer's output, or the first entry of the tuple that it gives."""
            changed = routed(first_entry(output))
            return (changed, *output[1:]) if isinstance(output, tuple) else changed

        with chosen.register_forward_hook(route):
            yield

    def _tokens(self, tokens: Tensor, grid: tuple[int, int]) -> Tensor:
        patches = grid[0] * grid[1]
        prefix = tokens[:, : tokens.shape[1] - patches]
        maps = self.maps(tokens[:, -patches:].mT.reshape(len(tokens), -1, *grid))
        return torch.cat((prefix, maps.flatten(2).mT), dim=1)


def _grid(network: Any, tokens: Tensor, layer: str, image: Tensor) -> tuple[int, int]:
    """Rows and columns of the patch tokens, which follow the class and register tokens.

    timm's networks say how many these are, ``num_prefix_tokens``. In others they are the fewest
    without which the rest is a grid of the image's shape. The patches must be square.
    """
    height, width = image.shape[-2:]
    said = getattr(network, "num_prefix_tokens", None)
    for prefix in range(MOST_PREFIX_TOKENS) if said is None else [int(said)]:
        patches = max(tokens.shape[1] - prefix, 0)
        rows = max(round(math.sqrt(patches * height / width)), 1)
        columns = patches // rows
        of_this_shape = said is not None or (patches > 1 and rows * width == columns * height)
        if rows * columns == patches and of_this_shape:
            return rows, columns
    raise InputError(
        f"layer {layer!r} gives {tokens.shape[1]} tokens, which are not one per patch of a "
        f"{height} x {width} image and a class token: name a layer with one token per patch"
    )


def _min_max(maps: Tensor) -> Tensor:
    least, greatest = maps.amin(dim=(1, 2), keepdim=True), maps.amax(dim=(1, 2), keepdim=True)
    spread = greatest - least
    return (maps - least) / torch.where(spread > 0, spread, 1)


def _xgrad_cam(given: LayerGradient) -> Tensor:
    """``(N, 1, h, w)`` maps, at least 0."""
    products, total = given.activation * given.gradient, given.activation.sum(dim=(2, 3))
    weights = products.sum(dim=(2, 3)) / (total + EPSILON)
    return (given.activation * weights[:, :, None, None]).sum(dim=1, keepdim=True).relu()


def _captum() -> Any:
    try:
        from captum.attr import LayerGradCam
    except ImportError:
        remedy = 'pip install "debias-vision[attribution]"'
        raise InputError(f"Grad-CAM needs captum: {remedy}") from None
    return LayerGradCam
