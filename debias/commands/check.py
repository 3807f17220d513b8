"""``debias check``: validate a config and its data without training."""

from collections.abc import Sequence
from pathlib import Path

from debias import components
from debias import config as configs
from debias.data.examples import SPLITS, Examples
from debias.metrics.selection import chosen_rule
from debias.runs.run import Recipe, Run


def run(config: str, overrides: list[str]) -> None:
    """Build every object of a run and decode every image, then print what would be trained.

    Raises:
        ValueError: the config or the data has a mistake.
    """
    chosen = configs.load(config, overrides)
    recipe: Recipe = components.construct("recipe", chosen.recipe, {})
    run = Run(chosen, Path(chosen.out) / configs.run_name(chosen))
    parts = run.check(recipe)
    parts.data.decode()
    _print_images(parts.examples)
    parameters = sum(parameter.numel() for parameter in parts.module.model.parameters())
    where = f"{parts.precision} on {parts.accelerator}"
    print(f"model {chosen.model['name']}: {parameters:,} parameters, {where}")
    rule = chosen_rule(chosen.select, labelled=bool(parts.data.examples.frequencies("val").any()))
    epoch = f"an epoch visits {len(parts.data.order)} images"
    print(f"{epoch}; {chosen.epochs} epochs; selected by {rule}")
    print(f"run {run.folder.name}: ready")


def _print_images(examples: Examples) -> None:
    """Print the number of images per group.

    If some bias labels are unknown, print a second table with the number per class.
    """
    groups = examples.groups
    masks = "yes" if "mask" in examples.provides else "no"
    print(f"{examples.source}: {len(examples)} images, masks: {masks}")
    unknown = [int((examples.bias[examples.rows(split)] < 0).sum()) for split in SPLITS]
    counts = [
        [*examples.frequencies(split).tolist(), count]
        for split, count in zip(SPLITS, unknown, strict=True)
    ]
    if sum(unknown) < len(examples):
        names = [*groups.names, "unknown bias"] if any(unknown) else groups.names
        _print_counts(["group", *SPLITS], names, counts)
    else:
        print("the bias of every image is unknown: there are no groups; results are per class")
    if any(unknown):
        classes = [examples.class_counts(split).tolist() for split in SPLITS]
        _print_counts(["class", *SPLITS], groups.target_names, classes)


def _print_counts(
    header: Sequence[str], names: Sequence[str], counts: Sequence[Sequence[int]]
) -> None:
    width = max(map(len, [header[0], *names]))
    print(f"{header[0]:{width}}", *(f"{split:>8}" for split in header[1:]))
    for name, *row in zip(names, *counts, strict=False):
        print(f"{name:{width}}", *(f"{count:8d}" for count in row))
