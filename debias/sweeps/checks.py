"""What can be wrong with a run before its data are read, found before any run starts."""

import json
from collections.abc import Sequence

from debias import components
from debias.config import Config
from debias.errors import InputError
from debias.sweeps.plan import PlannedRun, mistakes_of
from debias.sweeps.protocol import check_runs


def check(runs: Sequence[PlannedRun], labels: str | None = None) -> None:
    """Refuse a sweep of which some run names a component, an option or a number that cannot be.

    Args:
        runs: of the sweep; what several of them share is checked once.
        labels: group labels that they may read, see :mod:`debias.sweeps.protocol`; any if ``None``.

    Raises:
        ValueError: naming the config, the key and the nearest valid one.
    """
    from debias.checks import check_numbers
    from debias.evaluation.measures import chosen_families

    passed: set[str] = set()
    for run in runs:
        with mistakes_of(run.settings):
            check_numbers(run.config)
            chosen_families(run.config.measures)
            if run.config.devices > 1:
                raise InputError(
                    f"a sweep gives each run one device; got devices={run.config.devices}"
                )
            _check_options(run.config, passed)
            components.check_batch_size(run.config)
    check_runs(labels, runs)


def _check_options(config: Config, passed: set[str]) -> None:
    for kind in (*components.TABLES, "model"):
        section = getattr(config, kind)
        written = json.dumps([kind, section], sort_keys=True)
        if written not in passed:
            components.component(kind, section)
            passed.add(written)
