"""Compares strategies of two networks or players with the authors' code, often from loops."""

from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from debias.losses.confusion import confusion_losses
from debias.losses.generalized_cross_entropy import generalized_cross_entropy
from debias.losses.sample_memory import RelativeDifficulty
from debias.strategies.disentangled import Disentangled, permutation
from debias.strategies.gradient_projection import projected
from debias.types import Batch, Groups
from parity_checks.cases import BodyNetwork, Replaced, apart, both, draws, labelled
from parity_checks.official import Clones, Piece
from parity_checks.rows import Row

LFF, DFA = "alinlab/LfF", "kakaoenterprise/Learning-Debiased-Disentangled"
WANG = "princetonvisualai/DomainBiasMitigation"
CLASSES = Groups(("a", "b", "c"), ("x", "y"))
SWAP_OPTIONS: dict[str, Any] = {
    "swap_after": 3, "biased_weight": 10.0, "biased_swap_weight": 7.0, "swap_weight": 0.5,
}  # fmt: skip
SWAP_COMPARED = "loss, gradients over 12 steps of one training, swapping from the fourth on"


class Perceptron(BodyNetwork):
    """A network of ten inputs, five features and three logits."""

    def __init__(self) -> None:
        super().__init__(nn.Sequential(nn.Linear(10, 5), nn.Tanh()), nn.Linear(5, 3))
        self.feature_size = 5


def lff(clones: Clones) -> Iterator[Row]:
    loss = clones.take(LFF, "module/loss.py", "GeneralizedCELoss")
    memory, weigh = clones.take(LFF, "util.py", "EMA"), clones.lines(LFF, "train.py", 200, 222)

    def gce(seed: int) -> float:
        logits, y = labelled(seed)
        ours = lambda z: generalized_cross_entropy(z, y, scaled=True)  # noqa: E731
        return both(lambda z: loss["GeneralizedCELoss"]()(z, y), ours, logits)

    def steps(seed: int) -> float:
        generator = draws(seed)
        y = torch.randint(4 if seed else 3, (50,), generator=generator)
        theirs, ours = [memory["EMA"](y, alpha=0.7) for _ in "bd"], RelativeDifficulty(50, 4)
        gaps = []
        for _ in range(40):
            rows = torch.randperm(50, generator=generator)[:16]
            b, d = 5 * torch.rand(2, 16, generator=generator)
            given = {"sample_loss_ema_b": theirs[0], "sample_loss_ema_d": theirs[1]}
            given |= {"loss_b": b, "loss_d": d, "num_classes": int(y.max()) + 1}
            seen = weigh.run(given | {"index": rows, "label": y[rows]})
            gaps.append(apart(seen["loss_weight"], ours(b, d, rows, y[rows])))
        return max(gaps)

    yield loss.row("lff", "GCE of their form: value, gradient", map(gce, range(12)), bar=1e-12)
    compared = "sample weights over 40 batches, with their EMA"
    yield weigh.row("lff", compared, map(steps, range(4)), bar=1e-12)


def disentangled(clones: Clones) -> Iterator[Row]:
    loop = clones.lines(DFA, "learner.py", 506, 566)
    (y, given), model = swap_batches(), Perceptron()
    ours = Disentangled(CLASSES, 50, model, **SWAP_OPTIONS)
    learner = _learner(clones, model, ours, y)
    gaps = swap_gaps(loop, {"self": learner, "args": learner.args}, model, ours, given)
    yield loop.row("disentangled", SWAP_COMPARED, gaps, bar=1e-12)


def swap_batches() -> tuple[Tensor, list[Batch]]:
    """The classes of 50 samples, and 12 batches of them."""
    generator = draws(0)
    images = torch.randn(50, 10, generator=generator)
    y = torch.randint(3, (50,), generator=generator)
    drawn = [torch.randperm(50, generator=generator)[:16] for _ in range(12)]
    return y, [Batch(images[rows], y[rows], y[rows] % 2, rows) for rows in drawn]


