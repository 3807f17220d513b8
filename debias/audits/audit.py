"""An audit of images: draw and decode them, compute the steps, and write what they say."""

import re
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Optional

import numpy as np
import torch
from numpy.typing import NDArray

from debias.audits.all_steps import STEPS
from debias.audits.cues.encoder import NO_ENCODER, OWN_RUN, chosen_encoder, is_run
from debias.audits.drawing import GEOMETRY, check_audited, drawn_rows
from debias.audits.encoders.stimuli import read_stimuli
from debias.audits.engine import STEPS as KEPT
from debias.audits.engine import Findings, chosen_steps, find
from debias.audits.model import AuditedModel
from debias.audits.page import write_page
from debias.audits.record import RECORD, AuditReport, write_record
from debias.audits.steps import Audited
from debias.data.examples import SPLITS, Examples
from debias.data.pictures.cache import open_cache
from debias.data.pictures.image_files import ImageFiles
from debias.errors import InputError, check_at_least, shown
from debias.json_files import read_json

#: Seed of all draws of an audit.
SEED = 0
#: Folder of the decoded images, in the folder of the audit. It is removed at the end.
PICTURES = f"{KEPT}/pictures"
#: Files in this folder. Besides them, only result files of an earlier audit are removed.
DECODED = re.compile(r"[0-9a-f]{32}-(images|masks)\.npy|building\.lock")


@dataclass(frozen=True)
class AuditOptions:
    """What is looked at, and where the results go.

    Args:
        checks: names of steps, separated by commas; "all" stands for the usual ones.
        images: most images of each split; the classes take turns.
        encoder: whose features are used too: name of a frozen network of timm, the folder of a run,
            "run" for the run under audit, or "none".
        encoder_weights: file of the weights of a network of timm. By default, timm downloads them.
        out: folder of the results.
        stimuli: folder ``STIMULI/<test>/<X|Y|A|B>/<image>`` of association tests.
        mirror: whether an image and its mirror image are duplicates.
    """

    checks: str = "all"
    images: int = 5000
    encoder: str = NO_ENCODER
    encoder_weights: Optional[str] = None  # noqa: UP045 - omegaconf reads Optional
    out: Optional[str] = None  # noqa: UP045
    stimuli: Optional[str] = None  # noqa: UP045
    mirror: bool = False

    def check(self) -> None:
        """Check the options that need no data.

        Raises:
            ValueError: a check or a network is unknown, a number is too small, or there is no such
                file of weights or folder of stimuli.
        """
        check_at_least(2, {"images": self.images})
        chosen_steps(STEPS, self.checks)
        if self.encoder_weights is not None:
            if self.encoder in (NO_ENCODER, OWN_RUN) or is_run(self.encoder):
                raise InputError(
                    f"encoder_weights={self.encoder_weights} needs encoder=NAME of the same network"
                    f" of timm; got encoder={self.encoder}"
                )
            if not Path(self.encoder_weights).is_file():
                raise InputError(f"encoder_weights={self.encoder_weights} is not a file")
        _check_encoder(self.encoder)
        if self.stimuli is not None:
            read_stimuli(Path(self.stimuli))


def audit_examples(
    examples: Examples,
    options: AuditOptions,
    *,
    name: str,
    out: Path,
    model: AuditedModel | None = None,
    tell: Callable[[str], object],
) -> AuditReport:
    """Look for shortcuts in a data set, and for those that a model takes.

    Writes ``audit.json``, ``audit.html`` and the files of the steps into ``out``. Such files of an
    earlier audit are removed first, also those of steps that this audit leaves out.

    Args:
        examples: the data set.
        options: what is looked at.
        name: name of the data set, for the page.
        out: folder of the results.
        model: a trained model of these classes, or ``None``.
        tell: prints a line.

    Raises:
        ValueError: an option has a mistake, an image is missing or damaged, images have several
            labels, there is only one class, the model has other classes, or ``out`` holds files of
            another origin or the audit of other data.
    """
    options.check()
    check_audited(examples)
    _check_classes(examples, model)
    _check_folder(out, name, examples.source)
    checks = options.checks + (",stimuli" if options.stimuli else "")
    steps, speaking = chosen_steps(STEPS, checks)
    # a mistake in its weights is found before the work
    encoder = chosen_encoder(options.encoder, options.encoder_weights, model)
    rows = drawn_rows(examples, images=options.images, seed=SEED)
    tell(_drawn(examples, rows, options.images))
    files = ImageFiles.of(examples, torch.from_numpy(rows), GEOMETRY)
    pictures = open_cache(files, out / PICTURES).arrays
    audited = _audited(examples, rows, [array.numpy() for array in pictures], options)
    audited = replace(audited, encoder=encoder, model=model)
    key = files.masks_key() if files.masks else files.images_key()
    _remove_results(out)
    findings = find(audited, steps, speaking, out=out, pictures_key=key)
    report = _report(audited, findings, options, name)
    write_record(report, out)
    write_page(report, audited, out)
    _remove_decoded(out / PICTURES)
    return report


