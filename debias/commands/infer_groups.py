"""``debias infer-groups``: infer groups from a finished run's predictions, to train on."""

import warnings
from collections.abc import Callable, Iterator
from pathlib import Path

import torch
from torch import Tensor

from debias import components
from debias import config as configs
from debias.commands.keys import check_data_keys
from debias.data.examples import Examples
from debias.data.orders import seeded_generator
from debias.data.partition import read_inferred, write_inferred
from debias.errors import InputError, near, shown
from debias.group_inference.clusters import class_clusters
from debias.group_inference.environments import environment_weights
from debias.group_inference.errors import error_set
from debias.merging import Settings, split_overrides, taken
from debias.metrics.accuracy.counts import aligned_groups
from debias.metrics.discovery.errors import class_discovery
from debias.metrics.discovery.partitions import agreement_report, environment_recovery
from debias.reports.predictions import read
from debias.reports.record import read_report

SPLITS = ("train", "val")
#: Value of ``method`` for the groups that the run's own recipe inferred, and the file with them.
OWN, GROUPS = "own", "groups.csv"


def run(run: str, overrides: list[str]) -> None:
    """Infer groups of the training and validation images of a run, write them, and print scores.

    A warning names the splits in which the inferred groups equal the classes.

    Args:
        run: folder of a finished run.
        overrides: ``method=jtt|eiil|spare``, or ``method=own`` for the groups that the run's own
            recipe inferred, such as xrm; ``out=FILE``; options of the method; and ``data.KEY``,
            ``seed`` or ``cache_dir`` of the run's config.

    Raises:
        ValueError: the method or an option is unknown, the run is not finished, the data differ
            from the run's, the targets are multi-label, or ``out`` is the file in which the run
            keeps its own groups.
    """
    method, overrides = taken(overrides, "method", "jtt")
    out, overrides = taken(overrides, "out", "groups.csv")
    folder = Path(run)
    read_report(folder)  # raises an error if the run is not finished
    if Path(out).resolve() == (folder / GROUPS).resolve():
        raise InputError(f"out={out} is where {folder} keeps its own groups: give another file")
    own = method == OWN
    groups = _own(folder, overrides) if own else _inferred(folder, overrides, _method(method))
    examples, inferred = groups
    write_inferred(Path(out), examples, inferred)
    for split in SPLITS:
        print("\n".join(_score(examples, inferred, split, ones_are_minorities=not own)))
    _warn_of_classes(examples, inferred)
    print(out)


def errors(logits: Tensor, target: Tensor) -> Tensor:
    """``(N,)`` int64: 1 for misclassified images, 0 for others, as in Just Train Twice."""
    return error_set(logits, target).long()


def environments(
    logits: Tensor, target: Tensor, seed: int, *, steps: int = 10000, learning_rate: float = 1e-3
) -> Tensor:
    """``(N,)`` int64: the environment of each image, 0 or 1, that EIIL infers."""
    generator = seeded_generator(seed)
    weights = environment_weights(
        logits, target, generator, steps=steps, learning_rate=learning_rate
    )
    return (weights > 0.5).long()


def clusters(logits: Tensor, target: Tensor, seed: int, *, largest: int = 5) -> Tensor:
    """``(N,)`` int64: the cluster of each image within its class, by SPARE."""
    return class_clusters(logits.softmax(dim=1), target, seed=seed, largest=largest).inferred


METHODS: dict[str, Callable[..., Tensor]] = {"jtt": errors, "eiil": environments, "spare": clusters}


def _method(name: str) -> Callable[..., Tensor]:
    if name not in METHODS:
        raise InputError(
            f"unknown method {name!r}; {near(name, METHODS)}. The recipes xrm, ssa and cnc infer "
            "groups with networks of their own: train one of them, and use its run with method=own"
        )
    return METHODS[name]


