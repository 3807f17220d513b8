"""Compares methods that train on augmented views of images: RandConv, and consistency."""

import random
from collections.abc import Iterator
from copy import deepcopy
from functools import partial
from types import SimpleNamespace
from typing import Any

import torch
from torch import Tensor, nn

from debias.augment.random_convolution import RandomConvolution
from debias.losses.view_consistency import feature_distances
from debias.strategies.consistency import Consistency
from debias.types import Batch
from parity_checks.cases import apart, both, draws
from parity_checks.games import CLASSES, Normalised, batches, descent, play, states_apart
from parity_checks.official import Clones, Piece
from parity_checks.rows import Row

RANDCONV, VCLR = "wildphoton/RandConv", "Visual-AI/vCLR"


def random_convolution(clones: Clones) -> Iterator[Row]:
    names = ("RandConvModule", "RandConv2d", "MultiScaleRandConv2d")
    drawn = SimpleNamespace(random=random.random, randint=random.randint)
    space = {"collections": SimpleNamespace(Sequence=list), "random": drawn, "Conv2d": nn.Conv2d}
    code = clones.take(RANDCONV, "lib/networks/rand_conv.py", *names, space=space)

    def case(seed: int) -> float:
        image = torch.randn(5, 3, 9, 8, generator=draws(seed))
        rows, options = torch.arange(5), {"kernel_size": [1, 3, 5, 7], "mixing": seed % 2 == 1}
        theirs = code["RandConvModule"](**options)
        torch.manual_seed(seed)
        share, size = float(torch.rand(2)[1]), int(torch.randint(4, ()))
        drawn.random, drawn.randint = lambda: share, lambda low, high: size
        theirs.randomize()
        torch.manual_seed(seed)
        ours = RandomConvolution(identity=0.0, mix=options["mixing"])
        return apart(theirs(image), ours(Batch(image, rows, rows, rows)).image)

    compared = "filtered and blended images; filters of sides 1, 3, 5 and 7"
    yield code.row("random_convolution", compared, map(case, range(24)), bar=1e-12)


def consistency(clones: Clones) -> Iterator[Row]:
    meter = SimpleNamespace(update=lambda *_: None, avg=0.0, sum=0, count=0)
    space: dict[str, Any] = {"AverageMeter": lambda *_: meter, "trange": Bar}
    code = clones.take(RANDCONV, "randconv_trainer.py", "train_one_epoch", space=space)

    def case(seed: int) -> float:
        torch.manual_seed(seed)
        model, given = Normalised(), batches(seed)
        options: dict[str, Any] = {"clean": seed % 2 == 1, "strength": (5.0, 10.0)[seed // 2 % 2]}
        ours = Consistency(CLASSES, views=3 - seed % 2, **options)
        seen = [_with_views(batch, ours.views) for batch in given]
        network = nn.Sequential(deepcopy(model.body), deepcopy(model.head))
        _train(code, network, seen, options)
        play(model, ours, seen)
        return states_apart([network], [nn.Sequential(model.body, model.head)])

    compared = (
        "network after 12 steps, with its running means: three views, or the image and two; loss "
        "of the first one"
    )
    yield code.row("consistency", compared, map(case, range(8)), bar=1e-10)


def _with_views(batch: Batch, count: int) -> Batch:
    views = [batch._replace(image=batch.image + torch.randn_like(batch.image)) for _ in "v" * count]
    return batch._replace(views=tuple(views))


def _train(code: Piece, network: nn.Module, given: list[Batch], options: dict[str, Any]) -> None:
    """One epoch of their trainer, whose random module returns our views in their order."""
    views = iter([view.image for batch in given for view in batch.views or ()])
    trainer = SimpleNamespace(
        args=SimpleNamespace(train_all=False, rand_freq=1, consistency_loss=True,
                             augmix=options["clean"], consistency_loss_w=options["strength"]),
        rand_module=Drawn(views), metric_name="acc", metric=lambda *_: 0.0,
        n_steps_per_epoch=len(given), multi_augment=lambda image: image,
        writer=SimpleNamespace(add_scalar=lambda *_: None),
    )  # fmt: skip
    loader = [(batch.image, batch.target) for batch in given]
    trainer.args.n_epoch = 1
    step = partial(code["train_one_epoch"], trainer, 0, network, "cpu", [loader])
    divergence = nn.KLDivLoss(reduction="batchmean")
    step(nn.CrossEntropyLoss(), descent(network.parameters()), trainer.args, divergence)


class Drawn:
    """A random module that returns given images in their order, whatever its input."""

    def __init__(self, images: Iterator[Tensor]) -> None:
        self.images = images

    def randomize(self) -> None:
        """Draw nothing."""

    def __call__(self, image: Tensor) -> Tensor:
        return next(self.images)


class Bar:
    """Their progress bar, which shows nothing."""

    def __init__(self, steps: int, desc: str) -> None:
        self.steps = steps

    def __enter__(self) -> "Bar":
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def __iter__(self) -> Iterator[int]:
        return iter(range(self.steps))

    def set_postfix_str(self, text: str) -> None:
        """Show nothing."""


def features(clones: Clones) -> Iterator[Row]:
    path = "projects/vCLR_deformable_mask/modeling/ConsisCriterion.py"
    code = clones.take(VCLR, path, "cosineSimilarityLoss")

    def case(seed: int) -> float:
        every = SimpleNamespace(_get_src_permutation_idx=lambda indices: slice(None))

        def theirs(first: Tensor, later: Tensor) -> Tensor:
            seen = ({"pred_queries": later}, {"pred_query": first}, None, None, 1)
            return 1 + code["cosineSimilarityLoss"](every, *seen)["loss_sim"]

        views = torch.randn(2, 6, 4, generator=draws(seed))
        return both(theirs, lambda *z: feature_distances(torch.stack(z)).mean(), *views)

    compared = "1 plus their loss: value, gradient, also that the first view has none"
    yield code.row("consistency", compared, map(case, range(6)), bar=1e-12)
