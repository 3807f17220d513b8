"""Compares shape-texture training and style transfer with the authors' loop and networks."""

from collections.abc import Iterator
from copy import deepcopy
from functools import partial
from types import SimpleNamespace
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from debias.models.style_networks import REDUCTION, adain, style_decoder, style_encoder
from debias.strategies.shape_texture import ShapeTexture
from debias.types import Batch
from parity_checks.cases import BodyNetwork, Replaced, apart, bare, draws
from parity_checks.games import descent, play
from parity_checks.official import Clones, Piece
from parity_checks.rows import Row

CODE, STEPS, SHARE = "LiYingwei/ShapeTextureDebiasedTraining", 8, 0.2
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


class Small(BodyNetwork):
    """A convolution, a batch normalisation of a given kind, and a head."""

    def __init__(self, norm: Any) -> None:
        body = nn.Sequential(nn.Conv2d(3, 4, 3), norm(4), nn.Tanh(), nn.Flatten())
        super().__init__(body, nn.Linear(64, 3))


class Logits(Small):
    """The same network, which returns its logits alone."""

    def forward(self, image: Tensor) -> Any:
        return super().forward(image).logits


def shape_texture(clones: Clones) -> Iterator[Row]:
    norms = clones.take(CODE, "aux_bn.py", "MixBatchNorm2d")
    train = _loop(clones)
    generator = SimpleNamespace(permutation=torch.arange(6))
    drawn = Replaced(torch, {"randperm": lambda count: generator.permutation})
    styles = clones.take(CODE, "models/AdaIN.py", "StyleTransfer", space={"torch": drawn})

    def case(seed: int) -> float:
        torch.manual_seed(seed)
        pixels, target = torch.rand(STEPS, 6, 3, 6, 6), torch.randint(3, (STEPS, 6))
        generator.permutation = torch.randperm(6)
        ours, theirs = Small(nn.BatchNorm2d), Logits(norms["MixBatchNorm2d"])
        strategy = ShapeTexture(ours)
        theirs.load_state_dict(ours.state_dict(), strict=False)
        theirs.body[1].batch_type = "mix"
        style = _style(styles)
        loader = list(zip(pixels, target, strict=True))
        loss = nn.CrossEntropyLoss(reduction="none")
        given = (loader, theirs, loss, descent(theirs.parameters()), 0, False)
        train["train"](*given, None, mixbn=True, style_transfer=style, writer=None)
        play(ours, strategy, [_batch(*each, generator.permutation) for each in loader])
        assert strategy.norms is not None
        sides = ([theirs.body[0], theirs.body[1].aux_bn, theirs.head], ours, strategy.norms)
        return _apart(*sides, theirs.body[1])

    compared = (
        "network and both batch normalisations, with their statistics, after 8 steps on images and "
        "copies with AdaIN on pixels: targets of 0.8 and 0.2"
    )
    yield train.row("shape_texture", compared, map(case, range(4)), bar=1e-10)


def _loop(clones: Clones) -> Piece:
    """Their training loop, without what it prints."""
    criterion = clones.take(CODE, "augmentations/mixup.py", "mixup_criterion")["mixup_criterion"]
    meter = SimpleNamespace(update=lambda *_: None, avg=0.0, val=0.0)
    none = SimpleNamespace(mixup=0.0, cutmix=0.0, warm=0, lr_schedule="step", multi_grid=False)
    nothing = torch.zeros(())
    space: dict[str, Any] = {"AverageMeter": lambda: meter, "Bar": lambda *_, **__: Bar()}
    space |= {"args": none, "accuracy": lambda *_, **__: (nothing, nothing)}
    space |= {"mixup_criterion": criterion, "time": SimpleNamespace(time=float)}
    return clones.take(CODE, "imagenet.py", "train", space=space)


def _style(styles: Piece) -> Any:
    """Their style transfer, with AdaIN on pixels in place of its networks."""
    code = styles["StyleTransfer"]

    def transfer(content: Tensor, style: Tensor, alpha: float) -> Tensor:
        swapped = code.adaptive_instance_normalization(content, style)
        return alpha * swapped + (1 - alpha) * content

    made = type("Transfer", (code,), {"style_transfer": staticmethod(transfer)})
    return partial(bare(made, {}), alpha=0.5, label_mix_alpha=SHARE)


def _batch(pixels: Tensor, target: Tensor, partner: Tensor) -> Batch:
    """Our batch: normalised images, and one view in the style of the partner."""
    mean, std = (torch.tensor(value).view(3, 1, 1) for value in (MEAN, STD))
    styled = pixels.lerp(adain(pixels, pixels[partner]), 0.5)
    classes = F.one_hot(target, 3).to(pixels.dtype)
    mixed = (1 - SHARE) * classes + SHARE * classes[partner]
    rows = torch.arange(len(target))
    copied = Batch((styled - mean) / std, mixed, rows, rows)
    return Batch((pixels - mean) / std, target, rows, rows, views=(copied,))


def _apart(theirs: list[nn.Module], ours: Small, norms: Any, main: Any) -> float:
    pairs = list(zip(theirs, (ours.body[0], norms.layers[0], ours.head), strict=True))
    gaps = [
        apart(one, two)
        for first, second in pairs
        for one, two in zip(first.state_dict().values(), second.state_dict().values(), strict=True)
    ]
    own = ours.body[1].state_dict()
    return max(*gaps, *(apart(main.state_dict()[key], value) for key, value in own.items()))


class Bar:
    """Their progress bar, which shows nothing."""

    elapsed_td = eta_td = suffix = ""

    def next(self) -> None:
        """Show nothing."""

    finish = next


def style_transfer(clones: Clones) -> Iterator[Row]:
    names = ("vgg", "decoder", "StyleTransfer")

    def case(seed: int) -> float:
        torch.manual_seed(seed)
        code = clones.take(CODE, "models/AdaIN.py", *names)
        for weight in (*code["vgg"].parameters(), *code["decoder"].parameters()):
            if weight.ndim > 1:  # by default the maps of later layers are nearly constant
                nn.init.kaiming_normal_(weight)
        encoder, decoder = style_encoder(), style_decoder()
        encoder.load_state_dict(_first(code["vgg"].state_dict(), encoder))
        decoder.load_state_dict(code["decoder"].state_dict())
        vgg = nn.Sequential(*list(code["vgg"].children())[:31])
        theirs = type("Transfer", (code["StyleTransfer"],), {"__init__": lambda self: None})()
        theirs.vgg, theirs.decoder = vgg, deepcopy(code["decoder"])
        content, style = torch.rand(2, 2, 3, 2 * REDUCTION, 3 * REDUCTION, generator=draws(seed))
        own = encoder(content)
        drawn = decoder(own.lerp(adain(own, encoder(style)), 0.5))
        return apart(theirs.style_transfer(content, style, alpha=0.5), drawn)

    compared = "pictures drawn by an encoder and a decoder with random weights, alpha 0.5"
    code = clones.take(CODE, "models/AdaIN.py", "StyleTransfer")
    yield code.row("style_transfer", compared, map(case, range(2)), bar=1e-12)


def _first(state: dict[str, Tensor], network: nn.Module) -> dict[str, Tensor]:
    return {key: state[key] for key in network.state_dict()}
