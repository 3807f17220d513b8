"""Zero-shot heads on drawn birds, where means of the features of a few images stand for texts.

usage: python experiments/zero_shot/run.py [SEEDS]    # writes runs.csv beside this file
"""

import csv
import sys
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

import debias
from debias.evaluation.predictions import features_of
from debias.evaluation.saved import finished

OUT = Path("runs/zero_shot")
#: Images per class whose mean stands for the text of the class, and images per group for others.
PER_CLASS, PER_GROUP = 20, 10
SETTINGS = ["data.train=1000", "data.aligned=0.75", "preprocessing.size=32", f"out={OUT}"]
PROJECTIONS = ("none", "orthogonal", "calibrated")
SCORES = ("worst_group", "adjusted_average", "average")


def write_texts(run: Path, folder: Path, seed: int) -> None:
    """Write a table of prompts, and the means of features in place of their embeddings."""
    parts, generator = finished(run), torch.Generator().manual_seed(seed)
    names = parts.examples.groups
    features = {
        split: features_of(parts, split, progress=False).cpu() for split in ("train", "val")
    }

    def mean(split: str, rows: Tensor, count: int) -> Tensor:
        drawn = rows[torch.randperm(len(rows), generator=generator)[:count]]
        return features[split][drawn].double().mean(dim=0)

    labels = {
        split: (parts.examples.target[rows], parts.examples.bias[rows])
        for split in features
        for rows in (parts.examples.rows(split),)
    }
    prompts: list[tuple[tuple[str, str, str], Tensor]] = []
    for y, name in enumerate(names.target_names):
        rows = (labels["train"][0] == y).nonzero().flatten()
        prompts.append((("class", name, ""), mean("train", rows, PER_CLASS)))
    target, bias = labels["val"]
    group = {
        (y, b): mean("val", ((target == y) & (bias == b)).nonzero().flatten(), PER_GROUP)
        for y in range(names.rows)
        for b in range(names.biases)
    }
    for b, place in enumerate(names.bias_names):
        means = [group[y, b] for y in range(names.rows)]
        prompts.append((("spurious", "", place), torch.stack(means).mean(dim=0)))
    for (y, b), value in group.items():
        role = ("candidate", names.target_names[y], names.bias_names[b])
        prompts.append((role, value))
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "prompts.csv").open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(("role", "class", "attribute", "text"))
        writer.writerows((*role, f"mean of images: {' '.join(role)}") for role, _ in prompts)
    np.save(folder / "texts.npy", torch.stack([value for _, value in prompts]).numpy())


def row_of(method: str, run: debias.TrainedRun) -> dict[str, Any]:
    """The row of a run in ``runs.csv``."""
    report = run.report
    scores = {name: report.test.scalars[name] for name in SCORES}
    groups = {f"accuracy/{name}": value for name, value in run.table()["accuracy"].items()}
    labels = report.strategy.group_labels
    facts = {"method": method, "status": "done", "group_labels": labels, "seed": report.seed}
    return {**facts, **scores, **groups, "seconds_per_epoch": report.seconds.epoch}


def runs_of(seed: int) -> list[dict[str, Any]]:
    """Train the tower of a seed, and every head on it."""
    settings = [*SETTINGS, f"seed={seed}"]
    tower = debias.train("drawn_birds", settings)
    rows = [row_of("erm", tower)]
    folder = OUT / "texts" / str(seed)
    write_texts(tower.folder, folder, seed)
    backbone = f"recipe.backbone={tower.folder}"
    files = [f"recipe.prompts={folder}/prompts.csv", f"recipe.embeddings={folder}/texts.npy"]
    for projection in PROJECTIONS:
        options = ["recipe.name=zero_shot", f"recipe.projection={projection}", backbone, *files]
        run = debias.train("drawn_birds", [*settings, "select=average", *options])
        rows.append(row_of(f"zero_shot ({projection})", run))
    dfr = debias.train("drawn_birds", [*settings, "recipe.name=dfr", backbone])
    return [*rows, row_of("dfr", dfr)]


def main(seeds: int) -> None:
    """Run the seeds, and write the table of their runs."""
    rows = [row for seed in range(seeds) for row in runs_of(seed)]
    with (Path(__file__).parent / "runs.csv").open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, rows[0].keys())
        writer.writeheader()
        writer.writerows(rows)


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 3)
