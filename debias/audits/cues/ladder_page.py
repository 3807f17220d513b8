"""What the cue ladder says: lines, and the section with bars and pictures."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial

import numpy as np
from numpy.typing import NDArray

from debias.audits.cues.encoder import ENCODED, FEATURES, KEPT, feature_step
from debias.audits.cues.ladder import (
    CUES,
    MeasuredCue,
    measure,
    measured_cues,
    probe_step,
    rung_probe,
)
from debias.audits.cues.probing import class_aurocs
from debias.audits.cues.rungs import RUNGS
from debias.audits.cues.units import one_unit
from debias.audits.lines import AuditLine, Section, Strip, ValueBar
from debias.audits.rows.duplicates_step import DUPLICATES
from debias.audits.steps import Audited, Step

#: Cues whose most extreme pictures are shown, and the number of these pictures per class.
SHOWN, EXTREMES = 3, 8
#: Columns of the table.
HEADER = (
    *("cue", "the class is read from", "AUROC", "balanced accuracy"),
    *("of the whole", "explained by", "AUROC inside its strata"),
)
#: Most classes whose pictures are shown.
MOST_CLASSES = 4
#: Number of classes from which on the mean over classes is not enough, and the classes then named.
MANY, NAMED = 20, 10


def _lines(audited: Audited) -> list[AuditLine]:
    whole, *cues = measured_cues(audited)
    shortcuts = [cue for cue in cues if not cue.rung.shows_object]
    found = [cue for cue in shortcuts if cue.strength != "none found"]
    if found:
        return [_line(cue, whole, audited) for cue in found]
    text = f"none of {len(shortcuts)} cues tells the class: {', '.join(c.title for c in shortcuts)}"
    return [AuditLine("offered", "cues", "none found", text, images=len(audited.judged))]


def _line(cue: MeasuredCue, whole: MeasuredCue, audited: Audited) -> AuditLine:
    chance = 100 / len(np.unique(audited.target[audited.judged]))
    text = f"read from {cue.rung.words}: {100 * cue.accuracy:.0f} % (chance {chance:.0f})"
    text += f", from {whole.rung.words} {100 * whole.accuracy:.0f} %"
    text += "; by the run's features" if cue.name in ENCODED and audited.encoder_saw_labels else ""
    return AuditLine(
        "offered",
        cue.title,
        cue.strength,
        text,
        cue.auroc.value,
        cue.auroc.low,
        cue.auroc.high,
        0.5,
        "AUROC",
        len(audited.judged),
        cue.explained_by.replace("_", " "),
        tuple(row for rows in _extremes(cue, audited) for row in rows),
    )


def _section(audited: Audited) -> Section:
    cues = measured_cues(audited)
    shown = [cue for cue in cues if _stands_for_itself(cue)][:SHOWN]
    return Section(
        "Cues",
        [*_sentences(cues, audited)],
        chance=0.5,
        bars=[ValueBar(cue.title, *cue.auroc) for cue in cues],
        header=HEADER,
        table=[_row(cue) for cue in cues],
        strips=[*_strips(cues, shown, audited)],
    )


def _sentences(cues: Sequence[MeasuredCue], audited: Audited) -> Iterator[str]:
    yield (
        "Each bar is the AUROC with which a probe tells the class of held-out images if only this "
        "cue is left of them. The line is chance. A cue far above it is on offer to a model."
    )
    yield (
        "A cue may be the class itself, such as the red of a fire engine. A low bar does not prove "
        "that a network cannot use the cue."
    )
    if audited.encoder is None:
        yield (
            "Cues that need a network are missing. Add encoder=NAME, and encoder_weights=FILE if "
            "timm shall not download the weights."
        )
    if audited.encoder_saw_labels:
        yield (
            "The features are those of a run, which was trained on labels of images. A high bar "
            "shows that its features still tell the class when only this cue is left, and not that "
            "new images offer the cue: it may have learned these images by heart."
        )
    if audited.masks is None:
        yield "Cues of foreground and background are missing: not every image has a mask."
    if len(audited.classes) >= MANY:
        yield _best_told(cues, audited)


def _best_told(cues: Sequence[MeasuredCue], audited: Audited) -> str:
    """The classes that one cue tells best, with this cue."""
    target = audited.target[audited.judged]
    shortcuts = [cue for cue in cues if not cue.rung.shows_object]
    areas = np.stack([class_aurocs(cue.scores, target) for cue in shortcuts])
    areas = np.where(np.isnan(areas), 0, areas)
    best = areas.argmax(axis=0)
    order = np.argsort(-areas.max(axis=0), kind="stable")[:NAMED]
    told = [
        f"{audited.classes[c]} by {shortcuts[best[c]].title} ({areas[best[c], c]:.2f})"
        for c in order.tolist()
    ]
    return f"The classes that one cue tells best, with its AUROC: {', '.join(told)}."


def _row(cue: MeasuredCue) -> tuple[str, ...]:
    low, high = (f"{end:.3f}" for end in cue.auroc[1:])
    return (
        cue.title,
        cue.rung.words,
        f"{cue.auroc.value:.3f} [{low}, {high}]",
        f"{100 * cue.accuracy:.1f} %",
        f"{100 * cue.recovered.value:.0f} %",
        cue.explained_by.replace("_", " "),
        f"{cue.inside:.2f}" if cue.explained_by and not np.isnan(cue.inside) else "",
    )


def _strips(
    cues: Sequence[MeasuredCue], shown: Sequence[MeasuredCue], audited: Audited
) -> Iterator[Strip]:
    for cue in shown:
        for name, rows in zip(audited.classes, _extremes(cue, audited), strict=False):
            yield Strip(f"{cue.title}: most like {name}", rows)
    example = int(audited.judged[0])
    picture, mask = audited.pictures[example][None], _mask(audited, example)
    left = tuple(cue.rung.picture(picture, mask)[0] for cue in cues)
    rows = (example,) * len(cues)
    yield Strip("One image, as each cue leaves it", rows, tuple(cue.title for cue in cues), left)


def _mask(audited: Audited, row: int) -> NDArray[np.bool_]:
    if audited.masks is None:
        return np.zeros((1, *audited.pictures.shape[1:3]), bool)
    return np.asarray(audited.masks[row][None])


def _extremes(cue: MeasuredCue, audited: Audited) -> list[tuple[int, ...]]:
    """For each of the first classes, the judged images that the cue finds most like it."""
    order = np.argsort(-cue.scores[:, :MOST_CLASSES], axis=0, kind="stable")[:EXTREMES]
    return [tuple(audited.judged[column].tolist()) for column in order.T]


def _stands_for_itself(cue: MeasuredCue) -> bool:
    return not (cue.rung.shows_object or cue.explained_by or cue.strength == "none found")


def _probe_step(name: str) -> Step:
    return Step(
        probe_step(name),
        (DUPLICATES,),
        partial(rung_probe, name),
        lambda audited: (),
        lambda audited: None,
        uses=(feature_step(name),) if name in KEPT else (),
        version=2,
    )


#: One step per rung, so that a killed audit goes on at the rung that it was at.
PROBES = tuple(map(_probe_step, RUNGS))
#: The steps of the ladder: features by rung, their probes, and the comparison.
LADDER = (
    *FEATURES,
    *PROBES,
    Step(
        *(CUES, (DUPLICATES,), measure, _lines, _section, one_unit),
        version=4,
        uses=tuple(step.name for step in PROBES),
    ),
)
