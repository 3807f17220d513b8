"""Compares trainings beside a network that amplifies the bias with the authors' loops."""

from collections.abc import Iterator
from copy import deepcopy
from types import SimpleNamespace
from typing import Any
from unittest.mock import patch

import numpy as np
import torch
from torch import Tensor, nn

from debias.strategies import logit_correction as ours_module
from debias.strategies.logit_correction import LogitCorrection
from debias.types import Batch, Groups
from parity_checks.cases import Given, Replaced, both, draws, labelled
from parity_checks.games import SAMPLES, Normalised, batches, descent, play, states_apart
from parity_checks.official import Clones, Piece
from parity_checks.rows import Row

LC, LC_LOSS = "shengliu66/LC", "amazon-science/lc-loss"
TWO, FIVE = (Groups(tuple("abcde"[:count]), ("x", "y")) for count in (2, 5))


class Parts(nn.Module):
    """A network with the names of their two parts, whose first one their loop hooks."""

    def __init__(self, network: Normalised) -> None:
        super().__init__()
        self.avgpool, self.fc = network.body, network.head

    def forward(self, image: Tensor) -> Tensor:
        found: Tensor = self.fc(self.avgpool(image))
        return found


def logit_correction(clones: Clones) -> Iterator[Row]:
    second = clones.lines(LC, "learner.py", 1022, 1043)
    compared = (
        "both networks after 12 steps: turns, table, prior, ramp, Group MixUp with the same "
        "partners; each batch has all cells"
    )
    gaps = [_corrected(clones, second, seed) for seed in range(4)]
    because = "1e-4 in their counts"
    yield second.row("logit_correction", compared, gaps, bar=1e-4, because=because)


def _corrected(clones: Clones, second: Piece, seed: int) -> float:
    """The difference after a training of both."""
    table = clones.take(LC, "util.py", "EMA_squre", "sigmoid_rampup")
    first = clones.lines(LC, "learner.py", 873, 1016)
    loss = clones.take(LC_LOSS, "loss.py", "GeneralizedCELoss", "LogitCorrectionLoss")
    mixing = _group_mixing(clones)
    torch.manual_seed(seed)
    momentum, kind = ((0.0, "batch"), (0.8, "mv_batch"))[seed % 2]
    model, given = Normalised(), _two_classes(seed)
    model.head = nn.Linear(5, 2)
    options = {"temperature": (1.0, 0.5)[seed % 2], "ramp": (0, 9)[seed % 2], "q": 0.8}
    ours: Any = LogitCorrection(TWO, model, momentum=momentum, biased_weight=2.0, **options)
    ours.table.visited.fill_(True)  # their table starts at 0 too
    learner = _learner(table, loss, ours, model, momentum, kind)
    learner.args = args = _arguments(options, kind)
    state = {"self": learner, "args": args, "group_mixUp": mixing}
    state["sigmoid_rampup"] = table["sigmoid_rampup"]
    for step, batch in enumerate(given):
        now = {"data": batch.image, "label": batch.target, "index": batch.index, "step": step}
        second.run(first.run(state | now))
    middle = patch.object(torch, "rand", lambda *_, **__: torch.tensor(0.5))
    with middle, patch.object(ours_module, "group_partners", _first_minority):
        play(model, ours, given)
    theirs = [learner.model_l.avgpool, learner.model_l.fc, learner.model_b.avgpool]
    return states_apart(theirs, [model.body, model.head, ours.network.body])


def _arguments(options: dict[str, Any], kind: str) -> Any:
    return SimpleNamespace(
        dataset="cifar10c", use_resnet20=False, curr_step=options["ramp"], avg_type=kind,
        tau=options["temperature"], lambda_dis_align=2.0, use_lr_decay=False,
    )  # fmt: skip


def logit_correction_loss(clones: Clones) -> Iterator[Row]:
    code = clones.take(LC_LOSS, "loss.py", "LogitCorrectionLoss")

    def case(seed: int) -> float:
        logits, y = labelled(seed)
        torch.manual_seed(seed)
        ours: Any = LogitCorrection(FIVE, Normalised(), mixing=0.0)
        ours.biased_logits = torch.randn(len(y), 5)
        batch = Batch(logits, y, y, torch.arange(len(y)))
        prior = ours.table(ours.biased_logits.softmax(1), y)
        ours.table.eval()
        official = code["LogitCorrectionLoss"]()
        return both(
            lambda z: official.forward(z, y, prior).mean(),
            lambda z: ours.corrected_loss(Given(z), batch, step=0).total,
            logits,
        )

    compared = "loss of the model with given priors of five classes: value, gradient"
    because = "our priors are float32"
    yield code.row("logit_correction", compared, map(case, range(8)), bar=1e-5, because=because)


def _learner(
    table: Piece, loss: Piece, ours: Any, model: Normalised, momentum: float, kind: str
) -> Any:
    """The object whose attributes their loop reads."""
    target, biased = Parts(deepcopy(model)), Parts(deepcopy(ours.network))
    memory: Any = SimpleNamespace(parameter=torch.zeros(SAMPLES, 2))
    memory.update = lambda data, index: memory.parameter.__setitem__(index, data)
    return SimpleNamespace(
        model_l=target, model_b=biased, sample_margin_ema_b=memory, num_classes=2, device="cpu",
        confusion=table["EMA_squre"](num_classes=2, alpha=momentum, avg_type=kind),
        criterion=loss["LogitCorrectionLoss"](eta=1.0),
        bias_criterion=loss["GeneralizedCELoss"](q=0.8),
        no_dummy=lambda found: lambda layer, inputs, output: found.append(output),
        optimizer_l=descent(target.parameters()), optimizer_b=descent(biased.parameters()),
    )  # fmt: skip


def _group_mixing(clones: Clones) -> Any:
    """Their Group MixUp with the middle share, and the first possible partner of each sample."""
    uniform = SimpleNamespace(uniform=lambda low, high: (low + high) / 2)
    first = Replaced(torch, {"randint": lambda _, size: torch.zeros(size, dtype=torch.long)})
    space = {"np": Replaced(np, {"random": uniform}), "torch": first}
    space["random"] = SimpleNamespace(sample=lambda rows, count: rows)
    names = ("obtain_groups", "mixUp", "group_mixUp")
    return clones.take(LC_LOSS, "group_mixup.py", *names, space=space)["group_mixUp"]


def _first_minority(target: Tensor, predicted: Tensor, _: torch.Generator) -> Tensor:
    """The first sample of the class that is predicted wrongly, or the sample itself."""
    minority = (target[:, None] == target) & (predicted != target)
    own = torch.arange(len(target))
    return torch.where(minority.any(dim=1), minority.double().argmax(dim=1), own)


def _two_classes(seed: int) -> list[Batch]:
    """Batches of two classes that no network can learn, so that every cell has samples."""
    generator = draws(seed + 100)
    return [
        batch._replace(target=torch.randint(2, batch.target.shape, generator=generator))
        for batch in batches(seed, size=40)
    ]
