"""The step that leaves one cue of each held-out picture, and counts what the model still knows."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from debias.audits.cues.ladder import CUES, MeasuredCue, measured_cues
from debias.audits.cues.probing import recovered
from debias.audits.cues.rungs import RUNGS
from debias.audits.leaning.paired import Change, class_chance, class_interval, paired_change
from debias.audits.leaning.rows import HeldOut, held_out, model_of, no_run, percent
from debias.audits.lines import AuditLine, Section, ValueBar
from debias.audits.steps import Arrays, Audited, Step
from debias.metrics.accuracy.significance import holm
from debias.progress import each

ABLATION = "ablation"
#: Pictures that are changed.
MOST = 300
#: The rung that changes nothing.
WHOLE = "image"
#: Shares of the model's accuracy above chance from which on a cue is taken, and strongly so.
SOME, STRONG = 0.2, 0.5
#: Most lines.
LINES = 2


class Ablated(NamedTuple):
    """What a model still knows if one cue is left.

    Attributes:
        name: key of ``RUNGS``.
        change: accuracy on the whole pictures and on the changed ones.
        kept: share of the accuracy above chance that is kept.
        low: lower end of its 95 % interval, in which the accuracy on whole pictures is fixed.
        high: upper end of it.
        p_value: of McNemar's test, adjusted over the rungs.
    """

    name: str
    change: Change
    kept: float
    low: float
    high: float
    p_value: float

    @property
    def title(self) -> str:
        """Its name for a reader."""
        return self.name.replace("_", " ")


def _unavailable(audited: Audited) -> str:
    if audited.model is None:
        return no_run(audited)
    geometry = audited.model.network.geometry
    return "" if geometry.height == geometry.width else "pictures of the model are not square"


def _compute(audited: Audited) -> Arrays:
    shown = held_out(audited, MOST)
    names = _rungs(shown)
    decided = [_decided(audited, shown, name) for name in each(names, "ablating cues", "cue")]
    return {"names": np.array(names), "decided": np.stack(decided), "positions": shown.positions}


def _rungs(shown: HeldOut) -> list[str]:
    """The whole picture first; of rungs with equal pictures, that of an encoder, or the first."""
    ordered = sorted(RUNGS, key=lambda name: (name != WHOLE, RUNGS[name].numbers is not None))
    names: dict[object, str] = {}
    for name in ordered:
        if shown.masks is not None or not RUNGS[name].needs_masks:
            names.setdefault(RUNGS[name].picture, name)
    return list(names.values())


def _decided(audited: Audited, shown: HeldOut, name: str) -> np.ndarray:
    masks = np.zeros(shown.pictures.shape[:3], bool) if shown.masks is None else shown.masks
    return model_of(audited).decided(RUNGS[name].picture(shown.pictures, masks))


def ablated(audited: Audited) -> list[Ablated]:
    """What is kept of each cue, most first."""
    arrays = audited.found[ABLATION]
    target = audited.target[arrays["positions"]]
    whole, *right = arrays["decided"] == target
    changes = [paired_change(whole, one, target) for one in right]
    p_values = holm(np.array([change.p_value for change in changes], dtype=np.float64))
    found = []
    for name, one, change, p_value in zip(
        arrays["names"][1:].tolist(), right, changes, p_values.tolist(), strict=True
    ):
        ends = (change.after, *class_interval(one, target))
        count = len(np.unique(target))
        kept = [recovered(end, change.before, classes=count) for end in ends]
        found.append(Ablated(name, change, kept[0], kept[1], kept[2], p_value))
    return sorted(found, key=lambda each: -each.kept)


def _lines(audited: Audited) -> Sequence[AuditLine]:
    if not _above_chance(audited):
        return []
    hidden = [one for one in ablated(audited) if not RUNGS[one.name].shows_object]
    taken = [one for one in hidden if one.low >= SOME]
    return [_line(one, audited) for one in taken[:LINES]]


def _above_chance(audited: Audited) -> bool:
    """Whether the accuracy on whole pictures is surely above chance: shares of it are kept."""
    arrays = audited.found[ABLATION]
    target = audited.target[arrays["positions"]]
    low, _ = class_interval(arrays["decided"][0] == target, target)
    return low > class_chance(target)


def _line(one: Ablated, audited: Audited) -> AuditLine:
    chance = class_chance(audited.target[audited.found[ABLATION]["positions"]])
    words = f"right on {percent(one.change.after)} of images with {RUNGS[one.name].words} left "
    words += f"(chance {100 * chance:.0f}), on {percent(one.change.before)} of whole "
    return AuditLine(
        "taken",
        one.title,
        "strong" if one.low >= STRONG else "some",
        f"{words}ones",
        one.kept,
        one.low,
        one.high,
        0.0,
        "share of the accuracy above chance that is kept",
        one.change.images,
    )


def _section(audited: Audited) -> Section:
    found, cues = ablated(audited), _offered(audited)
    return Section(
        "Offered by the data, taken by the model",
        [
            "Each cue alone is left of the pictures. Offered: the share of what the whole image "
            "tells that a probe of the training images finds in it. Taken: the share of the "
            "model's accuracy above chance that it keeps on held-out pictures changed in this way.",
            "The model has not seen such pictures: a cue that it keeps is one that it uses, and a "
            "cue that it loses may still be used together with others.",
        ],
        bars=[_bar(one, cue) for one in found if (cue := cues[one.name])],
        header=("cue", "what is left", "offered", "taken", "interval", "accuracy", "p (Holm)"),
        table=[_row(one, cues[one.name]) for one in found],
    )


def _offered(audited: Audited) -> dict[str, MeasuredCue | None]:
    """For each rung, of the measured cues with its pictures the one that tells most."""
    measured = sorted(measured_cues(audited), key=lambda cue: cue.recovered.value)
    best = {cue.rung.picture: cue for cue in measured}
    return {name: best.get(rung.picture) for name, rung in RUNGS.items()}


def _bar(one: Ablated, cue: MeasuredCue) -> ValueBar:
    return ValueBar(one.title, max(cue.recovered.value, 0), beside=min(max(one.kept, 0), 1))


def _row(one: Ablated, cue: MeasuredCue | None) -> tuple[str, ...]:
    return (
        one.title,
        RUNGS[one.name].words,
        percent(cue.recovered.value) if cue else "–",
        percent(one.kept),
        f"{percent(one.low)} – {percent(one.high)}",
        percent(one.change.after),
        f"{one.p_value:.2g}",
    )


ABLATION_STEP = Step(ABLATION, (CUES,), _compute, _lines, _section, _unavailable)
