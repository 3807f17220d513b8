"""Compares environment losses and spectral decoupling with the authors' code."""

from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from debias.losses.irm import irm_penalty
from debias.strategies.coral import CORAL
from debias.strategies.irm import IRM
from debias.strategies.mmd import MMD
from debias.strategies.spectral_decoupling import SpectralDecoupling
from debias.strategies.vrex import VREx
from debias.types import Batch, Groups
from parity_checks.balance import ALGORITHMS, SUBPOP
from parity_checks.cases import Given, apart, bare, both, draws, labelled
from parity_checks.official import Clones
from parity_checks.rows import Row

IDLE = SimpleNamespace(zero_grad=lambda: None, step=lambda: None)


def _of_attribute(attribute: Tensor) -> list[tuple[Tensor, Tensor]]:
    return [(value, attribute == value) for value in torch.unique(attribute)]


def _groups(biases: int) -> Groups:
    return Groups(("y0", "y1"), tuple("abcd")[:biases])


def irm(clones: Clones) -> Iterator[Row]:
    authors = "facebookresearch/InvariantRiskMinimization"
    code = clones.take(authors, "code/colored_mnist/main.py", "mean_nll", "penalty")

    def square(seed: int) -> float:
        logit = labelled(seed, samples=60, classes=1)[0]
        y = torch.randint(2, (60,), generator=draws(seed))
        e = torch.randint(2, (60,), generator=draws(seed + 50))

        def theirs(f: Tensor) -> Tensor:
            return torch.stack(
                [code["penalty"](f[e == one], y[e == one, None].double()) for one in (0, 1)]
            ).mean()

        return both(
            theirs,
            lambda f: irm_penalty(torch.cat([-f / 2, f / 2], 1), y, e, 2, unbiased=False),
            logit,
        )

    compared = "penalty, square: value, gradient; one logit there, two here"
    yield code.row("irm", compared, map(square, range(12)), bar=1e-10)


def irm_halves(clones: Clones) -> Iterator[Row]:
    port = clones.take(SUBPOP, ALGORITHMS, "IRM", space={"ERM": object})

    def whole(seed: int) -> float:
        biases = 2 + seed % 3
        hparams = {"irm_lambda": 100.0, "irm_penalty_anneal_iters": 3}
        state = {
            "hparams": hparams,
            "update_count": seed % 6,
            "network": lambda z: z,
            "return_attributes": _of_attribute,
        }
        theirs, ours = bare(port["IRM"], state), IRM(_groups(biases), penalty=100.0, warmup=3)
        logits, y = labelled(seed, samples=40, classes=2)
        e, (turn,) = torch.randint(biases, (40,), generator=draws(seed)), ours.turns(seed % 6)
        loss = lambda z: turn.objective(Given(z), Batch(z, y, e, y)).total  # noqa: E731
        return both(lambda z: theirs._compute_loss(None, z, y, e, 0), loss, logits)

    compared = "whole loss, product of halves: value, gradient; over the switch of lambda"
    yield port.row("irm", compared, map(whole, range(18)), bar=1e-10)


