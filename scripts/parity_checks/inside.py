"""Compares changes of layers inside a network with the authors' modules, in whole trainings."""

from collections import OrderedDict
from collections.abc import Callable, Iterator
from copy import deepcopy
from types import SimpleNamespace
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from debias.augment.feature_styles import EFDMix, MixStyle, PermutedAdaIN
from debias.augment.info_drop import InfoDrop
from debias.models.first_layer import TrActConvolution
from debias.types import Outputs
from parity_checks.cases import Replaced, apart, draws
from parity_checks.games import descent, states_apart
from parity_checks.official import Clones, Piece
from parity_checks.rows import Row

#: Draws as ours do, so that both sides get the same numbers from one seed.
SPACE = {"random": SimpleNamespace(random=lambda: float(torch.rand(())))}
STEPS = 12


class Convolutional(nn.Module):
    """Two layers of maps, after each of which an own module may follow, and three logits."""

    def __init__(self) -> None:
        super().__init__()
        self.layer1 = nn.Sequential(nn.Conv2d(3, 5, 3), nn.Identity(), nn.BatchNorm2d(5))
        self.layer2 = nn.Sequential(nn.Tanh(), nn.Conv2d(5, 6, 3), nn.Identity())
        self.head = nn.Linear(6, 3)

    def forward(self, image: Tensor) -> Outputs:
        features = self.layer2(self.layer1(image)).tanh().mean((2, 3))
        return Outputs(self.head(features), features)


def mixstyle(clones: Clones) -> Iterator[Row]:
    path = "reid/models/mixstyle.py"
    code = clones.take("KaiyangZhou/mixstyle-release", path, "MixStyle", space=SPACE)
    yield _mixed(code, "mixstyle", code["MixStyle"], MixStyle)


def efdmix(clones: Clones) -> Iterator[Row]:
    path = "DomainGeneralization/reid/models/efdmix.py"
    code = clones.take("YBZh/EFDM", path, "EFDMix", space=SPACE)
    yield _mixed(code, "efdmix", code["EFDMix"], EFDMix)


def _mixed(code: Piece, name: str, theirs: Any, ours: Any) -> Row:
    def case(seed: int) -> float:
        p, alpha = (0.5, 0.9, 0.7)[seed % 3], (0.1, 1.0)[seed % 2]

        def add(model: Convolutional) -> None:
            model.layer1.append(theirs(p=p, alpha=alpha))
            model.layer2.append(theirs(p=p, alpha=alpha))

        def change(model: Convolutional) -> None:
            ours(model, torch.zeros(1, 3, 8, 8), probability=p, alpha=alpha)

        return _trained_apart(seed, add, change)

    compared = (
        f"networks after {STEPS} steps, with changes after two layers; p 0.5 to 0.9, alpha 0.1, 1"
    )
    return code.row(name, compared, map(case, range(6)), bar=1e-10)


def padain(clones: Clones) -> Iterator[Row]:
    names = ("calc_mean_std", "adaptive_instance_normalization", "PermuteAdaptiveInstanceNorm2d")
    code = clones.take("onuriel/PermutedAdaIN", "permutedAdaIN.py", *names, space=SPACE)

    def case(seed: int) -> float:
        p = (0.3, 0.9)[seed % 2]

        def add(model: Convolutional) -> None:
            model.layer1[1] = code["PermuteAdaptiveInstanceNorm2d"](p=p)
            model.layer2[2] = code["PermuteAdaptiveInstanceNorm2d"](p=p)

        def change(model: Convolutional) -> None:
            PermutedAdaIN(model, torch.zeros(1, 3, 8, 8), probability=p)

        return _trained_apart(seed, add, change)

    compared = f"networks after {STEPS} steps, with changes after two convolutions; p 0.3 and 0.9"
    yield code.row("padain", compared, map(case, range(6)), bar=1e-10)


def info_drop(clones: Clones) -> Iterator[Row]:
    space = {
        "finetune_wo_infodrop": False,
        "torch": Replaced(torch, {"ones": _ones, "arange": _range}),
    }
    path = "domain_generalization/models/resnet.py"
    code = clones.take("bfshi/InfoDrop", path, "random_sample", "Info_Dropout", space=space)

    def case(seed: int) -> float:
        pools = seed % 2 == 1
        generator = draws(seed)
        stem = nn.Conv2d(3, 4, 3, stride=2, padding=1)
        pooling = nn.MaxPool2d(3, 2, 1) if pools else nn.Identity()
        model: Any = nn.Sequential(OrderedDict(conv1=stem, maxpool=pooling))
        image = torch.randn(6, 3, 16, 16, generator=generator)
        pool = {"if_pool": True, "pool_kernel_size": 3, "pool_stride": 2, "pool_padding": 1}
        theirs = code["Info_Dropout"](3, 4, 3, stride=2, padding=1, **(pool if pools else {}))
        theirs = theirs.double()
        plain = model(image)
        InfoDrop(model, image[:1])
        torch.manual_seed(seed)
        dropped = theirs(image, plain)
        torch.manual_seed(seed)
        return apart(dropped, model(image))

    compared = "maps after a drop with the same draws; with and without max pooling"
    yield code.row("info_drop", compared, map(case, range(6)), bar=1e-12)


def tract(clones: Clones) -> Iterator[Row]:
    names = ("TrActConv2DFunction", "TrActConv2d")
    code = clones.take("Felix-Petersen/tract", "src/tract.py", *names)

    def case(seed: int) -> float:
        ridge = (0.1, 1.0)[seed % 2]

        def add(model: Convolutional) -> None:
            plain = model.layer1[0]
            model.layer1[0] = code["TrActConv2d"](3, 5, 3, lambda_=ridge)
            model.layer1[0].load_state_dict(plain.state_dict())

        def change(model: Convolutional) -> None:
            model.layer1[0] = TrActConvolution(model.layer1[0], ridge=ridge)

        return _trained_apart(seed, add, change)

    compared = f"networks after {STEPS} steps with the first convolution changed; lambda 0.1 and 1"
    yield code.row("tract", compared, map(case, range(6)), bar=1e-10)


def _ones(*shape: Any, **options: Any) -> Tensor:
    return torch.ones(*shape)


def _range(*ends: Any, **options: Any) -> Tensor:
    return torch.arange(*ends)


def _trained_apart(
    seed: int, add: Callable[[Convolutional], None], change: Callable[[Convolutional], None]
) -> float:
    """The difference of two networks after a training: one with their modules, one with ours."""
    generator = draws(seed)
    torch.manual_seed(seed)
    theirs = Convolutional()
    ours = deepcopy(theirs)
    add(theirs)
    change(ours)
    optimizers = [descent(model.parameters()) for model in (theirs, ours)]
    for step in range(STEPS):
        image = torch.randn(8, 3, 8, 8, generator=generator)
        target = torch.randint(3, (8,), generator=generator)
        for model, optimizer in zip((theirs, ours), optimizers, strict=True):
            torch.manual_seed(100 * seed + step)
            optimizer.zero_grad()
            F.cross_entropy(model(image).logits, target).backward()
            optimizer.step()
    return states_apart([theirs], [ours])
