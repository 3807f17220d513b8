"""Compares the training of uLA, beside a frozen proxy of the bias, with the authors' model."""

from collections.abc import Iterator
from copy import deepcopy
from types import SimpleNamespace
from typing import Any

import torch
from torch import distributed, nn
from torch.nn import functional as F

from debias.group_inference.proxies import soft_counts
from debias.strategies.logit_adjustment import ConditionalLogitAdjustment
from debias.types import Batch, Groups
from parity_checks.cases import bare
from parity_checks.games import SAMPLES, STEPS, Normalised, batches, descent, play, states_apart
from parity_checks.official import Clones
from parity_checks.rows import Row

REPOSITORY = "tsirif/uLA"
SPACE = {
    "pl": SimpleNamespace(LightningModule=object), "MLP": None, "dist": distributed,
    "torchvision": SimpleNamespace(models=SimpleNamespace(resnet18=None, resnet50=None)),
}  # fmt: skip
#: What their training is set to: logit adjustment without group mixup, for three classes.
FIXED = {
    "no_channel_last": True, "generation": torch.tensor(1), "train_with_ula": True,
    "training": True, "task_classes": 3, "use_group_mixup": False,
}  # fmt: skip


def ula(clones: Clones) -> Iterator[Row]:
    average = clones.take(REPOSITORY, "ula/utils/misc.py", "EMA")["EMA"]
    name = "UnsupervisedLogitAdjustment"
    code = clones.take(REPOSITORY, "ula/methods/ula.py", name, space=SPACE)

    def case(seed: int) -> float:
        torch.manual_seed(seed)
        model, proxy = Normalised(), nn.Linear(10, 3)
        whole = batches(seed, size=SAMPLES)[0]
        temperature, tau = (1.0, 0.3, 2.0)[seed % 3], (1.0, 0.5)[seed % 2]
        network = deepcopy(model)
        learner = bare(code[name], {
            "biased_classifier": proxy, "classifier": lambda x: network(x).logits,
            "confusion_mat_estimate": average(torch.ones(3, 3) / 9, momentum=0.9),
            "teacher_τ": temperature, "student_τ": tau, **FIXED,
        })  # fmt: skip
        optimizer = descent(network.parameters())
        for _ in range(STEPS):
            optimizer.zero_grad()
            logits = learner.forward(whole.image, whole.target)["logits"]
            F.cross_entropy(logits, whole.target).backward()
            optimizer.step()
        play(model, *_ours(whole, proxy(whole.image).detach(), temperature, tau))
        return states_apart([network], [model])

    compared = (
        "network after 12 steps beside a frozen proxy: soft counts, hard look-up; batches are all "
        "samples, so that their average is exact"
    )
    because = "our priors are float32"
    yield code.row("ula", compared, map(case, range(6)), bar=1e-5, because=because)


def _ours(
    whole: Batch, logits: torch.Tensor, temperature: float, tau: float
) -> tuple[Any, list[Batch]]:
    """Our strategy and its batches, with the values that the recipe gives them."""
    present, bias = logits.argmax(dim=1).unique(return_inverse=True)
    counts = soft_counts(logits, whole.target, temperature=temperature)[:, present]
    groups = Groups(("a", "b", "c"), tuple(map(str, present.tolist())))
    strategy = ConditionalLogitAdjustment(
        groups, torch.zeros(groups.count), tau=tau, soft_counts=tuple(counts.flatten().tolist())
    )
    return strategy, [whole._replace(bias=bias)] * STEPS