def vrex(clones: Clones) -> Iterator[Row]:
    code = clones.take(
        "facebookresearch/DomainBed", "domainbed/algorithms.py", "VREx", space={"ERM": object}
    )
    hparams = {"vrex_lambda": 10.0, "vrex_penalty_anneal_iters": 2}

    def update(seed: int) -> float:
        biases, step = 2 + seed % 2, (0, 5)[seed % 4 // 2]  # before and after the switch of lambda
        logits, y = labelled(seed, samples=40, classes=2)
        e = torch.randint(biases, (40,), generator=draws(seed))
        (turn,) = VREx(_groups(biases), warmup=2).turns(step)
        first, second = (logits.clone().requires_grad_() for _ in range(2))
        parts = [(first[e == one], y[e == one]) for one in range(biases)]
        state = {
            "hparams": hparams,
            "update_count": torch.tensor(step),
            "network": lambda x: x,
            "optimizer": IDLE,
        }
        found = bare(code["VREx"], state).update(parts)
        loss = turn.objective(Given(second), Batch(second, y, e, y)).total
        loss.backward()  # type: ignore[no-untyped-call]
        return max(apart(found["loss"], loss), apart(first.grad, second.grad))

    compared = (
        "whole loss: value, gradient; 2 and 3 environments, before and after the switch of lambda"
    )
    yield code.row("vrex", compared, map(update, range(12)), bar=1e-10)


def matching(clones: Clones) -> Iterator[Row]:
    code = clones.take(SUBPOP, ALGORITHMS, "AbstractMMD", space={"ERM": object})

    def gap(seed: int, kind: Any) -> float:
        biases, generator = 2 + seed % 3, draws(seed)
        features = torch.randn(60, (5, 64)[seed % 2], generator=generator) + (0, 3.0)[seed % 2]
        y = torch.randint(2, (60,), generator=generator)
        a = torch.randint(biases, (60,), generator=generator)
        head = torch.randn(features.shape[1], 2, generator=generator)
        a[a == 1] = 0 if seed % 5 == 0 else 1
        kernel = "gaussian" if kind is MMD else "mean_cov"
        state = {
            "kernel_type": kernel,
            "hparams": {"mmd_gamma": 2.0},
            "return_attributes": _of_attribute,
        }
        theirs = bare(
            code["AbstractMMD"],
            state | {"featurizer": lambda x: x, "classifier": lambda x: x @ head},
        )
        ours, batch = kind(_groups(biases), strength=2.0), Batch(features, y, a, y)
        return both(
            lambda x: theirs._compute_loss(None, x, y, a, 0),
            lambda x: ours.loss(Given(x @ head, x), batch).total,
            features,
        )

    compared = "whole loss: value, gradient; 2 to 4 environments, one absent in some"
    yield code.row("coral", compared, [gap(seed, CORAL) for seed in range(12)], bar=1e-10)
    yield code.row("mmd", compared, [gap(seed, MMD) for seed in range(12)], bar=1e-10)


def spectral_decoupling(clones: Clones) -> Iterator[Row]:
    plain = clones.take(
        "facebookresearch/DomainBed", "domainbed/algorithms.py", "SD", space={"ERM": object}
    )

    def update(seed: int) -> float:
        classes = (2, 3, 10)[seed % 3]
        logits, y = labelled(seed, classes=classes)
        groups = Groups(tuple(f"y{c}" for c in range(classes)), ("b",))
        ours = SpectralDecoupling(groups, coefficient=0.1 * 2 / classes)
        first, second = (logits.clone().requires_grad_() for _ in range(2))
        found = bare(
            plain["SD"], {"sd_reg": 0.1, "predict": lambda x: x, "optimizer": IDLE}
        ).update([(first, y)])
        loss = ours.loss(Given(second), Batch(second, y, y, y)).total
        loss.backward()  # type: ignore[no-untyped-call]
        return max(
            apart(found["loss"] + 0.1 * found["penalty"], loss), apart(first.grad, second.grad)
        )

    compared = "value, gradient; 2 to 10 classes; sd_reg 0.1 there, 0.1 * 2 / C here"
    yield plain.row("spectral_decoupling", compared, map(update, range(12)), bar=1e-12)


def shifted_decoupling(clones: Clones) -> Iterator[Row]:
    code = clones.take("mohammadpz/Gradient_Starvation", "Table_2/loss.py", "LossComputer")

    def shifted(seed: int) -> float:
        logit = 3 * torch.randn(64, 1, generator=draws(seed))
        y = torch.randint(2, (64,), generator=draws(seed))
        sizes = torch.tensor([71629.0, 66874.0, 22880.0, 1387.0])
        data = SimpleNamespace(n_groups=4, group_str=None, group_counts=lambda: sizes)
        theirs = code["LossComputer"](None, False, data, sp=0.1, mode="spw3")
        ours = SpectralDecoupling(
            Groups(("no", "yes"), ("b",)), coefficient=0.2, shifts=(0.44, 2.5)
        )

        def loss(f: Tensor) -> Tensor:
            two = F.pad(f, (1, 0))
            return ours.loss(Given(two), Batch(f, y, y, y)).total

        return both(lambda f: theirs.loss(f, y, y, True), loss, logit)

    compared = "with shifts: value, gradient; one logit there; sp 0.1 there, 0.2 here"
    gaps = map(shifted, range(8))
    yield code.row(
        "spectral_decoupling", compared, gaps, bar=1e-6, because="our shifts are float32"
    )