def _audited(
    examples: Examples,
    rows: NDArray[np.int64],
    pictures: Sequence[NDArray[np.uint8]],
    options: AuditOptions,
) -> Audited:
    """The drawn images, from their decoded pictures and masks, without networks."""
    return Audited(
        examples=examples,
        rows=rows,
        target=examples.target.numpy()[rows],
        split=examples.split.numpy()[rows],
        classes=examples.groups.target_names,
        pictures=pictures[0],
        masks=pictures[1] > 0 if len(pictures) > 1 else None,
        seed=SEED,
        encoder=None,
        found={},
        stimuli=Path(options.stimuli) if options.stimuli else None,
        mirror=options.mirror,
    )


def _check_classes(examples: Examples, model: AuditedModel | None) -> None:
    classes = examples.groups.target_names
    if model is not None and model.classes != classes:
        raise InputError(
            f"the model has the classes {shown(model.classes)}, and {examples.source} has "
            f"{shown(classes)}: give data with the classes of the run, in the same order"
        )


def _check_folder(out: Path, name: str, source: Path) -> None:
    """Check that a folder has no files of another origin or data, which the audit's replace."""
    if out.exists() and not out.is_dir():
        raise InputError(f"out={out} is a file: give a folder")
    if out.is_dir() and any(out.iterdir()) and not (out / KEPT).is_dir():
        raise InputError(f"out={out} holds files that no audit wrote: give a new folder")
    in_run = (out.parent / "report.json").is_file()  # a run may have been renamed
    if (out / RECORD).is_file() and not in_run:
        remedy = f"remove out={out}, or give a new folder"
        record = read_json(out / RECORD, dict, entries={"data": str}, remedy=remedy)
        now = str(source.resolve())
        before = record.get("source", now)
        pairs = [(Path(record["data"]).name, Path(name).name)]
        if Path(before).exists():  # else the data were moved
            pairs.append((before, now))
        for data, given in pairs:
            if data != given:
                raise InputError(f"out={out} holds the audit of {data}, not of {given}: {remedy}")


def _remove_results(out: Path) -> None:
    """Remove the files that the steps of an earlier audit wrote."""
    for pattern in (pattern for step in STEPS for pattern in step.files):
        for path in out.glob(pattern):
            path.unlink()


def _remove_decoded(folder: Path) -> None:
    """Remove the decoded images, and the folder if nothing else is in it."""
    for path in list(folder.iterdir()):
        if DECODED.fullmatch(path.name):
            path.unlink()
    if not any(folder.iterdir()):
        folder.rmdir()


def _report(audited: Audited, findings: Findings, options: AuditOptions, name: str) -> AuditReport:
    number = len(audited.classes)
    counts = {
        split: np.bincount(audited.target[audited.split == position], minlength=number)
        for position, split in enumerate(SPLITS)
    }
    settings = asdict(options)
    settings.pop("out")
    return AuditReport(
        name=name,
        classes=audited.classes,
        images={split: tuple(row.tolist()) for split, row in counts.items()},
        available=len(audited.examples),
        settings={**settings, "seed": audited.seed},
        findings=findings,
        masks=audited.masks is not None,
        paths=tuple(audited.examples.images[row] for row in audited.rows.tolist()),
        source=str(audited.examples.source.resolve()),
    )


def _drawn(examples: Examples, rows: np.ndarray, most: int) -> str:
    total = len(examples)
    if len(rows) == total:
        return f"audit of all {total:,} images"
    return (
        f"audit of {len(rows):,} of {total:,} images: at most {most:,} per split, classes taking "
        f"turns, seed {SEED}"
    )


def _check_encoder(name: str) -> None:
    if name in (NO_ENCODER, OWN_RUN) or is_run(name):
        return
    from timm import is_model, list_models

    from debias.errors import near

    if not is_model(name.partition(".")[0]):
        raise InputError(
            f"encoder={name}: timm has no such network, and it is no folder of a run; "
            f"{near(name, list_models())}"
        )