def _own(folder: Path, overrides: list[str]) -> tuple[Examples, Tensor]:
    if not (folder / GROUPS).is_file():
        methods = ", ".join(METHODS)
        raise InputError(f"{folder} has no groups.csv of its own: set method to one of {methods}")
    examples, _ = _data(folder, overrides)
    return examples, read_inferred(folder / GROUPS, examples)


def _inferred(
    folder: Path, overrides: list[str], infer: Callable[..., Tensor]
) -> tuple[Examples, Tensor]:
    own, overrides = split_overrides(overrides, components.options(infer))
    options: Settings = dict(text.split("=", 1) for text in own)
    examples, seed = _data(folder, overrides)
    inferred = torch.full_like(examples.split, -1)
    parts = [read(folder / "predictions" / f"{split}.csv") for split in SPLITS]
    rows = torch.cat([part.index for part in parts])
    paths = [path for part in parts for path in part.paths]
    if len(examples) <= int(rows.max()) or [examples.images[row] for row in rows.tolist()] != paths:
        raise InputError(
            f"the predictions of {folder} are not of the images of {examples.source}: set "
            "data.root to the run's data"
        )
    # both splits at once, so that a value means the same in either
    facts = {
        "logits": torch.cat([part.logits for part in parts]),
        "target": examples.target[rows],
        "seed": seed,
    }
    inferred[rows] = components.call(infer, "method", options, facts)
    return examples, inferred


def _data(folder: Path, overrides: list[str]) -> tuple[Examples, int]:
    """The data of a run, and its seed."""
    config = configs.read(folder / "config.yaml", overrides)
    check_data_keys(overrides)
    examples: Examples = components.construct("data", config.data, {"cache_dir": config.cache_dir})
    own, given = read_report(folder).data.targets, examples.groups.target_names
    if tuple(own) != given:
        raise InputError(
            f"{folder} has the classes {shown(own)}, and {examples.source} has {shown(given)}: "
            "give data with the classes of the run, in the same order"
        )
    return examples, config.seed


def _warn_of_classes(examples: Examples, inferred: Tensor) -> None:
    """Warn of splits in which each class has one inferred value, so that groups are classes."""
    splits = [split for split in SPLITS if _groups_are_classes(examples, inferred, split)]
    if splits:
        warnings.warn(
            f"the inferred groups of {' and '.join(splits)} equal the classes, since each class "
            "has a single value: they contain no bias; use another method, or a run of fewer or "
            "more epochs",
            stacklevel=2,
        )


def _groups_are_classes(examples: Examples, inferred: Tensor, split: str) -> bool:
    rows = examples.rows(split)
    rows = rows[inferred[rows] >= 0]
    target = examples.target[rows].tolist()
    pairs = set(zip(target, inferred[rows].tolist(), strict=True))
    return 0 < len(pairs) == len(set(target))


def _score(
    examples: Examples, inferred: Tensor, split: str, *, ones_are_minorities: bool
) -> Iterator[str]:
    rows = examples.rows(split)
    rows = rows[inferred[rows] >= 0]
    if not len(rows):
        yield f"{split}: nothing was inferred"
        return
    values, target, groups = inferred[rows], examples.target[rows], examples.groups
    true = groups.encode(target, examples.bias[rows])
    sizes = values.bincount().tolist()
    counts = [f"{size} images of value {value}" for value, size in enumerate(sizes)]
    yield f"{split}: {', '.join(counts)}"
    if bool((true < 0).any()):
        yield "    not scored: the bias of some images is unknown"
        return
    scores = agreement_report(target * (int(values.max()) + 1) + values, true)
    if groups.aligned and ones_are_minorities:
        minority = ~aligned_groups(groups)[true]
        discovery = class_discovery(values, target, minority)
        scored = zip(groups.target_names, discovery.precision, discovery.recall, strict=False)
        for name, precision, recall in scored:
            yield f"    minority of {name}: precision {precision:.3f}, recall {recall:.3f}"
        scores |= environment_recovery((values > 0).double(), minority)
    yield from (f"    {name}: {value:.3f}" for name, value in scores.items())
