"""The step ``labels``: labels that the images do not support, by slice and by group."""

import csv
import io
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from debias.audits.cues.groups import GROUPS
from debias.audits.cues.ladder import CUES
from debias.audits.cues.probing import macro_auroc
from debias.audits.lines import AuditLine, Section, Strip
from debias.audits.rows.duplicates_step import DUPLICATES
from debias.audits.rows.suspects import SliceShare, confident_joint, suspects_by_slice
from debias.audits.rows.whole_images import held_out_probabilities
from debias.audits.slices.slices_step import MEMBER, SLICES, named_slices
from debias.audits.steps import Arrays, Audited, Step
from debias.data.examples import SPLITS
from debias.files import write_atomically

#: Name of the step, and its file.
LABELS, SUSPECTS_FILE = "labels", "suspects.csv"
#: Least AUROC of a probe whose doubts are worth a look.
CREDIBLE = 0.75
#: Share of the images from which on the suspects are too many to be wrong labels.
MANY = 0.1
#: Suspects on the page, and lines of its table.
SHOWN, LISTED = 24, 8


def _compute(audited: Audited) -> Arrays:
    probabilities = held_out_probabilities(audited)
    found = confident_joint(probabilities, audited.target)
    judged = audited.judged
    area = macro_auroc(probabilities[judged], audited.target[judged], seed=audited.seed)
    own = probabilities[np.arange(len(audited.target)), audited.target]
    # a class without images to learn from has probability 0, which is no doubt
    learned = np.isin(audited.target[found.suspects], audited.target[judged])
    return {
        "suspects": found.suspects[learned],
        "suggested": found.suggested,
        "confidence": own,
        "counts": found.counts,
        "auroc": np.array(area),
    }


def _credible(audited: Audited) -> bool:
    return bool(audited.found[LABELS]["auroc"][0] >= CREDIBLE)


def _suspect(audited: Audited) -> NDArray[np.bool_]:
    """``(N,)`` bool."""
    suspect = np.zeros(len(audited.rows), dtype=bool)
    suspect[audited.found[LABELS]["suspects"].astype(np.int64)] = True
    return suspect


def _parts(audited: Audited) -> dict[str, NDArray[np.bool_]]:
    """``(N,)`` images of each slice, and of each class against the first proposed cue, by name."""
    parts = {}
    for one in named_slices(audited):
        members = np.zeros(len(audited.rows), dtype=bool)
        members[audited.found[SLICES]["rows"][one.weight > MEMBER].astype(np.int64)] = True
        parts[f"slice {one.name}"] = members
    cues, words = audited.found[GROUPS]["cues"].tolist(), audited.found[GROUPS]["word"]
    for cue, word in list(zip(cues, words, strict=True))[:1]:
        says = word[audited.rows]
        for number, name in enumerate(audited.classes):
            against = (audited.target == number) & (says != number)
            parts[f"{name} against the {cue.replace('_', ' ')}"] = against
    return parts


def shares_of_suspects(audited: Audited) -> list[SliceShare]:
    """How the suspects lie over slices and groups, most over-represented first."""
    parts = {name: members for name, members in _parts(audited).items() if members.any()}
    if not parts:
        return []
    return suspects_by_slice(_suspect(audited), np.stack([*parts.values()], axis=1), list(parts))


def _lines(audited: Audited) -> list[AuditLine]:
    found = audited.found[LABELS]
    count, area = len(found["suspects"]), float(found["auroc"][0])
    if not _credible(audited):
        words = f"a probe of whole images is too weak to doubt a label (AUROC {area:.2f})"
        return [AuditLine(LABELS, "", "none found", words, area, chance=0.5, measure="AUROC")]
    if not count:
        words = f"no label of {len(audited.rows):,} images is doubtful to a probe"
        return [AuditLine(LABELS, "", "none found", words)]
    warned = [share for share in shares_of_suspects(audited) if share.warned]
    suspects = f"{count:,} of {len(audited.rows):,} images are suspects"
    words = f"{suspects} ({SUSPECTS_FILE}): look at them, and do not drop them unseen"
    if warned:
        first = max(warned, key=lambda share: share.suspects)
        words = (
            f"{suspects}, {first.suspects:,} of them in {first.name!r}: do not drop them, "
            "look at them"
        )
    if not warned and count > MANY * len(audited.rows):
        words = (
            f"{suspects}: a probe of AUROC {area:.2f} doubts right labels too; look at the first, "
            f"and drop none unseen ({SUSPECTS_FILE})"
        )
    line = AuditLine(LABELS, "", "warning" if warned else "some", words, count / len(audited.rows))
    rows = tuple(found["suspects"][:SHOWN].tolist())
    return [line._replace(chance=0.0, measure="share of the images", images=count, rows=rows)]


def _section(audited: Audited) -> Section | None:
    suspects = audited.found[LABELS]["suspects"].astype(np.int64)
    if not _credible(audited) or not len(suspects):
        return None
    suggested = audited.found[LABELS]["suggested"]
    pairs = [(audited.target[row], suggested[row]) for row in suspects[:SHOWN].tolist()]
    names = audited.classes
    captions = [f"given {names[given]}, looks like {names[other]}" for given, other in pairs]
    shares = shares_of_suspects(audited)[:LISTED]
    table = [
        (
            one.name,
            f"{one.images:,}",
            f"{one.suspects:,}",
            f"{one.ratio:.1f}",
            "yes" if one.warned else "no",
        )
        for one in shares
    ]
    strip = Strip("Least probable labels", tuple(suspects[:SHOWN].tolist()), tuple(captions))
    header = ("slice or group", "images", "suspects", "times its share", "more than chance")
    return Section(
        "Labels", list(_sentences(audited, shares)), header=header, table=table, strips=(strip,)
    )


def _sentences(audited: Audited, shares: list[SliceShare]) -> Iterator[str]:
    count = len(audited.found[LABELS]["suspects"])
    yield (
        "A probe of whole images, which did not learn from the image, is sure of another class on "
        f"{count:,} of {len(audited.rows):,} images. {SUSPECTS_FILE} lists them, the least "
        "probable label first."
    )
    if audited.encoder_saw_labels:
        yield (
            "The probe reads features of a run. If the run was trained on these labels, it has "
            "learned wrong ones too, and there are fewer suspects."
        )
    if any(one.warned for one in shares):
        yield (
            "Some slices or groups hold more than twice their share of the suspects. Their labels "
            "may well be right: images that do not follow a shortcut look wrong to a probe that "
            "does. A model without them learns the shortcut all the more."
        )


def _write(audited: Audited, folder: Path) -> None:
    """One line per suspect: path, split, given and suggested label, probability, slice."""
    text = io.StringIO()
    table = csv.writer(text, lineterminator="\n")
    table.writerow(("path", "split", "target", "suggested", "probability", "slice"))
    found, parts = audited.found[LABELS], _parts(audited)
    for row in found["suspects"].tolist() if _credible(audited) else ():
        names = [audited.classes[one] for one in (audited.target[row], found["suggested"][row])]
        inside = next((name for name, members in parts.items() if members[row]), "")
        path = audited.examples.images[int(audited.rows[row])]
        share = f"{float(found['confidence'][row]):.4f}"
        table.writerow((path, SPLITS[audited.split[row]], *names, share, inside))
    write_atomically(folder / SUSPECTS_FILE, text.getvalue())


LABELS_STEP = Step(
    *(LABELS, (DUPLICATES, CUES, GROUPS, SLICES), _compute, _lines, _section),
    write=_write,
    files=(SUSPECTS_FILE,),
    version=3,
)
