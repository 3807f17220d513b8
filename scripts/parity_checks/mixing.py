"""Compares trainings on mixed pairs of a batch with the authors' loops."""

from collections.abc import Iterator
from copy import deepcopy
from types import SimpleNamespace
from typing import Any

import torch
from torch import Tensor, nn

from debias.losses.supervised_contrastive import (
    generalized_contrastive_losses,
)
from debias.strategies.selecmix import SelecMix, SelecMixLfF
from parity_checks.cases import Replaced, apart, both, draws
from parity_checks.games import CLASSES, SAMPLES, Normalised, batches, descent, play, states_apart
from parity_checks.official import Clones, Piece
from parity_checks.rows import Row

SELECMIX = "bluemoon010/SelecMix"
MIXING = (
    "mixup_with_similarity_matrix", "get_mixup_index_with_similarity_matrix", "mixup_with_index",
    "inter_mask_with_sim_matrix", "intra_mask_with_sim_matrix", "EMA",
)  # fmt: skip


def contrast(clones: Clones) -> Iterator[Row]:
    code = clones.take(SELECMIX, "module/loss.py", "SupConLoss")

    def case(seed: int) -> float:
        generator = draws(seed)
        features = nn.functional.normalize(torch.randn(24, 6, generator=generator), dim=1)
        y = torch.randint(3 + 20 * (seed % 2), (24,), generator=generator)
        q, temperature = (0.7, 0.3)[seed % 2], (0.2, 1.0)[seed // 2 % 2]
        theirs = code["SupConLoss"](temp=temperature, q=q, GSC=True)

        def ours(rows: Tensor) -> Tensor:
            options = {"q": q, "temperature": temperature}
            alike = y[:, None] == y
            return generalized_contrastive_losses(rows @ rows.T, alike, **options).mean()

        return both(lambda rows: theirs(rows, y), ours, features)

    compared = "generalised contrast: value, gradient; classes with many samples, and with one"
    because = "1e-9 in their logarithm"
    yield code.row("selecmix", compared, map(case, range(8)), bar=1e-7, because=because)


def vanilla(clones: Clones) -> Iterator[Row]:
    loop = clones.lines(SELECMIX, "learner.py", 492, 534)
    code = _code(clones)

    def case(seed: int) -> float:
        torch.manual_seed(seed)
        model, given = Normalised(), batches(seed)
        ours = SelecMix(CLASSES, model, size=7)
        learner, args = _learner(code, ours.mixer, model), _arguments(a=1.0, b=0.0)
        for step, batch in enumerate(given):
            loop.run(_state(code, learner, args, batch, step))
        play(model, ours, given)
        return _parameters_apart([learner.d, learner.model_c], [model, ours.mixer.network])

    compared = "both networks after 12 steps: similarities from before the update, both kinds"
    because = "1e-9 in their logarithm"
    yield loop.row("selecmix", compared, map(case, range(4)), bar=1e-6, because=because)


def failing(clones: Clones) -> Iterator[Row]:
    loop, code = clones.lines(SELECMIX, "learner.py", 356, 433), _code(clones)
    loss = clones.take(SELECMIX, "module/loss.py", "GeneralizedCELoss")

    def case(seed: int) -> float:
        torch.manual_seed(seed)
        model, given = Normalised(), batches(seed)
        target = torch.zeros(SAMPLES, dtype=torch.long)
        for batch in given:
            target[batch.index] = batch.target
        ours: Any = SelecMixLfF(CLASSES, SAMPLES, model, size=7, mixed_weight=0.4)
        learner, args = _learner(code, ours.mixer, model), _arguments(a=0.4, b=1.0)
        learner.b, learner.num_classes = deepcopy(ours.network), 3
        learner.model_b = lambda x: learner.b(x).logits
        learner.optimizer_b = descent(learner.b.parameters())
        learner.bias_criterion = loss["GeneralizedCELoss"](q=0.7)
        learner.sample_loss_ema_d, learner.sample_loss_ema_b = (
            code["EMA"](target, num_classes=3, alpha=0.7) for _ in "db"
        )
        for step, batch in enumerate(given):
            loop.run(_state(code, learner, args, batch, step))
        play(model, ours, given)
        gap = states_apart([learner.d, learner.b], [model, ours.network])
        return max(gap, _parameters_apart([learner.model_c], [ours.mixer.network]))

    compared = "three networks after 12 steps: LfF, and its mixed term"
    because = "1e-9 in their logarithm"
    yield loop.row("selecmix_lff", compared, map(case, range(4)), bar=1e-6, because=because)


def _parameters_apart(theirs: list[nn.Module], ours: list[nn.Module]) -> float:
    """Largest difference of the parameters of networks; see docs/parity.md."""
    pairs = zip(nn.ModuleList(theirs).parameters(), nn.ModuleList(ours).parameters(), strict=True)
    return max(apart(*pair) for pair in pairs)


def _code(clones: Clones) -> Piece:
    """Their mixing, contrast and contrastive network, in one namespace."""
    mixing = clones.take(SELECMIX, "util.py", *MIXING)
    contrast = clones.take(SELECMIX, "module/loss.py", "SupConLoss")
    network = clones.take(SELECMIX, "module/resnet_big.py", "SupConResNet")
    mixing.space.update({name: piece[name] for piece, name in (
        (contrast, "SupConLoss"), (network, "SupConResNet"),
    )})  # fmt: skip
    return mixing


def _arguments(*, a: float, b: float) -> Any:
    return SimpleNamespace(
        a=a, b=b, mix=True, naive=False, gt=False, ours=True, intra=False, inter=False, rand=True,
        target_attr_idx=0,
    )  # fmt: skip


def _learner(code: Piece, mixer: Any, model: Normalised) -> Any:
    """The object whose attributes their loops read, with copies of our networks.

    Their similarities are positive, and none occurs twice; see docs/parity.md.
    """
    mixer.network.head[1] = nn.LeakyReLU()  # with ReLU, several samples may have no active unit
    mixer.network.head.append(nn.Softplus())
    code["SupConResNet"].__init__.__globals__["model_dict"] = {
        "resnet18": (lambda: deepcopy(mixer.network.body), 5)
    }
    c, d = code["SupConResNet"](feat_dim=7), deepcopy(model)
    c.head = deepcopy(mixer.network.head)
    return SimpleNamespace(
        batch_size=16, mini_batch_size=16, d=d, model_d=lambda x: d(x).logits, model_c=c,
        criterion=nn.CrossEntropyLoss(reduction="none"), device="cpu",
        proj_criterion=code["SupConLoss"](temp=0.2, q=0.7, GSC=True),
        optimizer_d=descent(d.parameters()), optimizer_proj=descent(c.parameters()),
    )  # fmt: skip


def _state(code: Piece, learner: Any, args: Any, batch: Any, step: int) -> dict[str, Any]:
    """The names that a step of their loops reads. Its draws are those of our step."""
    generator = torch.Generator().manual_seed(step)
    coin = torch.rand(1, generator=generator)
    shares = torch.rand(len(batch.target), generator=generator)
    uniform = SimpleNamespace(Beta=lambda *_: SimpleNamespace(sample=lambda _: shares))
    drawn = {"rand": lambda _: coin, "distributions": SimpleNamespace(beta=uniform)}
    mixed = code["mixup_with_similarity_matrix"]
    mixed.__globals__["torch"] = Replaced(torch, drawn)
    return {
        "self": learner, "args": args, "mixup_with_similarity_matrix": mixed,
        "batch_data": batch.image, "batch_label": batch.target, "batch_index": batch.index,
        "BatchSampler": lambda *_, **__: [torch.arange(len(batch.target))],
        "SubsetRandomSampler": list,
    }  # fmt: skip
