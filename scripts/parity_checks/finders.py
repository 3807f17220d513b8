"""Compares networks that find the bias or the mistakes of a model with the authors' code."""

import math
from collections.abc import Iterator
from contextlib import nullcontext
from copy import deepcopy
from types import SimpleNamespace
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from debias.losses.soft_groups import discovered_weights, discovery_loss, soft_groups
from debias.strategies.bias_amplification import BiasAmplification
from debias.strategies.cross_mistakes import CrossMistakes
from debias.strategies.debian import DebiAN
from debias.types import Batch
from parity_checks.cases import Given, Replaced, apart, both, draws, labelled
from parity_checks.games import Normalised, batches, descent, play, states_apart
from parity_checks.official import Clones, Piece
from parity_checks.rows import Row
from parity_checks.twins import CLASSES, Perceptron

XRM, DEBIAN = "facebookresearch/XRM", "zhihengli-UR/DebiAN"
DEBIAN_LOOP = "multi_color_mnist_exp/debian.py"


def xrm(clones: Clones) -> Iterator[Row]:
    chances: list[Tensor] = []
    pair, code = _xrm(clones, chances)
    hparams = {"device": "cpu", "num_y": 3}

    def steps(seed: int) -> float:
        generator, model = draws(seed), Perceptron()
        images = torch.randn(40, 10, generator=generator)
        y = torch.randint(3, (40,), generator=generator)
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
        gaps.append(apart(theirs.y_tr_dynamic, ours.memory(torch.arange(40), y)))
        # if no label was flipped, the comparison of labels proves nothing
        return max(gaps) if bool((theirs.y_tr_dynamic != y).any()) else math.inf

    compared = "weights of both networks, labels after 60 steps, some of them flipped"
    yield code.row("cross_mistakes", compared, map(steps, range(3)), bar=1e-12)


def _xrm(clones: Clones, chances: list[Tensor]) -> tuple[Piece, Piece]:
    """Their networks and their algorithm, which draws its random numbers from ``chances``."""
    replaced = Replaced(torch, {"bernoulli": lambda p: (chances.pop() < p.clamp(0, 1)).double()})
    space = {"torch": replaced, "cross_entropy": F.cross_entropy}
    pair = clones.take(XRM, "networks.py", "TwinNets")
    return pair, clones.take(XRM, "algorithms.py", "ERM", "XRM", space=space)


def debian(clones: Clones) -> Iterator[Row]:
    epsilon = clones.take(DEBIAN, "common/constants.py", "EPS")["EPS"]
    weigh = clones.lines(DEBIAN, DEBIAN_LOOP, 82, 103)

    def weighted(seed: int) -> float:
        score, y, given = _scored(seed, epsilon)
        chosen, u = given["p_vanilla"].gather(1, y[:, None])[:, 0], score.sigmoid()
        losses = -chosen.log()
        seen = weigh.run(given | {"p_spurious": _per_class(u), "ce_loss": losses.clone()})
        weights = discovered_weights(soft_groups(chosen, u, y, 4), u, y)
        return apart(seen["ce_loss"], (losses * weights).mean())

    compared = "weighted loss of the classifier"
    yield weigh.row("debian", compared, map(weighted, range(16)), bar=1e-12)
    yield _discovered(clones, epsilon)


def debian_game(clones: Clones) -> Iterator[Row]:
    epsilon = clones.take(DEBIAN, "common/constants.py", "EPS")["EPS"]
    loop = clones.lines(DEBIAN, DEBIAN_LOOP, 61, 168)
    amp = SimpleNamespace(amp=SimpleNamespace(autocast=lambda *_, **__: nullcontext()))
    totals = ("cls_loss", "ce_loss", "bias_discover_deo_loss", "bias_discover_penalty")

    def case(seed: int) -> float:
        torch.manual_seed(seed)
        model, given = Normalised(), batches(seed)
        ours: Any = DebiAN(CLASSES, model, balance=2.0, own_halves=True, separate_start=True)
        f, d = (_Logits(deepcopy(network)) for network in (model, ours.discoverer))
        trainer = SimpleNamespace(
            classifier=f, bias_discover_net=d, device="cpu", target_attr_index=0, num_classes=3,
            args=SimpleNamespace(amp=False, lambda_penalty=2.0),
            criterion=nn.CrossEntropyLoss(reduction="none"),
            optimizer=descent(f.parameters()),
            optimizer_bias_discover_net=descent(d.parameters()),
            _loss_backward=lambda loss: loss.backward(), _optimizer_step=lambda each: each.step(),
        )  # fmt: skip
        state = {"self": trainer, "EPS": epsilon, "idx": 0, "torch": Replaced(torch, {"cuda": amp})}
        for batch in given:
            whole, half = (batch.image, batch.target[:, None]), len(batch.target) // 2
            pair = {"main_data": [each[:half] for each in whole]}
            pair |= {"second_data": [each[half:] for each in whole]}
            loop.run(state | pair | {f"total_{name}": 0 for name in totals})
        play(model, ours, given)
        return states_apart([f.network, d.network], [model, ours.discoverer])

    compared = "both networks after 12 steps, each on its own half of the batch; order, modes"
    yield loop.row("debian", compared, map(case, range(4)), bar=1e-9)


class _Logits(nn.Module):
    """A network that returns its logits alone."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, image: Tensor) -> Tensor:
        logits: Tensor = self.network(image).logits
        return logits


def _discovered(clones: Clones, epsilon: float) -> Row:
    discover = clones.lines(DEBIAN, DEBIAN_LOOP, 135, 164)

    def discovered(seed: int) -> float:
        score, y, given = _scored(seed, epsilon)
        chosen = given["p_vanilla"].gather(1, y[:, None])[:, 0]

        def theirs(s: Tensor) -> Any:
            return discover.run(given | {"p_spurious": _per_class(s.sigmoid())})["loss_discover"]

        def ours(s: Tensor) -> Tensor:
            return discovery_loss(soft_groups(chosen, s.sigmoid(), y, 4), balance=2.0)

        return both(theirs, ours, score)

    compared = "loss of the discoverer: value, gradient"
    return discover.row("debian", compared, map(discovered, range(16)), bar=1e-9)


def _scored(seed: int, epsilon: float) -> tuple[Tensor, Tensor, dict[str, Any]]:
    """Scores of the discoverer, classes, and the variables that the authors' loops read."""
    generator = draws(seed)
    logits, y = labelled(seed, classes=4)
    trainer = SimpleNamespace(num_classes=4, args=SimpleNamespace(lambda_penalty=2.0))
    given = {"self": trainer, "label": y, "p_vanilla": logits.softmax(1), "EPS": epsilon}
    return torch.randn(32, generator=generator) - (0, 5)[seed % 2], y, given


def _per_class(membership: Tensor) -> Tensor:
    """The membership as output of every class: their discoverer reads that of the own class."""
    return membership[:, None].expand(-1, 4)


def bias_amplification(clones: Clones) -> Iterator[Row]:
    code = clones.lines("motivationss/BAM", "train.py", 102, 103)

    def case(seed: int) -> float:
        generator = draws(seed)
        rows = torch.randperm(20, generator=generator)[:8]
        ours = BiasAmplification(CLASSES, 20, strength=50.0)
        logits = torch.randn(8, 3, generator=generator)
        y = torch.randint(3, (8,), generator=generator)
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
