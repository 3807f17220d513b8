"""The step of the learning order: what the first epoch agrees with, and Gaussian clones."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from debias.audits.cues.encoder import rung_numbers
from debias.audits.cues.groups import GROUPS, proposals
from debias.audits.cues.ladder import CUES, measured_cues, probe_of
from debias.audits.drawing import taking_turns
from debias.audits.leaning.clones import gaussian_clones
from debias.audits.leaning.paired import agreement, class_average
from debias.audits.leaning.rows import model_of, no_run, percent, read_pictures
from debias.audits.lines import AuditLine, Section
from debias.audits.steps import Arrays, Audited, Step
from debias.data.examples import SPLITS

NAME = "order"
#: Training pictures that are replaced by clones.
MOST = 300
#: Agreement from which on a cue is named.
SOME = 0.4


def _unavailable(audited: Audited) -> str:
    if audited.model is None:
        return no_run(audited)
    run = audited.model.run
    first = run is not None and (run / "predictions" / "val-epoch=000.csv").is_file()
    return "" if first else "no predictions of the first epoch"


def _compute(audited: Audited) -> Arrays:
    saved, images = model_of(audited).saved_decisions("val-epoch=000"), audited.examples.images
    validation = np.flatnonzero(audited.split == SPLITS.index("val"))
    known = [place for place in validation if images[audited.rows[place]] in saved]
    positions = np.array(known, np.int64)
    first = np.array([saved[images[row]] for row in audited.rows[positions].tolist()], np.int64)
    words = dict(_words(audited, positions))
    return {
        "positions": positions,
        "names": np.array(list(words)),
        "kappa": np.array([agreement(first, word) for word in words.values()]),
        "kappa_target": np.array(agreement(first, audited.target[positions])),
        **_clones(audited),
    }


def _words(
    audited: Audited, positions: NDArray[np.int64]
) -> Iterator[tuple[str, NDArray[np.int64]]]:
    """What each cue says of some images: of cues without a network, and of the proposals."""
    proposed = {one.cue: one.word for one in proposals(audited)}
    masks = None if audited.masks is None else audited.masks[positions]
    for cue in measured_cues(audited):
        if cue.name in proposed:
            yield cue.name, proposed[cue.name][audited.rows[positions]]
        elif cue.rung.numbers is not None and len(positions):
            numbers = rung_numbers(cue.name, audited.pictures[positions], masks, None)
            yield cue.name, probe_of(audited, cue.name).scores(numbers).argmax(axis=1)


def _clones(audited: Audited) -> dict[str, NDArray[np.generic]]:
    """Accuracy on training pictures, and on their clones by mean and by mean and covariance."""
    judged, generator = audited.judged, np.random.default_rng([audited.seed, 13])
    drawn = judged[taking_turns(audited.target[judged], MOST, generator)]
    shown = read_pictures(audited, drawn)
    versions = [shown.pictures] + [
        gaussian_clones(shown.pictures, shown.target, generator, covariance=own)
        for own in (False, True)
    ]
    right = [model_of(audited).decided(one) == shown.target for one in versions]
    return {"clones": np.array([class_average(one, shown.target) for one in right])}


def _ranked(audited: Audited) -> list[tuple[str, float]]:
    arrays = audited.found[NAME]
    pairs = zip(arrays["names"].tolist(), arrays["kappa"].tolist(), strict=True)
    known = [pair for pair in pairs if not np.isnan(pair[1])]
    return sorted(known, key=lambda pair: -pair[1])


def _lines(audited: Audited) -> list[AuditLine]:
    hidden = {cue.name for cue in measured_cues(audited) if not cue.rung.shows_object}
    ranked = [pair for pair in _ranked(audited) if pair[0] in hidden and pair[1] >= SOME]
    for name, kappa in ranked[:1]:
        words = f"after the first epoch, the model decides as this cue does (kappa {kappa:.2f})"
        title, images = name.replace("_", " "), len(audited.found[NAME]["positions"])
        line = AuditLine("taken", title, "some", words, kappa, chance=0.0, measure="kappa")
        return [line._replace(images=images)]
    return []


def _section(audited: Audited) -> Section:
    plain, by_mean, by_covariance = audited.found[NAME]["clones"].tolist()
    own = float(audited.found[NAME]["kappa_target"])
    return Section(
        "What is learnt first",
        [
            "Agreement (Cohen's kappa) of the run's decisions on validation images after its first "
            f"epoch with those of a probe of each cue. With the true classes it is {own:.2f}.",
            f"The trained model is right on {percent(plain)} of the training pictures, on "
            f"{percent(by_mean)} of pictures drawn around the mean picture of each class, and on "
            f"{percent(by_covariance)} if they have the covariances of the class, too. Such "
            "pictures have no shapes: what is right on them is read from means and covariances.",
        ],
        header=("cue", "kappa"),
        table=[(name.replace("_", " "), f"{kappa:.2f}") for name, kappa in _ranked(audited)],
    )


ORDER_STEP = Step(NAME, (CUES, GROUPS), _compute, _lines, _section, _unavailable, version=2)
