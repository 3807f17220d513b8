"""Finding runs, telling whether the settings of two differ in the seed only, and naming them by
what they differ in.
"""

import hashlib
import json
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path

from debias.reports.record import Data, Git, Report
from debias.reports.sections import settings
from debias.reports.tables import listed

#: A folder that holds one of these is a run; the first is there from the start, the last once it
#: has finished.
MARKS = ("config.yaml", "report.json")
#: What distinguishes runs beside their settings: a digest of its images and labels; in reports of
#: before there was one, of how many images each group had.
COUNTS = "data.rows"


def run_folders(path: Path) -> Iterator[Path]:
    """The path itself if it is a run, else all runs below it, sorted; or else the path."""
    if any((path / mark).exists() for mark in MARKS):
        yield path
        return
    yield from sorted({found.parent for mark in MARKS for found in path.rglob(mark)}) or [path]


def identity(run: Report, ignore: Collection[str]) -> str:
    """A text that two runs share exactly if settings that count and numbers of rows agree."""
    return json.dumps(_settings(run, ignore) | {COUNTS: _counts(run.data)}, sort_keys=True)


def by_rows(runs: Sequence[Report]) -> list[list[Report]]:
    """Runs of one identity, apart where their reports say that the rows were others."""
    digests = dict.fromkeys(run.data.digest for run in runs)
    if len(digests.keys() - {None}) < 2:
        return [list(runs)]
    return [[run for run in runs if run.data.digest == digest] for digest in digests]


def labels(runs: Sequence[Report], ignore: Collection[str]) -> list[str]:
    """Names that tell runs apart, as short as they can be.

    The method's name; if that is shared, also the config's; if that is shared too, the settings
    that differ.
    """
    return [
        _label(run, [other for other in runs if other.method == run.method], ignore) for run in runs
    ]


def differences(runs: Sequence[Report]) -> str:
    """In what runs of the same settings differ beside the seed, with the seeds of each."""
    told = []
    for name in _circumstances(runs[0]):
        seeds: dict[str, list[int]] = {}
        for run in runs:
            if value := _circumstances(run)[name]:
                seeds.setdefault(value, []).append(run.seed)
        if len(seeds) > 1:
            values = (f"{value} (seed {listed(own)})" for value, own in seeds.items())
            told.append(f"{name}: {', '.join(values)}")
    return "; ".join(told)


def _circumstances(run: Report) -> dict[str, str]:
    """What can change a number and is no setting; of a resumed run, one after the other."""
    weights = run.model.weights
    return {
        # earlier reports have a digest of the file, which may differ where the weights do not
        "weights": "" if " (sha256 " in weights else weights,
        "precision": run.precision,
        "code": ", then ".join(dict.fromkeys(_code(part.git) for part in run.parts)),
        "torch": ", then ".join(dict.fromkeys(part.torch for part in run.parts)),
    }


def _code(git: Git) -> str:
    changes = " with changes" if git.dirty else ""
    return f"commit {git.commit[:7]}{changes}" if git.commit else "unknown"


def _label(run: Report, rivals: Sequence[Report], ignore: Collection[str]) -> str:
    same_config = [rival for rival in rivals if rival.config_name == run.config_name]
    named = len(same_config) < len(rivals) and run.config_name != run.method
    parts = [run.config_name] * named + _differences(run, same_config, ignore)
    return f"{run.method} ({', '.join(parts)})" if parts else run.method


def _differences(run: Report, rivals: Sequence[Report], ignore: Collection[str]) -> list[str]:
    own, others = _settings(run, ignore), [_settings(rival, ignore) for rival in rivals]
    every = own.keys() | {key for other in others for key in other}
    keys = sorted(key for key in every if any(own.get(key) != other.get(key) for other in others))
    shared = [key for key in keys if key != COUNTS]
    alike = [other for other in others if all(own.get(key) == other.get(key) for key in shared)]
    # what is left out need not be told, as long as something else is; nor the rows, unless a rival
    # has all else alike
    told = [key for key in keys if key in own and (key != COUNTS or len(alike) > 1)] or keys
    return [f"{key}={own.get(key, 'default').strip(chr(34))}" for key in told]


def _settings(run: Report, ignore: Collection[str]) -> dict[str, str]:
    hidden = {"seed", "name", *ignore}
    # the same config may have been trained on a table that was corrected since, and select=auto
    # stands for a rule
    known = {"select": run.selection.rule, COUNTS: (run.data.digest or _counts(run.data))[:8]}
    flat = {**settings(run.config), **known}
    if run.backbone:  # its settings in place of its folder, which holds its seed
        flat["recipe.backbone"] = run.backbone
    return {
        key: json.dumps(value, sort_keys=True, ensure_ascii=False)
        for key, value in flat.items()
        if key not in hidden and key.partition(".")[0] not in hidden
    }


def _counts(data: Data) -> str:
    return hashlib.sha256(json.dumps(data.counts, sort_keys=True).encode()).hexdigest()
