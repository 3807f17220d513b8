"""Heads on backbones of the same sweep: which run a config names, and in which order all start."""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path

from debias.errors import InputError
from debias.merging import Section
from debias.sweeps.files import left
from debias.sweeps.plan import PlannedRun

#: The option of a last-layer recipe that names the run whose backbone it takes.
KEY = "recipe.backbone"
#: A config of the sweep, in place of a run's folder.
REFERENCE = re.compile(r"\{(.+)\}")


def with_backbones(
    lines: Iterable[tuple[str, Section]], make: Callable[[str, Section], PlannedRun], beside: Path
) -> Iterator[PlannedRun]:
    """The runs of a sweep; some name another config as their backbone: ``"{waterbirds}"``.

    It stands for the run of that config with the same seed, and with the same value of every
    setting that both vary.

    Args:
        lines: config and settings of each run, the seed included.
        make: the run of a config with settings.
        beside: folder of the sweep file, to which paths of configs are relative.

    Raises:
        ValueError: no run or several are meant, or one that takes a backbone of the sweep itself.
    """
    every = list(lines)
    for source, varied in every:
        found = REFERENCE.fullmatch(str(varied.get(KEY, "")))
        if not found:
            yield make(source, varied)
            continue
        named = found[1] if not (beside / found[1]).is_file() else str(beside / found[1])
        candidates = [own for name, own in every if name == named]
        backbone = make(named, _meant(found[1], varied, candidates))
        run = make(source, {**varied, KEY: str(backbone.folder)})
        # the folder holds the seed: the name is shown, and gathers the seeds of a setting
        named_so = f"{KEY}={varied[KEY]}"
        shown = (named_so if text.startswith(f"{KEY}=") else text for text in run.overrides)
        yield PlannedRun(run.source, tuple(shown), run.config)


def _meant(name: str, varied: Section, candidates: Sequence[Section]) -> Section:
    alike = [own for own in candidates if _agree(own, varied)]
    if len(alike) != 1:
        raise InputError(
            f"{KEY}={{{name}}} names {len(alike)} runs of this sweep with seed={varied['seed']}: "
            "name a config of the sweep that has one for each seed, or for each setting that both "
            "vary"
        )
    if KEY in alike[0]:
        raise InputError(
            f"{KEY}={{{name}}} names runs with a backbone of their own: name the config that "
            "trains one"
        )
    return alike[0]


def _agree(own: Section, other: Section) -> bool:
    return all(own[key] == other[key] for key in own.keys() & other.keys() - {KEY})


def train_in_waves(
    runs: Sequence[PlannedRun],
    launch: Callable[[list[PlannedRun]], None],
    failed: Callable[[PlannedRun, str], None],
) -> None:
    """Train what is not done: a backbone of the sweep before the heads on it, with any launcher.

    Args:
        runs: of the sweep.
        launch: trains runs, and returns once none of them is left to try.
        failed: is called with each head whose backbone is not done, and with the reason.
    """
    backbones = backbones_of(runs)
    for wave in waves(runs, backbones):
        heads = [run for run in left(wave) if run.name in backbones]
        orphans = {run.name: run for run in heads if left([backbones[run.name]])}
        launch([run for run in left(wave) if run.name not in orphans])
        for name, run in orphans.items():
            backbone = backbones[name].settings
            failed(run, f"not started, because its backbone is not done: {backbone}")


def waves(
    runs: Sequence[PlannedRun], backbones: Mapping[str, PlannedRun]
) -> list[list[PlannedRun]]:
    """The runs in groups that are trained one after the other, each in the order of the runs.

    Args:
        runs: of the sweep.
        backbones: see :func:`backbones_of`.
    """
    found, waiting = [], list(runs)
    while waiting:
        names = {run.name for run in waiting}
        heads = [run for run in waiting if run.name in backbones]
        blocked = {run.name: run for run in heads if backbones[run.name].name in names}
        found.append([run for run in waiting if run.name not in blocked])
        waiting = list(blocked.values())
    return found


def backbones_of(runs: Sequence[PlannedRun]) -> dict[str, PlannedRun]:
    """For each run that takes a backbone of the same sweep, the run that trains it."""
    heads = [run for run in runs if isinstance(run.config.recipe.get("backbone"), str)]
    folders = {run.folder: run for run in runs} if heads else {}
    named = ((run.name, folders.get(Path(run.config.recipe["backbone"]))) for run in heads)
    return {name: backbone for name, backbone in named if backbone}
