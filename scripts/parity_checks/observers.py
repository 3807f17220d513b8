"""Compares the training of Echoes with the authors' loop, and the shares of FairBatch."""

import itertools
import random
from collections.abc import Iterator
from copy import deepcopy
from types import SimpleNamespace
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from debias.data.fair_batches import FairBatches
from debias.strategies.echoes import Echoes
from debias.strategies.erm import ERM
from debias.strategies.observing import observe
from debias.types import Batch, Groups, Outputs
from parity_checks.cases import apart, draws
from parity_checks.games import CLASSES, SAMPLES, Normalised, batches, descent, play, states_apart
from parity_checks.official import Clones, Piece
from parity_checks.rows import Row

SPACE = {"Sampler": object, "random": random, "itertools": itertools}


class Bar(list[Any]):
    """Their progress bar, which shows nothing."""

    def set_description(self, text: str) -> None:
        """Show nothing."""


def echoes(clones: Clones) -> Iterator[Row]:
    path, names = "trainers/echoes.py", ("train", "_after_train", "_method_special_setups")
    meter = SimpleNamespace(update=lambda *_: None, avg=0.0)
    space: dict[str, Any] = {"AverageMeter": lambda: meter, "tqdm": Bar}
    code = clones.take("isruihu/Echoes", path, *names, space=space)
    compared = (
        "both networks and both weights after 4 epochs of 12 steps, each with a prediction of all "
        "samples; thresholds 0.5 to 1"
    )
    gaps = [_echoed(code, seed) for seed in range(6)]
    yield code.row("echoes", compared, gaps, bar=1e-5, because="1e-8 in their weights")


def _echoed(code: Piece, seed: int) -> float:
    """The difference after a training of both."""
    torch.manual_seed(seed)
    given, model, target = batches(seed), Normalised(), torch.zeros(SAMPLES, dtype=torch.long)
    options = {"decay": (0.5, 0.8)[seed % 2], "threshold": (0.5, 0.7, 1.0)[seed % 3]}
    ours = Echoes(CLASSES, SAMPLES, model, strength=2.0, **options)
    for batch in given:
        target[batch.index] = batch.target
    trainer = _echo_trainer(ours, model, given, target, options)
    code["_method_special_setups"](trainer)
    optimizer = descent([*model.parameters(), *ours.parameters()])
    for _ in range(4):
        code["train"](trainer)
        code["_after_train"](trainer)
        for batch in given:
            optimizer.zero_grad()
            ours.loss(model, batch).total.backward()
            optimizer.step()
        observe([ours], model, [Batch(trainer.images, target, target, torch.arange(SAMPLES))])
    gaps = states_apart([trainer.model], [Logits(model)])
    gaps = max(gaps, states_apart([trainer.bias_model], [Logits(ours.network)]))
    weights = ((trainer.weight, ours.weights), (trainer.bias_weight, ours.echo_weights))
    return max(gaps, *(apart(*pair) for pair in weights))


def _echo_trainer(
    ours: Echoes, model: Normalised, data: list[Batch], target: Tensor, options: dict[str, float]
) -> Any:
    """The object whose attributes their methods read, with copies of our networks."""
    target_net, echo = Logits(deepcopy(model)), Logits(deepcopy(ours.network))
    images = torch.zeros(SAMPLES, 10)
    for batch in data:
        images[batch.index] = batch.image

    def correct(network: nn.Module) -> Tensor:
        network.eval()
        found = (network(images)[0].argmax(1) == target).long()
        network.train()
        return found

    loss = nn.CrossEntropyLoss(reduction="none")
    return SimpleNamespace(
        model=target_net, bias_model=echo, criterion=loss, bias_criterion=loss, images=images,
        args=SimpleNamespace(
            amp=False, lambda_=2.0, num_epoch=4, t_error=options["threshold"],
            alpha=options["decay"], sigmoid=False, not_class_balance=False,
        ),
        optimizer=descent(target_net.parameters()), bias_optimizer=descent(echo.parameters()),
        train_loader=[(batch.index, (batch.image, batch.target[:, None])) for batch in data],
        train_dataset=Examples(target[:, None].numpy()), num_classes=3, cur_epoch=1,
        _batch_transform=lambda batch_data, batch_label, batch_indices: (batch_data, batch_label),
        _loss_backward=lambda loss: loss.backward(), _scaler_update=lambda: None,
        _optimizer_step=lambda optimizer: optimizer.step(), log_to_wandb=lambda _: None,
        infer_bias_label=correct,
    )  # fmt: skip


