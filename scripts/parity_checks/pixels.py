"""Compares augmentations of pixels with the authors' code, at the same draws."""

from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from debias.augment.efdm import ExactHistogramMatching
from debias.augment.pixmix import PixMixDraws, pixmix, pixmix_draws
from debias.augment.spectrum import AmplitudePhasePair, with_low_amplitude
from debias.types import Batch
from parity_checks.cases import Replaced, apart, draws
from parity_checks.official import Clones, Piece
from parity_checks.rows import Row

MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
SHAPES = ((8, 8), (7, 9), (16, 12), (1, 5))


def apr_p(clones: Clones) -> Iterator[Row]:
    partner: list[Tensor] = []
    space = {
        "random": SimpleNamespace(uniform=lambda low, high: 0.0),
        "torch": Replaced(torch, {"randperm": lambda count: partner[-1]}),
    }
    code = clones.take("iCGY96/APR", "core/train.py", "mix_data", space=space)

    def case(seed: int) -> float:
        method = AmplitudePhasePair(MEAN, STD, torch.zeros, probability=1.0).double()
        pixels, changed = _changed(method, seed, partner)
        return apart(code["mix_data"](pixels, use_cuda=False), changed)

    compared = "the augmentation of whole batches, in pixels; 4 sizes, the same partners"
    yield code.row("apr_p", compared, map(case, range(16)), bar=1e-12)


def fda(clones: Clones) -> Iterator[Row]:
    names = ("low_freq_mutate_np", "FDA_source_to_target_np")
    code = clones.take("YanchaoYang/FDA", "utils/__init__.py", *names)

    def case(seed: int) -> float:
        image, partner = _pixels(seed), _pixels(seed + 100)
        window = (0.0, 0.01, 0.05, 0.09, 0.3)[seed % 5]
        theirs = [
            code["FDA_source_to_target_np"](one.numpy(), other.numpy(), L=window)
            for one, other in zip(image, partner, strict=True)
        ]
        return apart(np.stack(theirs), with_low_amplitude(image, partner, window=window))

    compared = "NumPy version: the changed images; 4 sizes, L 0 to 0.3"
    yield code.row("fda", compared, map(case, range(20)), bar=1e-12)


def efdm(clones: Clones) -> Iterator[Row]:
    name, partner = "exact_feature_distribution_matching", list[Tensor]()
    code = clones.take("YBZh/EFDM", "ArbitraryStyleTransfer/function.py", name)

    def case(seed: int) -> float:
        method = ExactHistogramMatching(MEAN, STD, torch.zeros, probability=1.0).double()
        pixels, changed = _changed(method, seed, partner)
        return apart(code[name](pixels, pixels[partner[-1]]), changed)

    compared = "the augmentation of whole batches, in pixels; 4 sizes, the same partners"
    yield code.row("efdm", compared, map(case, range(16)), bar=1e-12)


def pixmix_rounds(clones: Clones) -> Iterator[Row]:
    script: list[float] = []
    given = {"np": Replaced(np, {"random": _Script(script)})}
    mixings = clones.take(
        "andyzoujm/pixmix", "pixmix_utils.py", "get_ab", "add", "multiply", space=given
    )
    utils = SimpleNamespace(mixings=[mixings["add"], mixings["multiply"]])
    args = SimpleNamespace(k=4, beta=3)
    space = {"utils": utils, "args": args, "augment_input": _operation, **given}
    code = clones.take("andyzoujm/pixmix", "cifar.py", "pixmix", space=space)
    compared = "all rounds of whole batches; 4 sizes, 0 to 4 rounds, the same draws and operations"
    gaps = (_pixmix_gap(code, script, seed) for seed in range(16))
    yield code.row("pixmix", compared, gaps, bar=1e-12)


def _pixmix_gap(code: Piece, script: list[float], seed: int) -> float:
    torch.manual_seed(seed)
    image, partner = _pixels(seed), _pixels(seed + 100)
    chosen = pixmix_draws(len(image), rounds=4, beta=3.0)
    same = {"tensorize": lambda picture: picture, "normalize": lambda picture: picture}
    theirs = []
    for row in range(len(image)):
        script[:] = _official_order(chosen, row)
        theirs.append(code["pixmix"](image[row], partner[row], same))
    return apart(torch.stack(theirs), pixmix(image, partner, chosen, _operation))


def _official_order(chosen: PixMixDraws, row: int) -> list[float]:
    """The draws of one image in the order of the authors' code, where below 0.5 means yes."""
    values = [1 - float(chosen.operated[row]), int(chosen.rounds[row])]
    for number in range(int(chosen.rounds[row])):
        own, by_product = bool(chosen.own[number, row]), int(chosen.multiplied[number, row])
        a, b = float(chosen.first[number, row]), float(chosen.second[number, row])
        values += [1 - own, by_product, float(b < 0), a - 1 if b < 0 else a, abs(b)]
    return values


class _Script:
    """Random functions of NumPy that return given values, one after the other."""

    def __init__(self, values: list[float]) -> None:
        self.values = values

    def random(self) -> float:
        return self.values.pop(0)

    def randint(self, high: int) -> int:
        return int(self.values.pop(0))

    def choice(self, options: list[Any]) -> Any:
        return options[int(self.values.pop(0))]

    def beta(self, first: float, second: float) -> float:
        return self.values.pop(0)


def _operation(image: Tensor) -> Tensor:
    return 1 - image.flip(-1)


def _pixels(seed: int) -> Tensor:
    return torch.rand(5, 3, *SHAPES[seed % 4], generator=draws(seed))


def _changed(method: Any, seed: int, partner: list[Tensor]) -> tuple[Tensor, Tensor]:
    """The pixels of a batch before and after an augmentation, whose partners are appended."""
    pixels, number = _pixels(seed), torch.arange(5)
    torch.manual_seed(seed)
    torch.rand(5)  # which images are changed
    partner.append(torch.randperm(5))
    torch.manual_seed(seed)
    image = method(Batch(method.space.normalised(pixels), number, number, number)).image
    return pixels, image * method.space.std + method.space.mean
