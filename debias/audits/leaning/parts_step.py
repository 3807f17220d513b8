"""The step of parts: noise, exchanged parts, patches of other classes, and found stamps."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from debias.audits.drawing import taking_turns
from debias.audits.leaning.paired import class_average, class_chance, paired_change
from debias.audits.leaning.parts_of_pictures import (
    PARTS,
    exchanged,
    grey_filled,
    noisy,
    patches_exchanged,
)
from debias.audits.leaning.reliance import (
    Attraction,
    attraction,
    patch_selectivity,
    perceptual_score,
    relative_foreground_sensitivity,
)
from debias.audits.leaning.rows import (
    HeldOut,
    held_out,
    model_of,
    no_run,
    other_pictures,
    percent,
    read_pictures,
)
from debias.audits.leaning.stamps import FoundStamp, found_stamps, stamped
from debias.audits.lines import AuditLine, Section, Strip
from debias.audits.steps import Arrays, Audited, Step

NAME = "parts"
#: Pictures that are changed, and training pictures in which stamps are looked for.
MOST, TRAINING = 300, 300
#: Draws of noise.
TRIALS = 3
#: Shares of patches that come from pictures of other classes.
SHARES = (0.0, 0.1, 0.2, 0.3, 0.4, 0.5)
#: A stamp is tried if it differs from the other classes by so many standard deviations.
TYPICAL = 1.0
#: Most stamps that are tried.
STAMPS = 5
#: Attractions from which on a stamp is taken, and strongly so.
SOME, STRONG = 0.1, 0.3


def _compute(audited: Audited) -> Arrays:
    shown, generator = held_out(audited, MOST), np.random.default_rng([audited.seed, 11])
    plain = model_of(audited).decided(shown.pictures)
    names, decided = zip(*_changed_decisions(audited, shown, generator), strict=True)
    patches = [_patched(audited, shown, share, generator) for share in SHARES]
    found = [one for one in _stamps(audited) if one.distance >= TYPICAL]
    found = [one for one in found if (shown.target != one.target).any()][:STAMPS]
    with_stamp = [model_of(audited).decided(stamped(shown.pictures, one.stamp)) for one in found]
    return {
        "positions": shown.positions,
        "plain": plain,
        "names": np.array(names),
        "decided": np.stack(decided),
        "patches": np.stack(patches),
        "stamp_class": np.array([one.target for one in found], np.int64),
        "stamp_distance": np.array([one.distance for one in found]),
        "stamped": np.array(with_stamp, np.int64).reshape(len(found), len(plain)),
        "example": _examples(shown, found),
    }


def _changed_decisions(
    audited: Audited, shown: HeldOut, generator: np.random.Generator
) -> Iterator[tuple[str, NDArray[np.int64]]]:
    """Name of each change, and the decisions on the changed pictures."""
    decided, pictures = model_of(audited).decided, shown.pictures
    others = pictures[other_pictures(shown.target, generator, other_class=False)]
    for name, change in PARTS.items():
        yield f"other {name}", decided(change(pictures, others))
    if shown.masks is None:
        return
    sides = {"foreground": shown.masks, "background": ~shown.masks}
    for name, where in sides.items():
        yield f"other {name}", decided(exchanged(pictures, others, where))
        for trial in range(TRIALS):
            yield f"noise on {name} {trial}", decided(noisy(pictures, where, generator))
    yield "grey foreground", decided(grey_filled(pictures, shown.masks))


def _patched(
    audited: Audited, shown: HeldOut, share: float, generator: np.random.Generator
) -> NDArray[np.int64]:
    others = shown.pictures[other_pictures(shown.target, generator, other_class=True)]
    side = max(shown.pictures.shape[1] // 14, 1)  # 16 pixels of 224
    changed = patches_exchanged(shown.pictures, others, generator, share=share, size=side)
    return model_of(audited).decided(changed)


def _stamps(audited: Audited) -> list[FoundStamp]:
    judged = audited.judged
    drawn = taking_turns(audited.target[judged], TRAINING, np.random.default_rng(audited.seed))
    training = read_pictures(audited, judged[drawn])
    return found_stamps(training.pictures, training.target)


def _examples(shown: HeldOut, found: Sequence[FoundStamp]) -> NDArray[np.uint8]:
    """``(K, H, W, 3)``: a picture of another class under each stamp."""
    pictures = [
        stamped(shown.pictures[shown.target != one.target][:1], one.stamp)[0] for one in found
    ]
    return np.array(pictures, np.uint8).reshape(len(found), *shown.pictures.shape[1:])


def _right(audited: Audited) -> dict[str, NDArray[np.bool_]]:
    """Whether the model is right under each change; "" is the untouched picture."""
    arrays = audited.found[NAME]
    target = audited.target[arrays["positions"]]
    changed = zip(arrays["names"].tolist(), arrays["decided"] == target, strict=True)
    return {"": arrays["plain"] == target, **dict(changed)}


def _lines(audited: Audited) -> list[AuditLine]:
    return [*_foreground_line(audited), *_stamp_lines(audited)]


def _foreground_line(audited: Audited) -> Iterator[AuditLine]:
    """A line if noise on the surroundings hurts more than noise on the object."""
    right, target = _right(audited), audited.target[audited.found[NAME]["positions"]]
    if "grey foreground" not in right:
        return
    first, second = _noise(right, target)
    change = paired_change(right["noise on foreground 0"], right["noise on background 0"], target)
    if second < first and change.p_value < 0.05:
        sensitivity = relative_foreground_sensitivity(first, second)
        yield AuditLine(
            "taken",
            "surroundings",
            "strong" if sensitivity < -0.5 else "some",
            f"accuracy {percent(second)} with noise on the surroundings, {percent(first)} with "
            "noise on the object",
            sensitivity,
            chance=0.0,
            measure="relative foreground sensitivity",
            images=len(target),
        )


def _noise(right: dict[str, NDArray[np.bool_]], target: NDArray[np.int64]) -> tuple[float, float]:
    """Class-averaged accuracy with noise on the foreground, and on the background."""
    means = [
        [class_average(one, target) for name, one in right.items() if name.startswith(start)]
        for start in ("noise on foreground", "noise on background")
    ]
    return float(np.mean(means[0])), float(np.mean(means[1]))


def _stamp_lines(audited: Audited) -> Iterator[AuditLine]:
    for one, _, _, found in _attractions(audited):
        if found.attraction >= SOME:
            name = audited.classes[one]
            words = f"a mark that pictures of {name} have at one place turns"
            yield AuditLine(
                "taken",
                f"mark of {name}",
                "strong" if found.attraction >= STRONG else "some",
                f"{words} {percent(found.attraction)} of the others into {name}",
                found.attraction,
                chance=0.0,
                measure="attraction",
                images=found.images,
            )


def _attractions(
    audited: Audited,
) -> Iterator[tuple[int, NDArray[np.int64], NDArray[np.int64], Attraction]]:
    """Class of each stamp, decisions with it, targets, and what the stamp does."""
    arrays = audited.found[NAME]
    target, plain = audited.target[arrays["positions"]], np.asarray(arrays["plain"], np.int64)
    for one, after in zip(arrays["stamp_class"].tolist(), arrays["stamped"], strict=True):
        decided = np.asarray(after, np.int64)
        yield one, decided, target, attraction(plain, decided, target, to=one)


def _section(audited: Audited) -> Section:
    arrays, right = audited.found[NAME], _right(audited)
    target = audited.target[arrays["positions"]]
    examples = tuple(arrays["example"])
    names = [f"with the mark of {audited.classes[one]}" for one in arrays["stamp_class"].tolist()]
    strips = [Strip("Marks of a class on other pictures", (), tuple(names), examples)]
    return Section(
        "Parts of pictures",
        [
            "Accuracy on the same held-out pictures after a change of one part. The perceptual "
            "score is the share of what the model has learnt that is lost if the part comes from "
            "another picture; 0 means that the part does not matter.",
            *_foreground_text(right, target),
        ],
        header=("change", "accuracy", "difference", "interval", "perceptual score"),
        table=[*_part_rows(right, target), *_patch_rows(audited), *_stamp_rows(audited)],
        strips=strips if examples else (),
    )


def _foreground_text(
    right: dict[str, NDArray[np.bool_]], target: NDArray[np.int64]
) -> Iterator[str]:
    if "grey foreground" in right:
        first, second = _noise(right, target)
        value = relative_foreground_sensitivity(first, second)
        yield (
            f"Relative foreground sensitivity: {value:.2f}, from accuracy {percent(first)} with "
            f"noise on the object and {percent(second)} with noise on the surroundings. 1 means "
            "that only the object matters, -1 that only the surroundings do."
        )


def _part_rows(
    right: dict[str, NDArray[np.bool_]], target: NDArray[np.int64]
) -> Iterator[tuple[str, ...]]:
    chance = class_chance(target)
    for name, one in right.items():
        if name and not name.startswith("noise"):
            change = paired_change(right[""], one, target)
            score = perceptual_score(change.before, change.after, chance)
            ends = f"{100 * change.low:.0f} to {100 * change.high:.0f}"
            shown = f"{score:.2f}" if name.startswith("other") and not np.isnan(score) else ""
            difference = f"{100 * change.difference:+.0f}"
            yield name, percent(change.after), difference, ends, shown


def _patch_rows(audited: Audited) -> Iterator[tuple[str, ...]]:
    arrays = audited.found[NAME]
    target = audited.target[arrays["positions"]]
    accuracies = [class_average(one == target, target) for one in arrays["patches"]]
    area = patch_selectivity(accuracies, list(SHARES))
    drop = f"{100 * (accuracies[-1] - accuracies[0]):+.0f}"
    yield "half of the patches from other classes", percent(accuracies[-1]), drop, "", ""
    yield "mean over 0 to 50 % of the patches", percent(area), "", "", ""


def _stamp_rows(audited: Audited) -> Iterator[tuple[str, ...]]:
    for one, after, target, found in _attractions(audited):
        accuracy = float((after == target)[target != one].mean())
        name = f"mark of {audited.classes[one]} on the others"
        yield name, percent(accuracy), f"{100 * found.gap:+.0f}", "", ""


PART_STEP = Step(NAME, (), _compute, _lines, _section, no_run)
