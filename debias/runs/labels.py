"""Which true group labels a run reads, for its report and a sweep's protocol."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

from debias import components
from debias.config import Config
from debias.metrics.selection import GROUP_RULES, chosen_rule
from debias.runs.run import Recipe, Run


def labels_read(config: Config, recipe: Recipe, *, labelled: bool = True) -> str:
    """True group labels that a run reads, its early stages and its recipe included, as
    :func:`group_labels` says it.

    Args:
        config: of the run.
        recipe: of the run.
        labelled: whether some validation image has a bias label, as is assumed while the data are
            not read.
    """
    read = set(recipe.labels())
    for stage in recipe.stages(Run(config, Path(config.out))):
        if _asks(components.requirements(stage)) and "train" not in _replaced(stage):
            read.add("train")
    inferred = (*recipe.infers, *_replaced(config))
    rule = chosen_rule(config.select, labelled=labelled)
    return group_labels(components.requirements(config), rule, inferred=inferred, read=read)


def group_labels(
    required: tuple[str, ...],
    rule: str,
    *,
    inferred: Collection[str] = (),
    read: Collection[str] = (),
) -> str:
    """True group labels a run saw: of training, where a component asks for them; of validation,
    where the rule does.

    Args:
        required: what its components ask of the training data.
        rule: that selects an epoch.
        inferred: splits in which inferred groups stand in for the labels.
        read: splits whose labels are read all the same.
    """
    asked = {"train": _asks(required), "val": rule in GROUP_RULES}
    seen = [
        split for split, used in asked.items() if (used and split not in inferred) or split in read
    ]
    return "+".join(seen) or "none"


def _asks(required: tuple[str, ...]) -> bool:
    return "bias" in required or "some bias" in required


def _replaced(config: Config) -> tuple[str, ...]:
    """Splits for whose labels a file stands in."""
    return tuple(config.groups.splits) if config.groups.file else ()
