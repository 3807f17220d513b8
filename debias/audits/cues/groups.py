"""The step that proposes groups: what each cue says of every image, as ``groups.csv``."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from debias.audits.cues.ladder import CUES, MeasuredCue, measured_cues
from debias.audits.cues.probing import Measured
from debias.audits.cues.proposals import (
    Followed,
    Match,
    followed,
    matched,
    smallest_group,
    usefulness,
)
from debias.audits.cues.words import cue_words, undrawn_state
from debias.audits.lines import AuditLine, Section, Strip
from debias.audits.steps import Arrays, Audited, Step
from debias.data.partition import write_inferred

#: Name of the step, of the file of the first proposal, and of the folder with all of them.
GROUPS, GROUPS_FILE, GROUPS_FOLDER = "groups", "groups.csv", "groups"
#: Least lower bound of ``recovered`` of a cue that is worth a proposal.
WORTH = 0.1
#: Most proposals.
MOST = 4
#: Classes whose pictures against the cue are shown, and the number of these pictures.
CLASSES, SHOWN = 4, 8
#: First columns of the table.
HEADER = (
    *("cue", "accuracy where it agrees", "where not", "difference"),
    *("images against it", "smallest group"),
)


class GroupProposal(NamedTuple):
    """Groups that one cue gives.

    Attributes:
        cue: key of ``RUNGS``.
        word: ``(len(examples),)`` int64: the class that the cue says of each image of the data set;
            -1 if the cue needs the mask of an image without one.
        follows: how much a probe of the whole image follows the cue.
        smallest: number of images of the smallest group that occurs, in the splits in which cues
            are looked for. Images that were not drawn count too.
        match: how the images against the cue match bias labels; ``None`` without labels.
    """

    cue: str
    word: NDArray[np.int64]
    follows: Followed
    smallest: int
    match: Match | None

    @property
    def title(self) -> str:
        """Name of the cue for a reader."""
        return self.cue.replace("_", " ")

    @property
    def file(self) -> str:
        """File of this proposal, in the folder of the audit."""
        return f"{GROUPS_FOLDER}/{self.cue}.csv"


def proposals(audited: Audited) -> list[GroupProposal]:
    """The proposals, the most useful first."""
    arrays, judged = audited.found[GROUPS], audited.rows[audited.judged]
    target, bias, split = (
        labels.numpy()
        for labels in (audited.examples.target, audited.examples.bias, audited.examples.split)
    )
    inside = np.isin(split, split[judged])
    found = []
    for cue, word, follows in zip(
        arrays["cues"].tolist(), arrays["word"], arrays["follows"].tolist(), strict=True
    ):
        share = Followed(follows[0], follows[1], Measured(*follows[2:5]), int(follows[5]))
        match = matched(word[judged], target[judged], bias[judged])
        known = inside & (word >= 0)
        smallest = smallest_group(word[known], target[known])
        found.append(GroupProposal(cue, word, share, smallest, match))
    return found


def _compute(audited: Audited) -> Arrays:
    whole, *cues = measured_cues(audited)
    target = audited.target[audited.judged]
    correct = whole.scores.argmax(axis=1) == target
    pairs = [
        (cue, followed(correct, cue.scores.argmax(axis=1), target, seed=audited.seed))
        for cue in cues
        if _worth(cue)
    ]
    pairs = sorted(pairs, key=lambda pair: -usefulness(pair[1]))[:MOST]
    word = cue_words([cue for cue, _ in pairs], audited)
    return {
        "cues": np.array([cue.name for cue, _ in pairs], dtype=np.str_),
        "word": word,
        "follows": np.array(
            [(one[0], one[1], *one.difference, one.against) for _, one in pairs], np.float64
        ).reshape(len(pairs), 6),
    }


def _worth(cue: MeasuredCue) -> bool:
    """Whether a cue tells a good part of what the whole image tells, and hides the object."""
    return cue.strength != "none found" and cue.recovered.low >= WORTH and not cue.rung.shows_object


def _lines(audited: Audited) -> list[AuditLine]:
    found = proposals(audited)
    return [] if not found else [*_taken(found[0], audited), _offer(found[0], audited)]


def _taken(best: GroupProposal, audited: Audited) -> Iterator[AuditLine]:
    """How much the stand-in follows the first proposal, if no model is under audit."""
    if audited.model is None and best.follows.difference.low > 0:
        low = best.follows.difference.low
        yield AuditLine(
            "taken",
            best.title,
            "strong" if low >= 0.2 else "some",
            f"{_accuracies(best.follows)}; stand-in: a probe of the whole image",
            best.follows.difference.value,
            low,
            best.follows.difference.high,
            0.0,
            "difference of accuracies",
            best.follows.against,
        )


def _offer(best: GroupProposal, audited: Audited) -> AuditLine:
    values = len(np.unique(best.word[best.word >= 0]))
    text = f"{GROUPS_FILE}: {values} values; smallest group {best.smallest} images; groups of a "
    text += "cue, not of people's attributes"
    strength = "warning" if best.smallest < 10 else "some"
    if not best.follows.against:
        text = f"{GROUPS_FILE}: no image is against this cue, so the groups are the classes"
        strength = "none found"
    return AuditLine("groups", best.title, strength, text, images=best.smallest)


def _accuracies(follows: Followed) -> str:
    text = f"accuracy {100 * follows.agreeing:.0f} % where it agrees with the class, "
    return text + f"{100 * follows.disagreeing:.0f} % where not ({follows.against} images)"


def _section(audited: Audited) -> Section | None:
    found = proposals(audited)
    if not found:
        return None
    columns = ("precision", "recall") if any(one.match for one in found) else ()
    return Section(
        "Groups to train on",
        [*_sentences(found[0], bool(columns))],
        header=(*HEADER, *columns, "file"),
        table=[_row(one, bool(columns)) for one in found],
        strips=_against(found[0], audited),
    )


def _sentences(best: GroupProposal, labelled: bool) -> Iterator[str]:
    yield (
        "A group is a class together with what a cue says: the class that a probe of this cue "
        "alone predicts. These groups come from a cue of the pictures, and not from attributes of "
        f"people. The smallest group of the first proposal has {best.smallest} training images."
    )
    yield (
        f"{GROUPS_FILE}, in the folder of this page, holds the first proposal. `debias train "
        f"CONFIG groups.file=FOLDER/{GROUPS_FILE} 'groups.splits=[train,val]' "
        "strategy.name=group_dro` trains with it, and selects the epoch by its worst group."
    )
    yield (
        "The accuracies are those of a stand-in, a probe of the whole image on held-out images. "
        "The proposals are sorted by the lower end of the difference, less if few images are "
        "against the cue."
    )
    if labelled:
        yield (
            "Precision and recall compare the images against the cue with those that conflict with "
            "the bias labels. The audit read these labels for nothing else."
        )


def _row(one: GroupProposal, labelled: bool) -> tuple[str, ...]:
    value, low, high = (f"{100 * part:.1f}" for part in one.follows.difference)
    match: Sequence[str] = ()
    if labelled:
        pair = (one.match.precision, one.match.recall) if one.match else ()
        match = [f"{share:.2f}" for share in pair] or ["–", "–"]
    return (
        one.title,
        f"{100 * one.follows.agreeing:.1f} %",
        f"{100 * one.follows.disagreeing:.1f} %",
        f"{value} [{low}, {high}]",
        f"{one.follows.against:,}",
        f"{one.smallest:,}",
        *match,
        one.file,
    )


def _against(best: GroupProposal, audited: Audited) -> list[Strip]:
    """Images of each class that are most against the cue."""
    cue = next(cue for cue in measured_cues(audited) if cue.name == best.cue)
    target, strips = audited.target[audited.judged], []
    for c, name in enumerate(audited.classes[:CLASSES]):
        members = np.flatnonzero((target == c) & (cue.scores.argmax(axis=1) != c))
        order = members[np.argsort(cue.scores[members, c], kind="stable")][:SHOWN]
        rows = tuple(audited.judged[order].tolist())
        if rows:
            strips.append(Strip(f"{name} against the {best.title}", rows))
    return strips


def _write(audited: Audited, folder: Path) -> None:
    for place, one in enumerate(proposals(audited)):
        for name in (one.file, *([GROUPS_FILE] if place == 0 else [])):
            write_inferred(folder / name, audited.examples, torch.from_numpy(one.word))


PROPOSALS = Step(
    *(GROUPS, (CUES,), _compute, _lines, _section),
    write=_write,
    files=(GROUPS_FILE, f"{GROUPS_FOLDER}/*.csv"),
    version=3,
    settings=undrawn_state,
)
