"""Trains every method against contextual bias on drawn shapes, and prints a table.

usage: python experiments/context/compare.py [SEEDS]

Each seed trains one standard model. Every method then trains a copy of it further, in a plain loop,
with equally many steps on the same batches. Each method is one line, its mean and deviation.
"""

import copy
import sys
from typing import Any

import torch
from torch import Tensor, nn

from debias import components, config
from debias.build import facts_of
from debias.data.examples import Examples
from debias.metrics.shortcuts.context import context_report
from debias.types import Batch

FIRST, FURTHER, SIZE = 12, 4, 64
METHODS: dict[str, dict[str, Any]] = {
    "erm": {"name": "erm"},
    "context_weighting, label": {"name": "context_weighting", "rule": "label"},
    "context_weighting, context": {"name": "context_weighting", "rule": "context"},
    "context_weighting, balanced": {"name": "context_weighting", "rule": "balanced"},
    "attribute_decorrelation": {"name": "attribute_decorrelation", "strength": 0.001},
    "context_cam": {"name": "context_cam"},
    "context_cam, overlap 1": {"name": "context_cam", "overlap_weight": 1.0},
    "feature_split": {"name": "feature_split"},
}
NUMBERS = ("exclusive_precision", "cooccurring_precision", "mean_precision", "contextual_bias")


def train(
    model: nn.Module, section: dict[str, Any], data: tuple[Examples, Tensor], seed: int, **how: Any
) -> None:
    """Train a model further with a strategy; ``how`` has epochs and lr."""
    examples, images = data
    facts = facts_of(examples, seed) | {"model": model, "image": images[:1]}
    strategy = components.construct("strategy", section, facts)
    rows, generator = examples.rows("train"), torch.Generator().manual_seed(seed)
    (owned,) = strategy.players(model).values()
    optimizer = torch.optim.AdamW(owned, lr=how["lr"])
    steps = how["epochs"] * (len(rows) // SIZE)
    scheduler = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
    model.train()
    for step in range(steps):
        if step % (len(rows) // SIZE) == 0:
            order = rows[torch.randperm(len(rows), generator=generator)]
        chosen = order[step % (len(rows) // SIZE) * SIZE :][:SIZE]
        batch = Batch(images[chosen], examples.target[chosen], examples.bias[chosen], chosen)
        optimizer.zero_grad()
        strategy.loss(model, batch).total.backward()
        optimizer.step()
        scheduler.step()


@torch.no_grad()
def measured(model: nn.Module, data: tuple[Examples, Tensor]) -> list[float]:
    """The numbers of the table, on the test split."""
    examples, images = data
    rows, groups = examples.rows("test"), examples.groups
    model.eval()
    scores = torch.cat([model(images[part]).logits for part in rows.split(250)]).sigmoid()
    report = context_report(scores, examples.target[rows], groups.contexts, groups.label_names)
    return [report[name] for name in NUMBERS]


def main(seeds: int) -> None:
    """Train, and print the table."""
    loaded = config.load("drawn_shapes")
    mean, std = (torch.tensor(loaded.model[key])[:, None, None] for key in ("mean", "std"))
    found: dict[str, list[list[float]]] = {name: [] for name in ("standard", *METHODS)}
    for seed in range(seeds):
        options = {"root": "data/drawn_shapes", "train": 2000, "val": 8, "seed": seed}
        examples = components.construct("data", {**loaded.data, **options}, {})
        pixels = [torch.from_numpy(examples.store.read(row)) for row in range(len(examples))]
        images = (torch.stack(pixels).permute(0, 3, 1, 2) / 255 - mean) / std
        data = examples, images.contiguous(memory_format=torch.channels_last)
        torch.manual_seed(seed)
        standard = components.construct("model", loaded.model, {"outputs": 4})
        standard.to(memory_format=torch.channels_last)
        train(standard, {"name": "erm"}, data, seed, epochs=FIRST, lr=5e-3)
        found["standard"].append(measured(standard, data))
        for name, section in METHODS.items():
            model = copy.deepcopy(standard)
            train(model, section, data, seed + 100, epochs=FURTHER, lr=1e-3)
            found[name].append(measured(model, data))
            print(seed, name, *(f"{value:.3f}" for value in found[name][-1]), file=sys.stderr)
    print("| method | " + " | ".join(NUMBERS) + " |\n" + "| --- |" + " ---: |" * len(NUMBERS))
    for name, values in found.items():
        table = 100 * torch.tensor(values)
        table[:, -1] /= 100
        cells = zip(table.mean(dim=0).tolist(), table.std(dim=0).tolist(), strict=True)
        print(f"| {name} | " + " | ".join(f"{m:.1f} ± {s:.1f}" for m, s in cells) + " |")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 3)
