"""Compares the three updates of SagNet with the authors' loop."""

from collections import OrderedDict
from collections.abc import Iterator
from copy import deepcopy
from types import SimpleNamespace
from typing import Any

import torch
from torch import Tensor, nn

from debias.strategies.sagnet import SagNet
from debias.types import Batch, Outputs
from parity_checks.cases import apart, draws
from parity_checks.games import CLASSES, descent
from parity_checks.official import Clones, Piece
from parity_checks.rows import Row

REPOSITORY = "hyeonseobnam/sagnet"
STEPS = 12
#: Where their training updates the style network, the early layers, and the whole network.
SAGNET_LINES = ((352, 355), (358, 363), (366, 369))


class Staged(nn.Module):
    """Two stages of maps in a backbone, and three logits."""

    def __init__(self) -> None:
        super().__init__()
        layer1 = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Tanh())
        layer2 = nn.Sequential(nn.Conv2d(4, 5, 3), nn.BatchNorm2d(5), nn.Tanh())
        pool = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten())
        self.backbone = nn.Sequential(OrderedDict(layer1=layer1, layer2=layer2, pool=pool))
        self.head, self.feature_size = nn.Linear(5, 3), 5

    def forward(self, image: Tensor) -> Outputs:
        features = self.backbone(image)
        return Outputs(self.head(features), features)


class Paths(nn.Module):
    """Copies of the networks with the authors' randomisations, each after the same draws."""

    def __init__(self, model: Staged, style: nn.Module, code: Piece) -> None:
        super().__init__()
        self.model, self.style = model, style
        self.on_style, self.on_content = (
            code["StyleRandomization"](),
            code["ContentRandomization"](),
        )

    def adv_params(self) -> list[nn.Parameter]:
        """Scales and shifts of the early layers."""
        return list(self.model.backbone.layer1[1].parameters())  # type: ignore[index, union-attr]

    def forward(self, image: Tensor, seed: int) -> tuple[Tensor, Tensor]:
        layer1, *later = self.model.backbone
        maps = layer1(image)
        torch.manual_seed(seed)
        contents = self.on_content(maps)
        torch.manual_seed(seed)
        maps = self.on_style(maps)
        for layer in later:
            maps = layer(maps)
        return self.model.head(maps), self.style(contents)


def sagnet(clones: Clones) -> Iterator[Row]:
    path = "modules/randomizations.py"
    code = clones.take(REPOSITORY, path, "StyleRandomization", "ContentRandomization")
    compared = (
        f"both networks after {STEPS} steps: three updates in their order, clipping; a forward "
        "pass and equal draws for each update"
    )
    gaps = [_trained(clones, code, seed) for seed in range(6)]
    yield code.row("sagnet", compared, gaps, bar=1e-10)


def _trained(clones: Clones, code: Piece, seed: int) -> float:
    """The difference after a training of both."""
    lines = [clones.lines(REPOSITORY, "train.py", *ends) for ends in SAGNET_LINES]
    generator, clip = draws(seed), (0.1, 1e-5)[seed % 2]
    torch.manual_seed(seed)
    model, options = Staged(), {"adversarial_weight": 0.3, "adversarial_clip": clip}
    ours = SagNet(CLASSES, model, torch.zeros(1, 3, 8, 8), layer="layer1", **options)
    theirs = Paths(deepcopy(model), deepcopy(ours.network), code)
    space = _space(clones, theirs, clip)
    players = ours.players(model)
    optimizers = {name: descent(owned) for name, owned in players.items()}
    for step in range(STEPS):
        image = torch.randn(8, 3, 8, 8, generator=generator)
        target = torch.randint(3, (8,), generator=generator)
        batch = Batch(image, target, target, target)
        for turn, piece in zip(ours.turns(step), lines, strict=True):
            torch.manual_seed(step)
            y, y_style = theirs(image, step)
            piece.run(space | {"y": y, "y_style": y_style, "label": target})
            torch.manual_seed(step)
            optimizers[turn.player].zero_grad()
            turn.objective(model, batch).total.backward(inputs=players[turn.player])
            optimizers[turn.player].step()
    pairs = ((theirs.model, model), (theirs.style, ours.network))
    found = [zip(one.parameters(), two.parameters(), strict=True) for one, two in pairs]
    return max(apart(p, q) for each in found for p, q in each)


def _space(clones: Clones, theirs: Paths, clip: float) -> dict[str, Any]:
    """What their lines read."""
    adversary = clones.take(REPOSITORY, "modules/loss.py", "AdvLoss")
    return {
        "model": SimpleNamespace(module=theirs),
        "args": SimpleNamespace(w_adv=0.3, clip_adv=clip),
        "criterion": nn.CrossEntropyLoss(), "criterion_adv": adversary["AdvLoss"](),
        "optimizer_style": descent(theirs.style.parameters()),
        "optimizer_adv": descent(theirs.adv_params()),
        "optimizer": descent(theirs.model.parameters()),
    }  # fmt: skip
