"""Compares both stages of DeNetDM with the authors' loops."""

from collections import OrderedDict
from collections.abc import Iterator
from typing import Any

import torch
from torch import nn

from debias.strategies.denetdm import DeNetDM
from debias.types import Batch
from parity_checks.cases import BodyNetwork, draws
from parity_checks.games import CLASSES, SAMPLES, STEPS, descent, play, states_apart
from parity_checks.official import Clones, Piece
from parity_checks.rows import Row

DENETDM = "kadarsh22/DeNetDM"
LAYERS = ("linear 100", "relu")


class Perceptrons(BodyNetwork):
    """An MLP with four hidden layers of 100 units."""

    def __init__(self) -> None:
        sizes = ((2352, 100), (100, 100), (100, 100), (100, 100))
        layers = [part for size in sizes for part in (nn.Linear(*size), nn.ReLU())]
        super().__init__(nn.Sequential(nn.Flatten(), *layers), nn.Linear(100, 3))


def denetdm(clones: Clones) -> Iterator[Row]:
    second = clones.lines(DENETDM, "train_decam_stage2.py", 155, 176)
    compared = (
        "branches and their head after 12 steps, and the student and its head after 12 more, with "
        "the deep branch and the teacher frozen; three weightings"
    )
    gaps = [_trained(clones, second, seed) for seed in range(3)]
    yield second.row("denetdm", compared, gaps, bar=1e-10)


def _trained(clones: Clones, second: Piece, seed: int) -> float:
    """The difference after both stages."""
    torch.manual_seed(seed)
    product, distillation, temperature = ((1, 0.2, 2), (1, 0, 2), (0.5, 0.1, 4))[seed]
    first = clones.lines(DENETDM, "train_decam_stage1.py", 148, 161)
    model, given = Perceptrons(), _batches(seed)
    ours: Any = DeNetDM(
        CLASSES, model, given[0].image[:1], shallow=("flatten", *LAYERS, *LAYERS), warmup=STEPS,
        product_weight=product, distillation_weight=distillation, temperature=temperature,
    )  # fmt: skip
    both, last, teacher = _theirs(clones, model, ours)
    state: dict[str, Any] = {
        "device": "cpu", "tqdm": list, "target_attr_idx": 0,
        "label_criterion": nn.CrossEntropyLoss(reduction="none"), "stage2_poe_weight": product,
        "stage2_dist_weight": distillation, "stage2_T": temperature,
        "train_loader": [(each.index, each.image, each.target[:, None]) for each in given],
    }  # fmt: skip
    first.run(state | {"model": both, "optimizer": descent(both.parameters())})
    last.load_state_dict(both.state_dict(), strict=False)  # as they do
    teacher.load_state_dict(both.state_dict())
    trained = [*last.debias_branch.parameters(), *last.classifier.parameters()]
    state |= {"model": last, "teacher": teacher.eval(), "optimizer": descent(trained)}
    second.run(state)
    play(model, ours, [*given, *given])
    theirs = [both.bias_branch, both.classifier, both.debias_branch]
    theirs += [last.debias_branch, last.classifier]
    students: list[Any] = [model.body, model.head]
    return states_apart(theirs, [ours.deep.body, ours.deep.head, ours.shallow, *students])


def _theirs(clones: Clones, model: Perceptrons, ours: Any) -> list[Any]:
    """Their network of the first stage, of the second, and the teacher, with our weights."""
    names = ("MLPHiddenlayers", "CMNISTDeNetDMModel")
    network = clones.take(DENETDM, "module/model.py", *names, space={"OrderedDict": OrderedDict})
    make = network["CMNISTDeNetDMModel"]
    both, last, teacher = (make(num_classes=3, stage=stage) for stage in "121")
    _copy(ours.deep, both.bias_branch, both.classifier)
    _copy(ours.shallow, both.debias_branch)
    _copy(model.body, last.debias_branch)
    return [both, last, teacher]


def _copy(ours: nn.Module, *theirs: nn.Module) -> None:
    """Give their modules the weights of ours."""
    values = [value for part in theirs for value in part.parameters()]
    for value, own in zip(values, ours.parameters(), strict=True):
        value.data.copy_(own.data)


def _batches(seed: int) -> list[Batch]:
    """Batches of random pictures of 28 pixels."""
    generator = draws(seed)
    images = 0.1 * torch.randn(SAMPLES, 3, 28, 28, generator=generator)
    y = torch.randint(3, (SAMPLES,), generator=generator)
    drawn = [torch.randperm(SAMPLES, generator=generator)[:16] for _ in range(STEPS)]
    return [Batch(images[rows], y[rows], y[rows], rows) for rows in drawn]
