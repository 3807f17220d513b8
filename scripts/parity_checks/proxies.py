"""Compares uLA's proxy of the bias, and the training beside it, with the authors' model."""

from collections.abc import Iterator
from copy import deepcopy
from types import SimpleNamespace
from typing import Any

import torch
from torch import distributed, nn
from torch.nn import functional as F

from debias.data.orders import seeded_generator
from debias.group_inference.proxies import soft_counts
from debias.heads.linear import Heads, Rows
from debias.heads.orders import shuffled_order
from debias.metrics.exact_metrics import GroupCounts
from debias.recipes.ula import ULA
from debias.strategies.logit_adjustment import ConditionalLogitAdjustment
from debias.types import Batch, Groups
from parity_checks.cases import apart, bare
from parity_checks.games import SAMPLES, STEPS, Normalised, batches, descent, play, states_apart
from parity_checks.official import Clones, Piece
from parity_checks.rows import Row

REPOSITORY = "tsirif/uLA"
PATH, NAME = "ula/methods/ula.py", "UnsupervisedLogitAdjustment"


class Module:
    """In place of Lightning's."""

    def __call__(self, *inputs: Any) -> Any:
        return self.forward(*inputs)  # type: ignore[attr-defined]


SPACE: dict[str, Any] = {
    "pl": SimpleNamespace(LightningModule=Module), "MLP": None, "dist": distributed,
    "torchvision": SimpleNamespace(models=SimpleNamespace(resnet18=None, resnet50=None)),
}  # fmt: skip
#: What their training is set to: logit adjustment without group mixup, for three classes.
FIXED = {
    "no_channel_last": True, "generation": torch.tensor(1), "train_with_ula": True,
    "training": True, "task_classes": 3, "use_group_mixup": False,
}  # fmt: skip


def ula(clones: Clones) -> Iterator[Row]:
    average = clones.take(REPOSITORY, "ula/utils/misc.py", "EMA")["EMA"]
    code = clones.take(REPOSITORY, PATH, NAME, space=SPACE)

    def case(seed: int) -> float:
        torch.manual_seed(seed)
        model, proxy = Normalised(), nn.Linear(10, 3)
        whole = batches(seed, size=SAMPLES)[0]
        temperature, tau = (1.0, 0.3, 2.0)[seed % 3], (1.0, 0.5)[seed % 2]
        network = deepcopy(model)
        learner = bare(code[NAME], {
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


def probe(clones: Clones) -> Iterator[Row]:
    names = ("accuracy_at_k", "bias_super_balanced_accuracy", "bias_unsuper_balanced_accuracy")
    metrics = clones.take(REPOSITORY, "ula/utils/metrics.py", *names)
    code = clones.take(REPOSITORY, PATH, NAME, space=SPACE | {names[0]: metrics[names[0]]})

    def case(seed: int) -> float:
        torch.manual_seed(seed)
        rows = Rows(torch.randn(90, 5), *torch.randint(3, (2, 90)))
        start = Heads(torch.randn(1, 3, 5), torch.randn(1, 3))
        frozen: Any = SimpleNamespace(rows=lambda _: rows, fresh_head=lambda _: start)
        ours = ULA(epochs=3, learning_rate=0.2, batch_size=15)._probe(frozen, seed)
        theirs = _first_generation(code, start.linear(0), rows, seed)
        with torch.no_grad():
            proxy, found = theirs(rows.features).argmax(dim=1), rows.group
        right = (found == rows.target).double()
        scores = metrics[names[2]](right, proxy, rows.target, num_classes=torch.tensor([3, 3]))
        counts = GroupCounts(Groups(("a", "b", "c"), ("x", "y", "z")))
        of_groups = counts(found, rows.target, ours(rows.features).argmax(dim=1))
        own = [of_groups[name] for name in ("group_balanced", "worst_group")]
        return max(states_apart([theirs], [ours]), apart(scores, own))

    compared = (
        "the proxy after 3 epochs on frozen features, and two scores of predictions by its groups"
    )
    yield code.row("ula", compared, map(case, range(6)), bar=1e-10)


def _first_generation(code: Piece, layer: nn.Linear, rows: Rows, seed: int) -> nn.Linear:
    """Their steps before the debiased network exists, on our batches."""
    learner = bare(code[NAME], {
        "no_channel_last": True, "generation": torch.tensor(0), "train_with_ula": False,
        "training": True, "task_classes": 3, "classifier": layer, "num_classes": torch.tensor([3]),
        "task": torch.tensor([0]), "target_variable": 0, "class_loss_func": F.cross_entropy,
        "log_dict": lambda *_, **__: None,
    })  # fmt: skip
    optimizer = descent(layer.parameters())
    generator = seeded_generator(seed)
    for batch in shuffled_order(90, batch_size=15, steps=18, generator=generator):
        optimizer.zero_grad()
        learner.training_step([batch, rows.features[batch], rows.target[batch]], 0).backward()
        optimizer.step()
    return layer
