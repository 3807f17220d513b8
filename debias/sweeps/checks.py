"""Find the mistakes in the configs of a sweep before any run starts, without reading data."""

import json
from collections.abc import Sequence

from debias import components
from debias.config import Config
from debias.errors import InputError
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
    from debias.checks import check_numbers
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
            components.check_batch_size(run.config)
            check_effects(run.config)
    check_runs(labels, runs)


def _check_options(config: Config, passed: set[str]) -> None:
    for kind in (*components.TABLES, "model"):
        section = getattr(config, kind)
        written = json.dumps([kind, section], sort_keys=True)
        if written in passed:
            continue
        if kind == "augment":
            components.augmentations(config)
        else:
            components.component(kind, section)
        passed.add(written)
