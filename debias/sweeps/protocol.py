"""The protocol of a sweep: which group labels its runs may use, and which seeds are reported.

Methods are comparable only if they use the same labels. A method tuned on worst-group validation
accuracy uses the group labels of validation, even if its loss reads none.
"""

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from debias import components
from debias.errors import InputError, near
from debias.files import write_atomically
from debias.json_files import Types, json_text, read_json
from debias.sweeps.plan import PlannedRun, mistakes_of

FILE = "protocol.json"

#: The splits whose group labels each protocol allows to read. Inferred groups are not labels.
LABELS: dict[str, tuple[str, ...]] = {
    "validation_groups_unknown": (),
    "validation_groups_known": ("val",),
    "training_groups_known": ("train", "val"),
}
_MEANINGS = {
    "validation_groups_unknown": "no group labels were used",
    "validation_groups_known": "group labels of validation may be used, none of training",
    "training_groups_known": "group labels of training and validation may be used",
}


@dataclass(frozen=True)
class Protocol:
    """How the results of a sweep were obtained, for its tables.

    Args:
        labels: which group labels the runs may use, a key of ``LABELS``.
        objectives: validation metrics that a search optimised; empty without a search.
        trials: number of settings that the search tried per config.
        search_seeds: seeds of the trials.
        final_seeds: seeds of the runs that the tables report.
    """

    labels: str
    objectives: tuple[str, ...] = ()
    trials: int = 0
    search_seeds: tuple[int, ...] = ()
    final_seeds: tuple[int, ...] = ()

    def sentence(self) -> str:
        """Describe the protocol in one or two sentences.

        Example:
            >>> Protocol("validation_groups_unknown").sentence()
            'Protocol validation_groups_unknown: no group labels were used.'
        """
        text = f"Protocol {self.labels}: {_MEANINGS[self.labels]}."
        if not self.objectives:
            return text
        search_seeds = ", ".join(map(str, self.search_seeds))
        final_seeds = ", ".join(map(str, self.final_seeds))
        objectives = " and ".join(self.objectives)
        return (
            f"{text} A search tried {self.trials} settings per config (seeds {search_seeds}) and "
            f"chose by {objectives} on validation. The tables report new seeds ({final_seeds})."
        )


def check_runs(labels: str | None, runs: Iterable[PlannedRun]) -> None:
    """Check that the runs read only the group labels that the protocol allows.

    Args:
        labels: the protocol, a key of ``LABELS``; ``None`` allows all group labels.
        runs: runs of the sweep.

    Raises:
        ValueError: ``labels`` is not a key of ``LABELS``, or a run reads the group labels of
            another split.
    """
    if labels is None:
        return
    allowed = allowed_splits(labels)
    for run in runs:
        with mistakes_of(run.settings):
            read = _splits_read(run)
        if extra := [split for split in read if split not in allowed]:
            raise InputError(
                f"{run.settings} reads the group labels of {' and '.join(extra)}, which "
                f"labels={labels} does not allow. {_remedy(extra, run)}"
            )


def allowed_splits(labels: str) -> tuple[str, ...]:
    """The splits whose group labels a protocol allows to read.

    Raises:
        ValueError: ``labels`` is not a key of ``LABELS``.
    """
    if labels not in LABELS:
        raise InputError(f"unknown protocol labels={labels!r}; {near(labels, LABELS)}")
    return LABELS[labels]


def write_protocol(out: Path, protocol: Protocol | None) -> None:
    """Write the protocol of a sweep into its folder. ``None`` deletes the earlier one."""
    if protocol is None:
        (out / FILE).unlink(missing_ok=True)
    else:
        write_atomically(out / FILE, json_text(asdict(protocol)))


def read_protocol(out: Path) -> Protocol | None:
    """Read the protocol of a sweep from its folder; ``None`` if the folder has none."""
    if not (out / FILE).is_file():
        return None
    types: dict[str, Types] = {"labels": str, "objectives": list, "trials": int}
    types |= {"search_seeds": list, "final_seeds": list}
    remedy = "write it again with the same `debias sweep run` or `debias sweep search`"
    entries = read_json(out / FILE, dict, entries=types, remedy=remedy)
    allowed_splits(entries["labels"])
    listed = (tuple(entries[key]) for key in ("objectives", "search_seeds", "final_seeds"))
    objectives, search_seeds, final_seeds = listed
    return Protocol(entries["labels"], objectives, entries["trials"], search_seeds, final_seeds)


def _splits_read(run: PlannedRun) -> Sequence[str]:
    from debias.runs.description import labels_read

    recipe = components.construct("recipe", run.config.recipe, {})
    read = labels_read(run.config, recipe).split("+")
    return [split for split in LABELS["training_groups_known"] if split in read]


def _remedy(extra: Sequence[str], run: PlannedRun) -> str:
    from debias.metrics.selection import AUTO, GROUP_RULES, RULES

    if extra == ["val"] and run.config.select in (AUTO, *GROUP_RULES):
        rules = [f"select={rule}" for rule in RULES if rule not in GROUP_RULES]
        return f"Use {' or '.join(rules)}"
    wider = [name for name, splits in LABELS.items() if set(extra) <= set(splits)]
    return f"Leave the run out, or declare labels={wider[0]}"
