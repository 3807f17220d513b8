"""Whether maps change if the weights are drawn again, and whether they survive a little noise."""

import copy
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

#: Maps ``(N, h, w)`` of a model, of ``(N, 3, H, W)`` normalised images.
Explain = Callable[[nn.Module, Tensor], Tensor]

#: Stages below the head whose weights are drawn, one after another.
STAGES = 4
#: Noises per picture, and the greatest change of a pixel in [0, 1].
NOISES, RADIUS = 10, 1 / 255


class Randomised(NamedTuple):
    """Maps after the layers from the top down to one have new weights.

    Attributes:
        layer: name of the lowest layer with new weights.
        correlation: mean rank correlation of the maps with the original ones.
    """

    layer: str
    correlation: float


def randomised(
    model: nn.Module, image: Tensor, explain: Explain, *, draws: int = 3, seed: int
) -> list[Randomised]:
    """Draw the weights of a classifier again, layer by layer from the top, and compare its maps.

    Maps that stay the same do not depend on what the model has learnt.

    Source: Adebayo et al., "Sanity Checks for Saliency Maps", NeurIPS 2018 (cascading
    randomisation, rank correlation).

    Args:
        model: a :class:`debias.models.classifier.Classifier`; it is copied.
        image: ``(N, 3, H, W)`` float, normalised.
        explain: the maps of a model.
        draws: number of new weights, over which correlations are averaged.
        seed: seed of the weights.
    """
    before = explain(model, image)
    found: dict[str, list[float]] = {}
    for draw in range(draws):
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed + draw)
            for name, changed in _cascade(model):
                values = rank_correlations(before, explain(changed, image))
                found.setdefault(name, []).append(float(values.mean()))
    return [Randomised(name, float(np.mean(values))) for name, values in found.items()]


def _cascade(model: nn.Module) -> Iterator[tuple[str, nn.Module]]:
    """The model with a new head, then with the next lower stages new as well."""
    changed = copy.deepcopy(model)
    stages = list(_stages(changed.get_submodule("backbone")))
    for name in ("head", *(f"backbone.{stage}" for stage in stages[::-1][:STAGES])):
        for module in changed.get_submodule(name).modules():
            reset: Any = getattr(module, "reset_parameters", None)
            if reset is not None:
                reset()
        yield name, changed


def _stages(backbone: nn.Module) -> Iterator[str]:
    """Names of the children with weights, in order; of a sequence, those of its entries."""
    for name, child in backbone.named_children():
        inner = child.named_children() if isinstance(child, nn.Sequential) else ()
        for path, module in [(f"{name}.{key}", each) for key, each in inner] or [(name, child)]:
            if any(True for _ in module.parameters()):
                yield path


def rank_correlations(first: Tensor, second: Tensor) -> Tensor:
    """``(N,)`` float64: Spearman's correlation of each pair of maps; 0 if one map is constant.

    Args:
        first, second: ``(N, h, w)`` float.
    """
    from scipy.stats import rankdata

    ranks = [
        torch.from_numpy(rankdata(maps.flatten(1).double().numpy(), axis=1))
        for maps in (first, second)
    ]
    one, two = (each - each.mean(dim=1, keepdim=True) for each in ranks)
    scale = one.norm(dim=1) * two.norm(dim=1)
    return torch.where(scale > 0, (one * two).sum(dim=1) / scale, 0.0)


def instability(
    model: nn.Module,
    pixels: Tensor,
    explain: Explain,
    normalise: Callable[[Tensor], Tensor],
    *,
    generator: torch.Generator,
) -> Tensor:
    r"""Greatest relative change of each map under ten small noises.

    .. math:: \max_{\lVert \epsilon \rVert_\infty \le 1/255}
              \frac{\lVert \phi(x + \epsilon) - \phi(x) \rVert}{\lVert \phi(x) \rVert}

    Source: Yeh et al., "On the (In)fidelity and Sensitivity of Explanations", NeurIPS 2019;
    captum's ``sensitivity_max``.

    Args:
        model: the model.
        pixels: ``(N, 3, H, W)`` float in [0, 1].
        explain: the maps of a model.
        normalise: pixels to the input of the model.
        generator: source of the noises.

    Returns:
        ``(N,)`` float64; 0 for a map that is 0 before and after.
    """
    before = explain(model, normalise(pixels)).flatten(1).double()
    worst = torch.zeros(len(pixels), dtype=torch.float64)
    for _ in range(NOISES):
        noise = (torch.rand(pixels.shape, generator=generator) * 2 - 1) * RADIUS
        after = explain(model, normalise(pixels + noise)).flatten(1).double()
        worst = torch.maximum(worst, (after - before).norm(dim=1))
    result: Tensor = worst / before.norm(dim=1).clamp(min=1e-12)
    return result
