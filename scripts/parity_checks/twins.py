"""Strategies of two networks or players, beside the authors' code, often cut out of loops."""

from __future__ import annotations

import math
from collections.abc import Iterator
from copy import deepcopy
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from debias.losses import (
    RelativeDifficulty,
    confusion_losses,
    discovered_weights,
    discovery_loss,
    generalized_cross_entropy,
    soft_groups,
)
from debias.strategies import BiasAmplification, CrossMistakes, Disentangled
from debias.strategies.disentangled import permutation
from debias.strategies.gradient_projection import projected
from debias.types import Batch, Groups, Outputs
from parity_checks.cases import Given, Replaced, apart, both, draws, labelled
from parity_checks.official import Clones
from parity_checks.rows import Row

LFF, DFA = "alinlab/LfF", "kakaoenterprise/Learning-Debiased-Disentangled"
WANG, DEBIAN, XRM = (
    "princetonvisualai/DomainBiasMitigation",
    "zhihengli-UR/DebiAN",
    "facebookresearch/XRM",
)
CLASSES = Groups(("a", "b", "c"), ("x", "y"))


class Perceptron(nn.Module):
    """Ten numbers, five features, three logits."""

    def __init__(self) -> None:
        super().__init__()
        self.body, self.head = nn.Sequential(nn.Linear(10, 5), nn.Tanh()), nn.Linear(5, 3)
        self.feature_size = 5

    def forward(self, image: Tensor) -> Outputs:
        features = self.body(image)
        return Outputs(self.head(features), features)


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
            losses = 5 * torch.rand(2, 16, generator=generator)
            given = {
                "sample_loss_ema_b": theirs[0],
                "sample_loss_ema_d": theirs[1],
                "index": rows,
                "label": y[rows],
            }
            seen = weigh.run(
                given | {"loss_b": losses[0], "loss_d": losses[1], "num_classes": int(y.max()) + 1}
            )
            gaps.append(apart(seen["loss_weight"], ours(losses[0], losses[1], rows, y[rows])))
        return max(gaps)

    yield loss.row("lff", "GCE of their form: value, gradient", map(gce, range(12)), bar=1e-12)
    yield weigh.row(
        "lff", "sample weights over 40 batches, with their EMA", map(steps, range(4)), bar=1e-12
    )


def disentangled(clones: Clones) -> Iterator[Row]:
    loop = clones.lines(DFA, "learner.py", 506, 566)
    generator = draws(0)
    images, y = (
        torch.randn(50, 10, generator=generator),
        torch.randint(3, (50,), generator=generator),
    )
    model: Any = Perceptron()
    ours = Disentangled(
        CLASSES,
        50,
        model,
        swap_after=3,
        biased_weight=10.0,
        biased_swap_weight=7.0,
        swap_weight=0.5,
    )
    network: Any = ours.network
    learner, parameters = (
        _learner(clones, model, ours, y),
        [*model.parameters(), *ours.parameters()],
    )
    optimizer = torch.optim.SGD(parameters, lr=0.05)

    def step(number: int) -> float:
        rows = torch.randperm(50, generator=generator)[:16]
        order = SimpleNamespace(permutation=lambda count: permutation(count, key=number).numpy())
        given = {
            "self": learner,
            "args": learner.args,
            "label": y[rows],
            "index": rows,
            "step": number,
        }
        halves = {"z_l": model.body(images[rows]), "z_b": network.body(images[rows])}
        theirs = loop.run(given | halves | {"np": Replaced(np, {"random": order})})["loss"]
        (turn,) = ours.turns(number)
        loss = turn.objective(model, Batch(images[rows], y[rows], y[rows] % 2, rows)).total
        found = [torch.autograd.grad(value, parameters) for value in (theirs, loss)]
        for parameter, gradient in zip(parameters, found[1], strict=True):
            parameter.grad = gradient
        optimizer.step()
        return max(apart(theirs, loss), *(apart(*pair) for pair in zip(*found, strict=True)))

    compared = "loss, gradients over 12 steps of one training, swapping from the fourth on"
    yield loop.row("disentangled", compared, map(step, range(12)), bar=1e-12)


def _learner(clones: Clones, model: Any, ours: Disentangled, target: Tensor) -> SimpleNamespace:
    """What their loop reads of the object that trains; their layers are made of our two each."""
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


