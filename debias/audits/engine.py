"""Computes the steps of an audit, each once, and collects what they say."""

import hashlib
import io
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from debias.audits.lines import AuditLine, Section
from debias.audits.steps import Arrays, Audited, Step
from debias.errors import InputError, near
from debias.files import write_atomically
from debias.progress import say

#: Folder of the kept arrays, in the folder of an audit.
STEPS = "steps"


class Findings(NamedTuple):
    """What the steps of an audit found.

    Attributes:
        lines: one finding each, in the order of the steps.
        sections: sections of the page, in the order of the steps.
        seconds: time of each computed step; of a step whose arrays were kept, the time then.
        unavailable: names of the steps that could not run, with the reason.
    """

    lines: tuple[AuditLine, ...]
    sections: tuple[Section, ...]
    seconds: dict[str, float]
    unavailable: dict[str, str]


def chosen_steps(steps: Sequence[Step], checks: str) -> tuple[tuple[Step, ...], tuple[str, ...]]:
    """The steps to compute, in order, and the names of those that speak.

    Args:
        steps: all steps; each comes after the steps that it needs.
        checks: names separated by commas; "all" stands for all but those on request. Steps that
            they need are computed too.

    Raises:
        ValueError: a name is not that of a step.
    """
    by_name = {step.name: step for step in steps}
    usual = [step.name for step in steps if not step.on_request]
    given = [name.strip() for name in checks.split(",")]
    named = [one for name in given for one in (usual if name == "all" else [name])]
    for name in named:
        if name not in by_name:
            raise InputError(f"checks={checks}: no check {name!r}; {near(name, by_name)}")
    wanted = set(named)
    for step in reversed(steps):
        if step.name in wanted:
            wanted |= {*step.needs, *step.uses}
    return tuple(step for step in steps if step.name in wanted), tuple(named)


def find(
    audited: Audited,
    steps: Sequence[Step],
    speaking: Sequence[str],
    *,
    out: Path,
    pictures_key: str,
) -> Findings:
    """Compute the steps in order, write their files, and collect their lines and sections.

    A step whose arrays were kept by an earlier audit of the same images is not computed again. A
    step that cannot run, or needs one that could not, says nothing.

    Args:
        audited: the images. ``found`` is filled here.
        steps: the steps, each after those that it needs.
        speaking: names of the steps whose lines, sections and files are wanted.
        out: folder of the audit.
        pictures_key: text that changes with the pictures and masks.
    """
    seconds: dict[str, float] = {}
    unavailable: dict[str, str] = {}
    digests: dict[str, str] = {}
    start = _digest_of(audited, pictures_key)
    for step in steps:
        missing = [name for name in step.needs if name in unavailable]
        reason = unavailable[missing[0]] if missing else step.unavailable(audited)
        if reason:
            unavailable[step.name] = reason
            continue
        before = [digests[name] for name in (*step.needs, *step.uses) if name in digests]
        own = (step.name, str(step.version), step.settings(audited))
        digests[step.name] = _hashed([start, *own, *before])
        path = out / STEPS / f"{step.name.replace(' ', '_')}-{digests[step.name]}.npz"
        audited.found[step.name], seconds[step.name] = _kept(step, audited, path)
    done = [step for step in steps if step.name in seconds and step.name in speaking]
    for step in done:
        step.write(audited, out)
    lines = tuple(line for step in done for line in step.lines(audited))
    sections = tuple(_sections(done, audited))
    asked = {name: why for name, why in unavailable.items() if name in speaking}
    return Findings(lines, sections, seconds, asked)


def _sections(steps: Sequence[Step], audited: Audited) -> Iterator[Section]:
    for step in steps:
        section = step.section(audited)
        if section is not None:
            yield section


def _kept(step: Step, audited: Audited, path: Path) -> tuple[Arrays, float]:
    """The arrays of a step and the seconds it took: read from its file, or computed and written."""
    if path.is_file():
        with np.load(path, allow_pickle=False) as file:
            arrays = {name: file[name] for name in file.files}
        return arrays, float(arrays.pop("_seconds"))
    begin = time.monotonic()
    computed = dict(step.compute(audited))
    took = time.monotonic() - begin
    if computed and took >= 0.5:
        say(f"audit: {step.name} ({took:.1f} s)")
    content = io.BytesIO()
    np.savez(content, allow_pickle=False, _seconds=np.float64(took), **computed)
    write_atomically(path, content.getvalue(), durable=False)
    return computed, took


def _digest_of(audited: Audited, pictures_key: str) -> str:
    """Digest of the pictures, their labels and units, and the model."""
    bias = audited.examples.bias.numpy()[audited.rows]
    labels = [audited.rows, audited.target, audited.split, bias]
    texts = [hashlib.sha256(array.tobytes()).hexdigest() for array in labels]
    texts += [pictures_key, repr(audited.classes), str(audited.seed), *audited.examples.units]
    return _hashed([*texts, audited.model.digest if audited.model else ""])


def _hashed(parts: Sequence[str]) -> str:
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:16]
