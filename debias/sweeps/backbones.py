"""Last-layer runs on backbones of the same sweep: find each backbone, and train it first."""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path

from debias.errors import InputError
from debias.merging import Section
from debias.storage.urls import is_url
from debias.sweeps.files import left
from debias.sweeps.plan import PlannedRun

#: The option of a last-layer recipe that names the run whose backbone it uses.
KEY = "recipe.backbone"
#: The name of a config of the sweep in braces, in place of a run's folder.
REFERENCE = re.compile(r"\{(.+)\}")


def with_backbones(
    lines: Iterable[tuple[str, Section]], make: Callable[[str, Section], PlannedRun], beside: Path
) -> Iterator[PlannedRun]:
    """Make the runs of a sweep, and replace ``recipe.backbone="{waterbirds}"`` by a run's folder.

    That run has the config in braces, the same seed, and the same value of every setting that both
    runs vary.

    Args:
        lines: config and settings of each run, including its seed.
        make: makes the run of a config with the given settings.
        beside: folder of the sweep file. Paths of configs are relative to it.

    Raises:
        ValueError: no run or more than one run matches, or the matching run uses a backbone of
            another run itself.
    """
    every = list(lines)
    for source, varied in every:
        reference = REFERENCE.fullmatch(str(varied.get(KEY, "")))
        if not reference:
            yield make(source, varied)
            continue
        name = reference[1]
        if is_url(make(source, varied).config.out):
            raise InputError(
                f"{KEY}={{{name}}} needs a folder of runs on a disk. On object storage, write "
                f"{KEY}=trained: the runs then share the backbone by `share`"
            )
        config = str(beside / name) if (beside / name).is_file() else name
        candidates = [own for other, own in every if other == config]
        backbone = make(config, _backbone_settings(name, varied, candidates))
        run = make(source, {**varied, KEY: str(backbone.folder)})
        # the folder depends on the seed; the name in braces puts all seeds into one row of a table
        override = f"{KEY}={varied[KEY]}"
        shown = (override if text.startswith(f"{KEY}=") else text for text in run.overrides)
        yield PlannedRun(run.source, tuple(shown), run.config)


def _backbone_settings(name: str, varied: Section, candidates: Sequence[Section]) -> Section:
    alike = [own for own in candidates if _agree(own, varied)]
    if len(alike) != 1:
        raise InputError(
            f"{KEY}={{{name}}} must name one run of this sweep with seed={varied['seed']}; got "
            f"{len(alike)} runs. Name a config that has one run for each seed and for each value "
            "of the settings that both vary"
        )
    if KEY in alike[0]:
        raise InputError(
            f"{KEY}={{{name}}} names a config that uses another run's backbone. Name the config "
            "that trains the backbone"
        )
    return alike[0]


def _agree(own: Section, other: Section) -> bool:
    return all(own[key] == other[key] for key in own.keys() & other.keys() - {KEY})


def train_in_waves(
    runs: Sequence[PlannedRun],
    launch: Callable[[list[PlannedRun]], None],
    failed: Callable[[PlannedRun, str], None],
) -> None:
    """Train the unfinished runs of a sweep: first the backbones, then the heads on them.

    Args:
        runs: all runs of the sweep.
        launch: trains the given runs, at least one, and returns when each is done or has failed.
        failed: called with each head whose backbone is not done, and with the reason.
    """
    backbones = backbones_of(runs)
    for wave in waves(runs, backbones):
        heads = [run for run in left(wave) if run.name in backbones]
        orphans = {run.name: run for run in heads if left([backbones[run.name]])}
        if ready := [run for run in left(wave) if run.name not in orphans]:
            launch(ready)
        for name, run in orphans.items():
            backbone = backbones[name].settings
            failed(run, f"not started, because its backbone is not done: {backbone}")


def waves(
    runs: Sequence[PlannedRun], backbones: Mapping[str, PlannedRun]
) -> list[list[PlannedRun]]:
    """Divide runs into lists so that each backbone is in an earlier list than the heads on it.

    Each list keeps the order of the runs.

    Args:
        runs: all runs of the sweep.
        backbones: see :func:`backbones_of`.
    """
    ordered, waiting = [], list(runs)
    while waiting:
        names = {run.name for run in waiting}
        heads = [run for run in waiting if run.name in backbones]
        blocked = {run.name: run for run in heads if backbones[run.name].name in names}
        ordered.append([run for run in waiting if run.name not in blocked])
        waiting = list(blocked.values())
    return ordered


def backbones_of(runs: Sequence[PlannedRun]) -> dict[str, PlannedRun]:
    """Map the name of each run on a backbone of the same sweep to the run that trains it."""
    heads = [run for run in runs if isinstance(run.config.recipe.get("backbone"), str)]
    folders = {run.folder: run for run in runs} if heads else {}
    named = ((run.name, folders.get(Path(run.config.recipe["backbone"]))) for run in heads)
    return {name: backbone for name, backbone in named if backbone}
