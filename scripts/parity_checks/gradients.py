"""Compares the whole of PGD, two trainings and the sampling between them, with the authors'."""

from collections.abc import Iterator
from copy import deepcopy
from types import SimpleNamespace
from typing import Any
from unittest.mock import patch

import numpy as np
import torch
from torch import Tensor, nn

from debias import config as configs
from debias.data.orders import Weighted, weighted
from debias.recipes import per_sample_gradient as ours_module
from debias.recipes.per_sample_gradient import PerSampleGradient
from debias.strategies.erm import ERM
from debias.strategies.generalized_cross_entropy import GeneralizedCrossEntropy
from debias.types import Batch
from parity_checks.amplified import Parts
from parity_checks.cases import apart, bare, draws
from parity_checks.games import CLASSES, SAMPLES, Normalised, descent, play, states_apart
from parity_checks.official import Clones, Piece
from parity_checks.rows import Row

PGD = "sumyeongahn/PGD"
EPOCHS, SIZE = 3, 16


class Loader(list[Any]):
    """Their loader: batches of rows in order, or of the rows that their data set draws."""

    def __init__(self, dataset: Any, images: Tensor, target: Tensor) -> None:
        self.dataset, self.images, self.target = dataset, images, target
        self.visited: list[Tensor] = []

    def __iter__(self) -> Iterator[Any]:
        rows = torch.arange(SAMPLES)
        if self.dataset.prob_on:
            rows = torch.stack([self.dataset.idx_sample() for _ in range(SAMPLES)])
            self.visited += rows.split(SIZE)
        for part in rows.split(SIZE):
            yield self.images[part], self.target[part], None, part


def per_sample_gradient(clones: Clones) -> Iterator[Row]:
    # line 342 of their file is the rest of a removed call
    loss = clones.take(PGD, "trainer/module/loss.py", "GeneralizedCELoss", space={"t": torch})
    names = ("module_type", "grad_fn", "feat_fn", "grad_feat_ext")
    hooks = clones.take(PGD, "trainer/module/gradient.py", *names, space={"t": torch})
    space = {"t": torch, "np": np, "tqdm": list, "GeneralizedCELoss": loss["GeneralizedCELoss"]}
    space["grad_feat_ext"] = hooks["grad_feat_ext"]
    code = clones.take(PGD, "trainer/learner.py", "train_ours", space=space, without=342)
    data = clones.take(PGD, "trainer/module/data.py", "loader", space={"t": torch} | LOADERS)
    gaps = [_trained(code, data, seed) for seed in range(4)]
    compared = "probability of each of 48 samples from the biased network; norms of 0.7, 1 and 2"
    yield code.row("weighted", compared, [gap for gap, _ in gaps], bar=1e-10)
    compared = (
        "the network after 3 epochs with GCE, and 3 more from its weights on rows that their data "
        "set drew by these probabilities"
    )
    yield code.row("per_sample_gradient", compared, [gap for _, gap in gaps], bar=1e-10)


#: The base class that their data set names.
LOADERS: dict[str, Any] = {"DataLoader": object}


def _trained(code: Piece, data: Piece, seed: int) -> tuple[float, float]:
    """The differences of the probabilities, and of the networks at the end."""
    torch.manual_seed(seed)
    generator, norm = draws(seed), (0.7, 1.0, 2.0, 0.7)[seed]
    images = torch.randn(SAMPLES, 10, generator=generator)
    target = torch.randint(3, (SAMPLES,), generator=generator)
    model = Normalised()
    dataset = bare(data["loader"], {"label": target, "prob_on": False})
    loader = Loader(dataset, images, target)
    learner = _learner(model, loader, norm)
    code["train_ours"](learner)
    order, network = _ours(model, images, target, norm, loader.visited)
    theirs = torch.diff(dataset.prob, prepend=torch.zeros(1))
    ended = [learner.model_d.avgpool, learner.model_d.fc]
    return apart(theirs, order.weights / order.weights.sum()), states_apart(
        ended, [network.body, network.head]
    )


def _learner(model: Normalised, loader: Loader, norm: float) -> Any:
    """The object whose attributes their training reads."""
    biased, debiased = Parts(deepcopy(model)), Parts(Normalised())
    nothing, meter = (lambda *_, **__: None), SimpleNamespace(update=lambda *_: None)
    losses = nn.CrossEntropyLoss(reduction="none")
    return SimpleNamespace(
        model_b=biased, model_d=debiased, train_loader=loader, device="cpu", loss_b=losses,
        args=SimpleNamespace(
            pretrained_bmodel=False, pretrained_dmodel=False, epochs=EPOCHS, model="CONV",
            norm_scale=norm,
        ),
        loss_d=losses, optimizer_b=descent(biased.parameters()),
        optimizer_d=descent(debiased.parameters()), step_b=SimpleNamespace(step=nothing),
        step_d=SimpleNamespace(step=nothing), validate=nothing, test=nothing, save_models=nothing,
        load_models=nothing, print_result=nothing, reset_meter=nothing, b_train_loss=meter,
        b_train_acc=meter, d_train_loss=meter, d_train_acc=meter,
    )  # fmt: skip


def _ours(
    model: Normalised, images: Tensor, target: Tensor, norm: float, visited: list[Tensor]
) -> tuple[Weighted, Normalised]:
    """The order of our last stage, and the network that it trains on the visited rows."""

    def batches(rows: Any) -> list[Batch]:
        return [Batch(images[part], target[part], target[part], part) for part in rows]

    examples = SimpleNamespace(
        rows=lambda split: torch.arange(SAMPLES), target=target, split=torch.zeros(SAMPLES)
    )
    stage = SimpleNamespace(examples=examples, everywhere=lambda rows, values: values)

    def train_stage(name: str, config: configs.Config) -> Any:
        in_order = torch.arange(SAMPLES).split(SIZE)
        play(model, GeneralizedCrossEntropy(CLASSES), batches(in_order * EPOCHS))
        return stage

    def train_last(changes: Any, partition: Any, start: Any) -> Any:
        play(model.train(), ERM(), batches(visited))
        return weighted(partition)

    def features(split: str) -> Tensor:
        return model.eval().body(images).detach()

    run: Any = SimpleNamespace(
        stage_config=lambda changes: configs.load("drawn_birds", []), train_stage=train_stage,
        infer=lambda inferred, examples, importance: importance, train_last=train_last,
    )  # fmt: skip
    frozen = SimpleNamespace(stage=stage, model=model, features=features)
    with patch.object(ours_module, "Frozen", lambda stage, config: frozen):
        order: Any = PerSampleGradient(norm=norm).train(run)
    return order, model