class Examples:
    """A data set with the classes of its samples."""

    def __init__(self, target: Any) -> None:
        self.target = target

    def __len__(self) -> int:
        return len(self.target)


class Logits(nn.Module):
    """A network that returns a pair. Their loop reads the logits from it."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, image: Tensor) -> tuple[Tensor, None]:
        return self.network(image).logits, None


def fair_batch(clones: Clones) -> Iterator[Row]:
    code = clones.take("yuji-roh/fairbatch", "FairBatchSampler.py", "FairBatch", space=SPACE)

    def case(seed: int) -> float:
        generator = draws(seed)
        y, z = torch.randint(2, (2, 80), generator=generator).double()
        y = 2 * y - 1
        margins = torch.randn(40, 80, generator=generator)
        model: Any = SimpleNamespace(eval=lambda: None)
        theirs = code["FairBatch"](model, margins[0], y, z, 20, 0.03, "eqodds")
        group = ((y > 0) * 2 + (z > 0)).long()
        ours, gaps = FairBatches(group, Groups(("a", "b"), ("x", "y")), 20, 0.03), []
        for margin in margins:
            theirs.model = Constant(margin)
            theirs.adjust_lambda()
            losses = F.binary_cross_entropy((margin.tanh() + 1) / 2, (y + 1) / 2, reduction="none")
            sums = torch.zeros(4).index_add(0, group, losses)
            ours.adjust((sums / torch.bincount(group, minlength=4)).view(2, 2))
            gaps.append(apart([theirs.lb2, theirs.lb1], ours.state[:, 1]))
        return max(gaps)

    compared = "shares of the bias value 1 in both classes over 40 epochs of given losses"
    yield code.row("fair_batch", compared, map(case, range(6)), bar=1e-12)


def fair_batch_game(clones: Clones) -> Iterator[Row]:
    code = clones.take("yuji-roh/fairbatch", "FairBatchSampler.py", "FairBatch", space=SPACE)

    def chosen(self: Any, size: int, rows: Tensor, *_: Any) -> list[Any]:
        """As many of our rows in each batch as they ask for."""
        self.asked.append(size)
        return [each[torch.isin(each, rows)][:size].numpy() for each in self.drawn]

    code["FairBatch"].select_batch_replacement = chosen
    compared = "network, and samples of each group in a batch, in 8 epochs of 4 steps on our rows"
    gaps = [_fairly_trained(code, seed) for seed in range(4)]
    yield code.row("fair_batch", compared, gaps, bar=1e-10)


def _fairly_trained(code: Piece, seed: int) -> float:
    """The difference after a training of both, and of what their batches hold."""
    torch.manual_seed(seed)
    model, images = Margin(), torch.randn(80, 10)
    group = torch.arange(4).repeat_interleave(torch.tensor([20, 20, 28, 12]).roll(seed))
    whole = Batch(images, group // 2, group % 2, torch.arange(80))
    ours = FairBatches(group, Groups(("a", "b"), ("x", "y")), 20, 0.1)
    network, sign, gaps = deepcopy(model.network), 2.0 * whole.target - 1, []
    theirs = code["FairBatch"](network, images, sign, whole.bias.double(), 20, 0.1, "eqodds")
    for epoch in range(8):
        observe([ours], model, [whole])
        theirs.drawn, theirs.asked = ours.draw(draws(epoch)).view(4, 20), []
        optimizer = descent(network.parameters())
        for rows in theirs:
            optimizer.zero_grad()
            share = (network(images[rows]).tanh() + 1) / 2  # as in their notebook
            F.binary_cross_entropy(share, (sign[rows] + 1) / 2).backward()
            optimizer.step()
        play(model, ERM(), [Batch(*(part[rows] for part in whole[:4])) for rows in theirs.drawn])
        gaps.append(apart(theirs.asked, ours.sizes()[[3, 1, 2, 0]]))
    return max(*gaps, states_apart([network], [model.network]))


class Margin(nn.Module):
    """A network of one margin, whose half is the logit of the second class."""

    def __init__(self) -> None:
        super().__init__()
        layers = (nn.Linear(10, 5), nn.Tanh(), nn.Linear(5, 1), nn.Flatten(0))
        self.network = nn.Sequential(*layers)

    def forward(self, image: Tensor) -> Outputs:
        margin = self.network(image)
        return Outputs(torch.stack([-margin, margin], dim=1), margin)


class Constant:
    """A model with given outputs."""

    def __init__(self, outputs: Tensor) -> None:
        self.outputs = outputs

    def eval(self) -> None:
        """Change nothing."""

    def __call__(self, inputs: Any) -> Tensor:
        return self.outputs