def xrm(clones: Clones) -> Iterator[Row]:
    pair = clones.take(XRM, "networks.py", "TwinNets")
    chances: list[Tensor] = []
    replaced = Replaced(torch, {"bernoulli": lambda p: (chances.pop() < p.clamp(0, 1)).double()})
    space, hparams = (
        {"torch": replaced, "cross_entropy": F.cross_entropy},
        {"device": "cpu", "num_y": 3},
    )
    code = clones.take(XRM, "algorithms.py", "ERM", "XRM", space=space)

    def steps(seed: int) -> float:
        generator, model = draws(seed), Perceptron()
        images, y = (
            torch.randn(40, 10, generator=generator),
            torch.randint(3, (40,), generator=generator),
        )
        ours = CrossMistakes(CLASSES, 40, model, seed)
        own = [*model.parameters(), *ours.network.parameters()]
        copies = [nn.Sequential(*network.children()) for network in deepcopy([model, ours.network])]
        both_nets, first_own = pair["TwinNets"](hparams, *copies), ours.own.double()[:, None]
        first, second = (torch.optim.SGD(list(p), lr=0.5) for p in (both_nets.parameters(), own))
        theirs = code["XRM"](hparams, both_nets, first, SimpleNamespace(y=y), first_own)
        first.lr_scheduler = None  # type: ignore[attr-defined]
        for step in range(60):
            rows = torch.randperm(40, generator=generator)[:10]
            chances.append(ours._draws(step)[rows])
            theirs.update((rows, images[rows], None, None))
            second.zero_grad()
            batch = Batch(images[rows], y[rows], y[rows] % 2, rows)
            ours.objective(model, batch, step=step).total.backward()  # type: ignore[no-untyped-call]
            second.step()
        gaps = [apart(p, q) for p, q in zip(both_nets.parameters(), own, strict=True)]
        flipped = bool(
            (theirs.y_tr_dynamic != y).any()
        )  # else nothing of the labels has been compared
        return max(
            *gaps,
            apart(theirs.y_tr_dynamic, ours.memory(torch.arange(40), y)),
            0.0 if flipped else math.inf,
        )

    compared = "weights of both networks, labels after 60 steps, some of them flipped"
    yield code.row("cross_mistakes", compared, map(steps, range(3)), bar=1e-12)


def debian(clones: Clones) -> Iterator[Row]:
    path, constants = (
        "multi_color_mnist_exp/debian.py",
        clones.take(DEBIAN, "common/constants.py", "EPS"),
    )
    weigh, discover = clones.lines(DEBIAN, path, 82, 103), clones.lines(DEBIAN, path, 135, 164)

    def case(seed: int) -> tuple[Tensor, Tensor, dict[str, Any]]:
        generator = draws(seed)
        logits, y = labelled(seed, classes=4)
        trainer = SimpleNamespace(num_classes=4, args=SimpleNamespace(lambda_penalty=2.0))
        given = {
            "self": trainer,
            "label": y,
            "p_vanilla": logits.softmax(1),
            "EPS": constants["EPS"],
        }
        return torch.randn(32, generator=generator) - (0, 5)[seed % 2], y, given

    def weighted(seed: int) -> float:
        score, y, given = case(seed)
        chosen, u = given["p_vanilla"].gather(1, y[:, None])[:, 0], score.sigmoid()
        losses = -chosen.log()
        theirs = weigh.run(given | {"p_spurious": _per_class(u), "ce_loss": losses.clone()})[
            "ce_loss"
        ]
        return apart(
            theirs, (losses * discovered_weights(soft_groups(chosen, u, y, 4), u, y)).mean()
        )

    def discovered(seed: int) -> float:
        score, y, given = case(seed)
        chosen = given["p_vanilla"].gather(1, y[:, None])[:, 0]
        ours = lambda s: discovery_loss(soft_groups(chosen, s.sigmoid(), y, 4), balance=2.0)  # noqa: E731
        return both(
            lambda s: discover.run(given | {"p_spurious": _per_class(s.sigmoid())})[
                "loss_discover"
            ],
            ours,
            score,
        )

    yield weigh.row(
        "debian", "weighted loss of the classifier", map(weighted, range(16)), bar=1e-12
    )
    yield discover.row(
        "debian", "loss of the discoverer: value, gradient", map(discovered, range(16)), bar=1e-9
    )


def _per_class(membership: Tensor) -> Tensor:
    """Their discoverer has an output per class, of which that of the own class is read."""
    return membership[:, None].expand(-1, 4)


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


def bias_amplification(clones: Clones) -> Iterator[Row]:
    code = clones.lines("motivationss/BAM", "train.py", 102, 103)

    def case(seed: int) -> float:
        generator = draws(seed)
        rows, ours = (
            torch.randperm(20, generator=generator)[:8],
            BiasAmplification(CLASSES, 20, strength=50.0),
        )
        logits, y = (
            torch.randn(8, 3, generator=generator),
            torch.randint(3, (8,), generator=generator),
        )
        with torch.no_grad():
            ours.offsets.copy_(torch.randn(20, 3, generator=generator))
        offsets, batch = ours.offsets.detach().clone().requires_grad_(), Batch(logits, y, y, rows)
        given = {
            "outputs": logits.clone(),
            "data_idx": rows,
            "args": SimpleNamespace(aux_lambda=50.0),
        }
        theirs = F.cross_entropy(
            code.run(given | {"model": SimpleNamespace(b=offsets)})["outputs"], y
        )
        loss = ours.loss(Given(logits), batch).total
        moved = (
            torch.autograd.grad(theirs, offsets)[0],
            torch.autograd.grad(loss, ours.offsets)[0],
        )
        return max(apart(theirs, loss), apart(*moved))

    compared = "loss with offsets, their gradient"
    yield code.row("bias_amplification", compared, map(case, range(6)), bar=1e-12)
