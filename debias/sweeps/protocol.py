"""Which group labels a comparison may use, and the seeds that choose and judge settings.

Methods compare only under the same knowledge: one that was tuned on the worst group of validation
knows its groups, whatever its loss reads.
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

#: The splits whose group labels may be read, by name; nobody's inferred groups are labels.
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
    """What a sweep's tables say of how their figures came about.

    Args:
        labels: a key of ``LABELS``.
        objectives: by which a search chose settings, on validation; none where nothing was
            searched.
        trials: settings that it tried for each config.
        search_seeds: of these.
        final_seeds: of the runs that the tables report.
    """

    labels: str
    objectives: tuple[str, ...] = ()
    trials: int = 0
    search_seeds: tuple[int, ...] = ()
    final_seeds: tuple[int, ...] = ()

    def sentence(self) -> str:
        """The protocol in words.

        Example:
            >>> Protocol("validation_groups_unknown").sentence()
            'Protocol validation_groups_unknown: no group labels were used.'
        """
        text = f"Protocol {self.labels}: {_MEANINGS[self.labels]}."
        if not self.objectives:
            return text
        tried = ", ".join(map(str, self.search_seeds))
        found = ", ".join(map(str, self.final_seeds))
        objectives = " and ".join(self.objectives)
        chosen = f"{self.trials} settings a config, chosen by {objectives} on validation"
        return f"{text} Settings: {chosen} (seeds {tried}); reported are fresh seeds ({found})."


def check_runs(labels: str | None, runs: Iterable[PlannedRun]) -> None:
    """Refuse runs that read group labels which the protocol does not allow.

    Args:
        labels: a key of ``LABELS``; ``None`` allows all.
        runs: of the sweep.

    Raises:
        ValueError: an unknown protocol, or a run with its config, what it reads, and the remedy.
    """
    if labels is None:
        return
    allowed = allowed_splits(labels)
    for run in runs:
        with mistakes_of(run.settings):
            read = _splits_read(run)
        if extra := [split for split in read if split not in allowed]:
            raise InputError(
                f"{run.settings}: reads the group labels of {' and '.join(extra)}, which "
                f"labels={labels} does not allow: {_remedy(extra, run)}"
            )


def allowed_splits(labels: str) -> tuple[str, ...]:
    """The splits whose group labels a protocol allows.

    Raises:
        ValueError: it is unknown.
    """
    if labels not in LABELS:
        raise InputError(f"unknown protocol labels={labels!r}; {near(labels, LABELS)}")
    return LABELS[labels]


def write_protocol(out: Path, protocol: Protocol | None) -> None:
    """Note in a sweep's folder under which protocol its runs are; the last counts."""
    if protocol is None:
        (out / FILE).unlink(missing_ok=True)
    else:
        write_atomically(out / FILE, json_text(asdict(protocol)))


def read_protocol(out: Path) -> Protocol | None:
    """The protocol of a sweep's folder; ``None`` where it declares none."""
    if not (out / FILE).is_file():
        return None
    types: dict[str, Types] = {"labels": str, "objectives": list, "trials": int}
    types |= {"search_seeds": list, "final_seeds": list}
    remedy = "write it again with the same `debias sweep run` or `debias sweep search`"
    found = read_json(out / FILE, dict, entries=types, remedy=remedy)
    allowed_splits(found["labels"])
    listed = (tuple(found[key]) for key in ("objectives", "search_seeds", "final_seeds"))
    objectives, search_seeds, final_seeds = listed
    return Protocol(found["labels"], objectives, found["trials"], search_seeds, final_seeds)


def _splits_read(run: PlannedRun) -> Sequence[str]:
    from debias.runs.description import labels_read

    recipe = components.construct("recipe", run.config.recipe, {})
    read = labels_read(run.config, recipe).split("+")
    return [split for split in LABELS["training_groups_known"] if split in read]


def _remedy(extra: Sequence[str], run: PlannedRun) -> str:
    from debias.metrics.selection import AUTO, GROUP_RULES, RULES

    if extra == ["val"] and run.config.select in (AUTO, *GROUP_RULES):
        return " or ".join(f"select={rule}" for rule in RULES if rule not in GROUP_RULES)
    wider = [name for name, splits in LABELS.items() if set(extra) <= set(splits)]
    return f"leave it out, or declare labels={wider[0]}"
