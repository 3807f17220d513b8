"""Find runs, group those that differ only in the seed, and name methods by their differences."""

import hashlib
import json
from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

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
    rivals: dict[str, dict[str, list[dict[str, str]]]] = {}
    own = [_settings(run, ignore) for run in runs]
    for run, settings_of_run in zip(runs, own, strict=True):
        by_config = rivals.setdefault(run.method, {})
        by_config.setdefault(run.config_name, []).append(settings_of_run)
    differing = {
        (method, config): _Differing.among(several)
        for method, by_config in rivals.items()
        for config, several in by_config.items()
    }
    return [
        _label(run, len(rivals[run.method]), differing[run.method, run.config_name].named(values))
        for run, values in zip(runs, own, strict=True)
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


def _label(run: Report, configs: int, settings_named: Sequence[str]) -> str:
    named = configs > 1 and run.config_name != run.method
    parts = [*[run.config_name] * named, *settings_named]
    return f"{run.method} ({', '.join(parts)})" if parts else run.method


class _Differing(NamedTuple):
    """The settings in which several runs differ.

    Attributes:
        keys: the settings with more than one value, sorted.
        alike: how many runs share their values of all ``keys`` except ``COUNTS``.
    """

    keys: tuple[str, ...]
    alike: Counter[tuple[str | None, ...]]

    @classmethod
    def among(cls, several: Sequence[dict[str, str]]) -> "_Differing":
        """Compare the settings of several runs."""
        every = sorted({key for own in several for key in own})
        found = tuple(key for key in every if len({own.get(key) for own in several}) > 1)
        return cls(found, Counter(_shared(found, own) for own in several))

    def named(self, own: dict[str, str]) -> list[str]:
        """The settings that name a run.

        Settings that the run does not have are named only if there is no other difference. The
        digest of the data is named only if another run has the same settings.
        """
        same = self.alike[_shared(self.keys, own)] > 1
        named = [key for key in self.keys if key in own and (key != COUNTS or same)] or self.keys
        return [f"{key}={own.get(key, 'default').strip(chr(34))}" for key in named]


def _shared(keys: Sequence[str], own: dict[str, str]) -> tuple[str | None, ...]:
    return tuple(own.get(key) for key in keys if key != COUNTS)


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
