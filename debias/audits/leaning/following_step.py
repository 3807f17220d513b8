"""The step that tells whether a run follows the cues of the proposals, on held-out images."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from debias.audits.cues.groups import GROUPS, GroupProposal, proposals
from debias.audits.cues.ladder import measured_cues
from debias.audits.cues.probing import Measured
from debias.audits.cues.proposals import Followed, followed
from debias.audits.leaning.rows import (
    held_out_positions,
    model_of,
    no_run,
    percent,
    read_pictures,
)
from debias.audits.lines import AuditLine, Section, Strip, ValueBar
from debias.audits.steps import Arrays, Audited, Step
from debias.data.examples import SPLITS
from debias.errors import InputError

FOLLOWING = "taken"
#: Lower ends of the difference from which on a cue is taken, and strongly so.
SOME, STRONG = 0.05, 0.2
#: Most images that are predicted again if the run has no saved predictions of them.
MOST = 2000
#: Mistakes that are shown of each class.
SHOWN = 8


def _compute(audited: Audited) -> Arrays:
    positions, decided = _decisions(audited)
    correct = decided == audited.target[positions]
    words = [one.word[audited.rows[positions]] for one in proposals(audited)]
    found = [
        followed(correct, word, audited.target[positions], seed=audited.seed) for word in words
    ]
    return {
        "positions": positions,
        "correct": correct,
        "follows": np.array(
            [(one[0], one[1], *one.difference, one.against) for one in found], np.float64
        ).reshape(len(found), 6),
    }


def _decisions(audited: Audited) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Held-out positions and the run's decisions: the saved ones, or predicted again."""
    positions, model = held_out_positions(audited), model_of(audited)
    split = SPLITS[int(audited.split[positions[0]])]
    try:
        saved, images = model.saved_decisions(split), audited.examples.images
        decided = [saved[images[row]] for row in audited.rows[positions].tolist()]
        return positions, np.array(decided, np.int64)
    except (InputError, KeyError):  # none were saved, or of other images
        positions = positions[:MOST]
        return positions, model.decided(read_pictures(audited, positions).pictures)


def _pairs(audited: Audited) -> list[tuple[GroupProposal, Followed]]:
    """The proposals, and how much the run follows each; the most followed first."""
    rows = audited.found[FOLLOWING]["follows"].tolist()
    follows = [Followed(one[0], one[1], Measured(*one[2:5]), int(one[5])) for one in rows]
    pairs = [
        (proposal, one)
        for proposal, one in zip(proposals(audited), follows, strict=True)
        if not np.isnan(one.difference.value)
    ]
    return sorted(pairs, key=lambda pair: -pair[1].difference.low)


def _lines(audited: Audited) -> Sequence[AuditLine]:
    pairs = _pairs(audited)
    taken = [pair for pair in pairs if pair[1].difference.low >= SOME] or pairs[:1]
    roots = {cue.name: cue.explained_by or cue.name for cue in measured_cues(audited)}
    first: dict[str, str] = {}
    for proposal, _ in taken:
        first.setdefault(roots[proposal.cue], proposal.cue)
    return [_line(proposal, one, first[roots[proposal.cue]]) for proposal, one in taken]


def _line(proposal: GroupProposal, follows: Followed, first: str) -> AuditLine:
    """One line; of cues with the same explanation, only the first one is printed."""
    low = follows.difference.low
    strength = "strong" if low >= STRONG else "some" if low >= SOME else "none found"
    words = f"accuracy {percent(follows.agreeing)} where it agrees with the class, "
    words += f"{percent(follows.disagreeing)} where not ({follows.against} images)"
    return AuditLine(
        "taken",
        proposal.title,
        strength,
        words,
        *follows.difference,
        0.0,
        "difference of accuracies",
        follows.against,
        "" if first == proposal.cue else first.replace("_", " "),
    )


def _section(audited: Audited) -> Section | None:
    pairs = _pairs(audited)
    if not pairs:
        return None
    return Section(
        "What the model takes",
        [
            "The model's accuracy on held-out images where a cue says their class, minus that "
            "where it says another class, within each class and then averaged over the classes. "
            "A model that ignores the cue has a difference near 0.",
        ],
        bars=[ValueBar(proposal.title, *one.difference) for proposal, one in pairs],
        header=("cue", "accuracy where it agrees", "where not", "images against it"),
        table=[
            (
                proposal.title,
                percent(one.agreeing),
                percent(one.disagreeing),
                f"{one.against:,}",
            )
            for proposal, one in pairs
        ],
        strips=_mistakes(pairs[0][0], audited),
    )


def _mistakes(proposal: GroupProposal, audited: Audited) -> list[Strip]:
    """Wrong images of the first classes in which the cue says another class, too."""
    arrays = audited.found[FOLLOWING]
    positions = arrays["positions"]
    word = proposal.word[audited.rows[positions]]
    wrong = ~arrays["correct"].astype(bool) & (word != audited.target[positions])
    strips = []
    for number, name in enumerate(audited.classes[:4]):
        rows = positions[wrong & (audited.target[positions] == number)][:SHOWN]
        if len(rows):
            title = f"{name}, called otherwise by the model and by the {proposal.title}"
            strips.append(Strip(title, tuple(rows.tolist())))
    return strips


FOLLOWING_STEP = Step(FOLLOWING, (GROUPS,), _compute, _lines, _section, no_run, version=3)
