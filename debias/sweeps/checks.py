"""Find the mistakes in the configs of a sweep before any run starts, without reading data."""

import json
from collections.abc import Sequence
from pathlib import Path

from debias import components
from debias.config import Config
from debias.errors import InputError
from debias.merging import Section
from debias.own_parts import is_own
from debias.presets import is_preset, preset
from debias.readers import DRAWN
from debias.storage.urls import is_url
from debias.sweeps.plan import PlannedRun, mistakes_of
from debias.sweeps.protocol import check_runs


def check(runs: Sequence[PlannedRun], labels: str | None = None) -> None:
    """Check the component names, options and numbers in the configs of all runs of a sweep.

    Args:
        runs: all runs of the sweep. A section that several runs share is checked once.
        labels: the protocol of the sweep, see :mod:`debias.sweeps.protocol`. ``None`` allows all
            group labels.

    Raises:
        ValueError: a config has an unknown name or a value out of range, ``devices`` or ``nodes``
            is more than 1, or a run reads group labels that the protocol does not allow. The
            message names the config and the key.
    """
    from debias.checks import check_batch_size, check_numbers
    from debias.evaluation.measures import chosen_families
    from debias.idle import check_effects

    passed: set[str] = set()
    for run in runs:
        with mistakes_of(run.settings):
            check_numbers(run.config)
            chosen_families(run.config.measures)
            for key, number in {"devices": run.config.devices, "nodes": run.config.nodes}.items():
                if number > 1:
                    raise InputError(f"{key} must be 1 in a sweep; got {key}={number}")
            _check_options(run.config, passed)
            components.optimizers(run.config)
            strategy = components.find("strategy", run.config.strategy["name"])
            check_batch_size(run.config, strategy.smallest_batch)
            check_effects(run.config)
    check_runs(labels, runs)


def check_here(runs: Sequence[PlannedRun]) -> None:
    """Check that this machine has what all runs of a sweep need before they read their data.

    Args:
        runs: the runs that are left to train here.

    Raises:
        ValueError: a folder of data, a file of groups, a model of timm or an accelerator is absent.
    """
    from debias.devices import resolve_accelerator
    from debias.models.timm_names import check_name

    if absent := absent_roots([run for run in runs if _root_of(run.config.data) is not None]):
        raise InputError(absent[0])
    for path in dict.fromkeys(run.config.groups.file for run in runs):
        if path and not Path(path).is_file():
            raise InputError(
                f"groups.file={path} is not a file: make one with `debias infer-groups`"
            )
    for name in dict.fromkeys(run.config.model["name"] for run in runs):
        if name not in components.MODELS and not is_own(name):
            check_name(name, pretrained=False)
    for accelerator in dict.fromkeys(run.config.accelerator for run in runs):
        resolve_accelerator(accelerator)


def absent_roots(runs: Sequence[PlannedRun]) -> list[str]:
    """One line per folder of data that training would not find."""
    roots = dict.fromkeys(_root_of(run.config.data) for run in runs)
    return [
        "data.root is not set: add data.root=PATH, the folder of the data, to train"
        if root is None
        else f"data.root={root} does not exist: put the data there, or correct the path, to train"
        for root in roots
        if root is None or not (is_url(root) or Path(root).exists())
    ]


def _root_of(data: Section) -> str | None:
    """The folder of a data set: as set, or else the default of its reader, if it has one. For a set
    that is drawn, or of a user's own loader, any existing folder.
    """
    name = data["name"]
    if is_own(name) or (preset(name).reader if is_preset(name) else name) in DRAWN:
        return "."
    default = components.options(components.find("data", data["name"])).get("root")
    root = data.get("root", default)
    return root if isinstance(root, str) else None


def _check_options(config: Config, passed: set[str]) -> None:
    for kind in (*components.TABLES, "model"):
        section = getattr(config, kind)
        written = json.dumps([kind, section], sort_keys=True)
        if written in passed:
            continue
        if kind == "augment":
            components.augmentations(config)
        elif kind == "preprocessing":
            components.construct(kind, section, {})
        else:
            components.component(kind, section)
        passed.add(written)
