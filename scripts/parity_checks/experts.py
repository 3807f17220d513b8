"""Compares both stages of Partition-and-Debias with the authors' loops."""

from collections.abc import Iterator
from copy import deepcopy
from functools import partial
from types import SimpleNamespace
from typing import Any

import numpy as np
import timm
import torch
from torch import nn

from debias.models.classifier import Classifier
from debias.strategies.partition import PartitionAndDebias, draw_swaps
from debias.types import Batch
from parity_checks.cases import Replaced, apart, draws
from parity_checks.games import CLASSES, descent, play, states_apart
from parity_checks.official import Clones
from parity_checks.rows import Row

PND = "Jiaxuan-Li/PnD"
#: The loops of both stages, with the weights of the debiased experts and of the contrast.
STAGES = (((241, 298), (0.2, 0.0)), ((334, 399), (2.0, 4.0)))
#: Their code is for batches of 128.
SAMPLES, SIZE, STEPS = 150, 128, 3


class Draws:
    """The draws that their exits make by numpy in one step after the other, taken from ours."""

    key = 0

    def choice(self, count: int, anchors: int, replace: bool) -> Any:
        self.swaps = draw_swaps(count, anchors, key=self.key)
        return self.swaps.anchors.numpy()

    def permutation(self, given: Any) -> Any:
        if not isinstance(given, int):
            return self.swaps.partners.numpy()
        self.key += 1  # their last draw of an exit
        return self.swaps.negatives.flatten().numpy()


def pnd(clones: Clones) -> Iterator[Row]:
    torch.manual_seed(0)
    model: Any = Classifier(timm.create_model("resnet18", num_classes=3))
    given = _batches()
    ours: Any = PartitionAndDebias(CLASSES, SAMPLES, model, given[0].image[:1])
    theirs = _network(clones, model, ours)
    learner, gaps = _learner(clones, theirs, given), []
    for lines, weights in STAGES:
        code = clones.lines(PND, "learner.py", *lines)
        learner.optimizer = descent(theirs.parameters())
        args = SimpleNamespace(alpha1=0.2, alpha2=2.0, beta=4.0, target_attr_idx=0)
        code.run({"self": learner, "args": args, "tqdm": lambda loader, desc: loader})
        ours.debiased_weight, ours.contrast_weight = weights
        play(model, ours, given)
        trunks = [model.backbone, ours.network.backbone]
        both = [theirs.model_d, theirs.model_b, theirs.multi_exit.exits, theirs.gate_fc]
        gaps.append(states_apart(both, [*trunks, ours.experts, ours.gate]))
    for network in (model.eval(), ours.eval(), theirs.eval()):
        network.requires_grad_(False)
    mixed = theirs(given[0].image)[1]["dm_conflict_out"]
    gaps.append(apart(mixed, ours.classify(model, given[0].image).logits))
    compared = (
        "two ResNets-18, all experts and the gate after 3 steps of each stage, the memories of "
        "losses carried on; the mixture in evaluation"
    )
    yield code.row("pnd", compared, gaps, bar=1e-10)


def _network(clones: Clones, model: Any, ours: Any) -> Any:
    """Their network, with our weights."""
    space: dict[str, Any] = {"np": Replaced(np, {"random": Draws()})}
    names = ("build_non_linearity", "Conv2", "SimpleGate", "ExitModule", "MultiExitModule")
    for name in names:
        space |= {name: clones.take(PND, "models/pnd_lib.py", name, space=space)[name]}
    space["resnet18"] = lambda pretrained: deepcopy(model.backbone)
    network = clones.take(PND, "models/pnd.py", "PnDNet", space=space)["PnDNet"](3)
    network.model_b.load_state_dict(network.model_d.state_dict())
    _copy(ours.experts, network.multi_exit.exits)
    _copy(ours.gate, network.gate_fc)
    return network


def _copy(ours: nn.Module, theirs: nn.Module) -> None:
    """Give their module the weights of ours."""
    state = zip(theirs.state_dict(), ours.state_dict().values(), strict=True)
    theirs.load_state_dict(dict(state))


def _learner(clones: Clones, network: Any, given: list[Batch]) -> Any:
    """The trainer object that their loops read."""
    code = clones.take(PND, "learner.py", "contrastive_loss", "kl_loss")
    take = clones.take(PND, "util.py", "GeneralizedCELoss", "EMA")
    target = torch.zeros(SAMPLES, dtype=torch.int64)
    for batch in given:
        target[batch.index] = batch.target
    memories = {
        f"sample_loss_ema_{side}{exit}": take["EMA"](target, 3, alpha=0.7, device="cpu")
        for side in "db"
        for exit in range(4)
    }
    learner = SimpleNamespace(
        model=network,
        device="cpu",
        num_classes=3,
        temperature=0.1,
        intri_criterion=nn.CrossEntropyLoss(reduction="none"),
        bias_criterion=take["GeneralizedCELoss"](q=0.7),
        train_loader=[(each.index, each.image, each.target[:, None], None) for each in given],
        **memories,
    )
    learner.contrastive_loss = partial(code["contrastive_loss"], learner)
    learner.kl_loss = partial(code["kl_loss"], learner)
    return learner


def _batches() -> list[Batch]:
    """Batches of random pictures of 16 pixels."""
    generator = draws(0)
    images = torch.randn(SAMPLES, 3, 16, 16, generator=generator)
    y = torch.randint(3, (SAMPLES,), generator=generator)
    drawn = [torch.randperm(SAMPLES, generator=generator)[:SIZE] for _ in range(STEPS)]
    return [Batch(images[rows], y[rows], y[rows], rows) for rows in drawn]
