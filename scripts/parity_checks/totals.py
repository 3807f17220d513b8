"""Compares whole losses of strategies: the weights, means and scales of their parts."""

from collections.abc import Iterator
from copy import deepcopy
from functools import partial
from types import SimpleNamespace
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from debias.losses.generalized_cross_entropy import generalized_cross_entropy
from debias.strategies.bias_contrastive import BiasContrastive
from debias.strategies.elastic import Elastic
from debias.strategies.end import EnD
from debias.types import Batch, Groups
from parity_checks.cases import Given, both, draws, labelled
from parity_checks.games import Normalised, batches, descent, play, states_apart
from parity_checks.official import Clones
from parity_checks.rows import NO_CODE, Row

HONG = "grayhong/bias-contrastive-learning"
CELLS = Groups(("a", "b", "c"), ("x", "y", "z"))


class Plain(Normalised):
    """Without batch normalisation, since their code passes each batch through it twice."""

    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Sequential(nn.Linear(10, 5), nn.Tanh())


def _case(seed: int) -> tuple[Tensor, Tensor, Batch]:
    """Logits and features of a batch; some of its samples have no positive."""
    generator, samples = draws(seed), 12 + seed
    logits = torch.randn(samples, 3, generator=generator)
    features = torch.randn(samples, 8, generator=generator)
    y, b = torch.randint(3, (2, samples), generator=generator)
    y[0], b[y == y[0]] = 2, 1
    return logits, features, Batch(logits, y, b, torch.arange(samples))


def end(clones: Clones) -> Iterator[Row]:
    names = ("abs_orthogonal_blind", "abs_parallel", "abs_regu")
    code = clones.take("EIDOSLAB/entangling-disentangling-bias", "src/EnD.py", *names)

    def case(seed: int) -> float:
        alpha, beta = ((0.3, 7.0), (5.0, 0.2), (0.0, 1.0), (1.0, 0.0))[seed % 4]
        logits, features, batch = _case(seed)
        # their mask keeps pairs whose earlier sample has the larger bias
        order = batch.bias.argsort(descending=True)
        y, b = batch.target[order], batch.bias[order]
        ours = EnD(CELLS, disentangling=alpha, entangling=beta)

        def theirs(z: Tensor, f: Tensor) -> Any:
            hook = SimpleNamespace(output=F.normalize(f[order], dim=1))
            return (
                F.cross_entropy(z, batch.target)
                + code["abs_regu"](hook, y, b, alpha, beta)
                + 0 * f.sum()
            )

        return both(
            theirs, lambda z, f: ours.loss(Given(z, f), batch).total + 0 * f.sum(), logits, features
        )

    compared = (
        "loss with alpha and beta: value, gradient; batches by bias, so that their mask keeps "
        "every pair"
    )
    yield code.row("end", compared, map(case, range(12)), bar=1e-12)


def bias_contrastive(clones: Clones) -> Iterator[Row]:
    names = ("DebiasSupConLossUni", "BiasContrastiveLossUni")
    criterion = clones.take(HONG, "debias/losses/bias_contrastive_uni.py", *names)
    code = clones.lines(HONG, "train_biased_mnist_bc_uni.py", 64, 64)

    def case(seed: int) -> float:
        logits, features, batch = _case(seed)
        weight, balanced = (0.01, 3.0)[seed % 2], seed % 3 == 0
        counts = torch.randint(1, 50, (9,), generator=draws(seed))
        ours = BiasContrastive(CELLS, counts, task_weight=weight, balanced_logits=balanced)
        table = counts.view(3, 3).T / counts.view(3, 3).sum(0)[:, None]
        official = criterion["BiasContrastiveLossUni"](table, bb=int(balanced))

        def theirs(z: Tensor, f: Tensor) -> Any:
            label, contrast = official(z + 0, batch.target, batch.bias, F.normalize(f, dim=1))
            given = {"ce_loss": label, "con_loss": contrast, "opt": SimpleNamespace(weight=weight)}
            return code.run(given)["loss"]

        return both(theirs, lambda z, f: ours.loss(Given(z, f), batch).total, logits, features)

    compared = (
        "loss, a mean over all samples, also those without positives: value, gradient; with prior "
        "and without"
    )
    because = "1e-9 in their logarithm, float32 priors"
    yield code.row("bias_contrastive", compared, map(case, range(12)), bar=1e-5, because=because)


def elastic(clones: Clones) -> Iterator[Row]:
    path, names = "algorithms/single_model_algorithm.py", ("_update", "get_model_output")
    code = clones.take("TaoWen0309/ElRep", path, *names)
    space = {"move_to": lambda value, device: value}
    rules = ("algorithms/ERM.py", "process_batch", "objective")
    batch = clones.take("TaoWen0309/ElRep", *rules, space=space)

    def case(seed: int) -> float:
        torch.manual_seed(seed)
        given, model = batches(seed, size=(16, 4)[seed % 2]), Plain()
        weights = {"nuclear": (0.1, 0.003)[seed % 2], "frobenius": (0.02, 0.0, 0.5)[seed % 3]}
        trainer = _elastic_trainer(model, weights)
        trainer.get_model_output = partial(code["get_model_output"], trainer)
        trainer.objective = partial(batch["objective"], trainer)
        for each in given:
            results = batch["process_batch"](trainer, (each.image, each.target, each.bias))
            code["_update"](trainer, results, should_step=True)
        play(model, Elastic(**weights), given)
        return states_apart([trainer.model], [nn.Sequential(model.body, model.head)])

    compared = (
        "network after 12 steps of their ERM with both norms: 16 samples of 5 features, and 4"
    )
    yield code.row("elastic", compared, map(case, range(6)), bar=1e-10)


def _elastic_trainer(model: Plain, weights: dict[str, float]) -> Any:
    """The trainer object that their methods read, with a copy of the model."""
    network: Any = nn.Sequential(deepcopy(model.body), deepcopy(model.head))
    network.needs_y, network[0].d_out = False, 5
    return SimpleNamespace(
        model=network, theta1=weights["nuclear"], theta2=weights["frobenius"],
        max_grad_norm=None, optimizer=descent(network.parameters()), training=True,
        step_schedulers=lambda **_: None, log_dict={}, device="cpu",
        grouper=SimpleNamespace(metadata_to_group=lambda metadata: metadata),
        loss=SimpleNamespace(compute=lambda z, y, return_dict: F.cross_entropy(z, y)),
    )  # fmt: skip


def gce(_: Clones) -> Iterator[Row]:
    def case(seed: int) -> float:
        (logits, y), q = labelled(seed), (0.2, 0.7, 1.0)[seed % 3]

        def power(z: Tensor) -> Tensor:
            return (1 - z.softmax(1).gather(1, y[:, None])[:, 0] ** q) / q

        def slope(z: Tensor) -> Tensor:
            return torch.autograd.grad(q * power(z).sum(), z, create_graph=True)[0].sum(0)

        def ours(z: Tensor) -> Tensor:
            scaled = generalized_cross_entropy(z, y, q=q, scaled=True)
            return torch.autograd.grad(scaled.sum(), z, create_graph=True)[0].sum(0)

        value = both(power, lambda z: generalized_cross_entropy(z, y, q=q), logits)
        found = [function(logits.clone().requires_grad_()).detach() for function in (slope, ours)]
        return max(value, float((found[0] - found[1]).abs().max()))

    compared = (
        "(1 - p^q) / q: value, gradient; the scaled form has q times its gradient; q 0.2 to 1"
    )
    yield Row("lff", NO_CODE, compared, max(map(case, range(12))), 1e-12)
