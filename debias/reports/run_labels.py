"""Find runs, group those that differ only in the seed, and name methods by their differences."""

import hashlib
import json
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path

from debias.config import without_additions
from debias.reports.record import Data, Git, Report
from debias.reports.sections import settings
from debias.reports.tables import listed

#: A folder with one of these files is a run. The first exists from the start, the second after the
#: end.
MARKS = ("config.yaml", "report.json")
#: Key of the digest of the data's rows and labels, which distinguishes runs like a setting. Older
#: reports have no such digest; for them it is a digest of the group sizes.
COUNTS = "data.rows"


def run_folders(path: Path) -> Iterator[Path]:
    """Find the run folders at or below a path, sorted.

    If there is no run, the path itself is returned, so that reading it gives an error.
    """
    if any((path / mark).exists() for mark in MARKS):
        yield path
        return
    yield from sorted({file.parent for mark in MARKS for file in path.rglob(mark)}) or [path]


def identity(run: Report, ignore: Collection[str]) -> str:
    """A text that two runs share if and only if their settings and group sizes are equal.

    The seed, the config's name and the settings in ``ignore`` do not count.
    """
    return json.dumps(_settings(run, ignore) | {COUNTS: _counts(run.data)}, sort_keys=True)


def by_rows(runs: Sequence[Report]) -> list[list[Report]]:
    """Divide runs of one :func:`identity` into lists with the same digest of their data.

    Older reports have no digest. If there is at most one digest, the runs stay together.
    """
    digests = dict.fromkeys(run.data.digest for run in runs)
    if len(digests.keys() - {None}) < 2:
        return [list(runs)]
    return [[run for run in runs if run.data.digest == digest] for digest in digests]


def labels(runs: Sequence[Report], ignore: Collection[str]) -> list[str]:
    """Give runs of different settings short and different names.

    A name is that of the method. If runs share it, the name of the config is added. If they also
    share that, the settings that differ are added.
    """
    return [
        _label(run, [other for other in runs if other.method == run.method], ignore) for run in runs
    ]


def differences(runs: Sequence[Report]) -> str:
    """Describe how runs of the same settings differ, other than in the seed.

    It lists the different values of weights, precision, code, torch and own parts, and the seeds
    with each.
    """
    texts = []
    for name in _circumstances(runs[0]):
        seeds: dict[str, list[int]] = {}
        for run in runs:
            if value := _circumstances(run)[name]:
                seeds.setdefault(value, []).append(run.seed)
        if len(seeds) > 1:
            values = (f"{value} (seed {listed(own)})" for value, own in seeds.items())
            texts.append(f"{name}: {', '.join(values)}")
    return "; ".join(texts)


def _circumstances(run: Report) -> dict[str, str]:
    """The circumstances that can change a result and are not settings.

    For a resumed run, the values of all its processes are listed in order.
    """
    weights = run.model.weights
    return {
        # older reports have a digest of the file, which may differ for equal weights
        "weights": "" if " (sha256 " in weights else weights,
        "precision": run.precision,
        "code": ", then ".join(dict.fromkeys(_code(part.git) for part in run.parts)),
        "torch": ", then ".join(dict.fromkeys(part.torch for part in run.parts)),
        "own parts": ", then ".join(
            dict.fromkeys(" and ".join(map(str, part.own_parts)) for part in run.parts)
        ),
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
    # settings that the run does not have are named only if there is no other difference; the digest
    # of the data is named only if a rival has the same settings
    named = [key for key in keys if key in own and (key != COUNTS or len(alike) > 1)] or keys
    return [f"{key}={own.get(key, 'default').strip(chr(34))}" for key in named]


def _settings(run: Report, ignore: Collection[str]) -> dict[str, str]:
    hidden = {"seed", "name", *ignore}
    # select=auto is replaced by the resulting rule; the digest is added because one config can be
    # trained on changed data
    actual = {"select": run.selection.rule, COUNTS: (run.data.digest or _counts(run.data))[:8]}
    flat = {**settings(without_additions(run.config)), **actual}
    if run.backbone:  # the settings of the backbone in place of its folder, which depends on a seed
        flat["recipe.backbone"] = run.backbone
    return {
        key: json.dumps(value, sort_keys=True, ensure_ascii=False)
        for key, value in flat.items()
        if key not in hidden and key.partition(".")[0] not in hidden
    }


def _counts(data: Data) -> str:
    return hashlib.sha256(json.dumps(data.counts, sort_keys=True).encode()).hexdigest()