def swap_gaps(
    loop: Piece, state: dict[str, Any], model: Any, ours: Any, given: list[Batch]
) -> Iterator[float]:
    """The differences of loss and gradients at each step of one training."""
    parameters = [*model.parameters(), *ours.parameters()]
    optimizer = torch.optim.SGD(parameters, lr=0.05)
    for number, batch in enumerate(given):
        order = permutation(len(batch.index), key=number).numpy()
        random = SimpleNamespace(permutation=lambda count, order=order: order)
        names = {"np": Replaced(np, {"random": random}), "step": number, "label": batch.target}
        names |= {"index": batch.index, "z_l": model.body(batch.image)}
        theirs = loop.run(state | names | {"z_b": ours.network.body(batch.image)})["loss"]
        (turn,) = ours.turns(number)
        loss = turn.objective(model, batch).total
        found = [torch.autograd.grad(value, parameters) for value in (theirs, loss)]
        for parameter, gradient in zip(parameters, found[1], strict=True):
            parameter.grad = gradient
        optimizer.step()
        yield max(apart(theirs, loss), *(apart(*pair) for pair in zip(*found, strict=True)))


def _learner(clones: Clones, model: Any, ours: Disentangled, target: Tensor) -> SimpleNamespace:
    """The trainer object that their loop reads; each of its last layers is made of two of ours."""
    memory, head = clones.take(DFA, "util.py", "EMA")["EMA"], cast(nn.Linear, ours.network.head)
    return SimpleNamespace(
        args=SimpleNamespace(
            curr_step=2, lambda_swap=0.5, lambda_dis_align=10.0, lambda_swap_align=7.0
        ),
        device="cpu",
        num_classes=3,
        criterion=nn.CrossEntropyLoss(reduction="none"),
        bias_criterion=clones.take(DFA, "module/loss.py", "GeneralizedCELoss")["GeneralizedCELoss"](
            q=0.7
        ),
        sample_loss_ema_d=memory(target, num_classes=3, alpha=0.7),
        sample_loss_ema_b=memory(target, num_classes=3, alpha=0.7),
        model_l=SimpleNamespace(
            fc=lambda z: _joined(z, model.head, model.head.weight, ours.context.weight)
        ),
        model_b=SimpleNamespace(
            fc=lambda z: _joined(z, head, ours.biased_context.weight, head.weight)
        ),
    )


def _joined(features: Tensor, head: nn.Linear, first: Tensor, second: Tensor) -> Tensor:
    return F.linear(features, torch.cat([first, second], 1), head.bias)


def adversaries(clones: Clones) -> Iterator[Row]:
    project = clones.lines(WANG, "models/cifar_gradproj_adv.py", 137, 145)
    confuse = clones.lines(WANG, "models/cifar_uniconf_adv.py", 143, 144)

    def projection(seed: int) -> float:
        task, against = torch.randn(2, 4, 3, generator=draws(seed)) * torch.tensor(
            [1.0, 10.0 ** (seed % 9 - 6)]
        ).view(2, 1, 1)
        moved = SimpleNamespace(grad=None)
        network = SimpleNamespace(parameters=lambda: [moved])
        given = {"grad_from_class": [task], "grad_from_domain": [against]}
        project.run(given | {"self": SimpleNamespace(class_network=network, alpha=0.7)})
        return apart(moved.grad, projected(task, against, strength=0.7))

    def confusion(seed: int) -> float:
        logits = labelled(seed, classes=2)[0]
        theirs = lambda z: confuse.run({"domain_outputs": z})["confusion_loss"]  # noqa: E731
        return both(theirs, lambda z: confusion_losses(z).mean(), logits)

    compared = "projected gradient; adversary's of norm 1e-6 to 1e2"
    yield project.row("gradient_projection", compared, map(projection, range(18)), bar=1e-12)
    yield confuse.row(
        "uniform_confusion", "confusion: value, gradient", map(confusion, range(8)), bar=1e-12
    )
