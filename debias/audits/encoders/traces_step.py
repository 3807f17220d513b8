"""The step of traces: whether an encoder's features tell how a picture was processed."""

from __future__ import annotations

from collections.abc import Iterator

import cv2
import numpy as np
from numpy.typing import NDArray

from debias.audits.drawing import taking_turns
from debias.audits.encoders.tested import no_encoder, tested_encoder
from debias.audits.encoders.traces import (
    FAMILIES,
    Influence,
    Processing,
    processed,
    processing_influence,
    trace_accuracy,
)
from debias.audits.leaning.rows import percent
from debias.audits.lines import AuditLine, Section
from debias.audits.model import AuditedModel
from debias.audits.steps import Arrays, Audited, Step, encoder_digest
from debias.progress import each

TRACES = "traces"
#: Fewest and most pictures whose processing is read, and the share that a probe learns from.
FEWEST, MOST, SHARE = 20, 200, 0.6
#: Neighbours that vote.
NEIGHBOURS = 10


def _traces(audited: Audited) -> Arrays:
    generator = np.random.default_rng([audited.seed, 31])
    drawn = taking_turns(audited.target, MOST, generator)
    encoder = tested_encoder(audited)
    if audited.model is None:
        pictures = np.asarray(audited.pictures[drawn])
    else:
        pictures = encoder.pictures(audited.examples, audited.rows[drawn]).pictures
    order = generator.permutation(len(drawn))
    train, test = np.split(order, [round(SHARE * len(order))])
    label, numbers = audited.target[drawn], []
    for family in each(FAMILIES, "reading traces", "family"):
        features = np.stack(
            [_processed(encoder, pictures, one) for one in FAMILIES[family].values()]
        )
        accuracy = trace_accuracy(features[:, train], features[:, test], generator)
        parts = (features[:, train], features[:, test], label[train], label[test])
        numbers.append((accuracy, *processing_influence(*parts, k=NEIGHBOURS)))
    return {"numbers": np.array(numbers), "tested": np.array(len(test))}


def _processed(
    encoder: AuditedModel, pictures: NDArray[np.uint8], processing: Processing
) -> NDArray[np.float32]:
    """Features of processed pictures, which are brought back to their size."""
    height, width = pictures.shape[1:3]
    changed = processed(pictures, processing, np.random.default_rng(0))
    same = [cv2.resize(one, (width, height), interpolation=cv2.INTER_AREA) for one in changed]
    return encoder.features(np.stack(same).astype(np.uint8))


def _trace_numbers(audited: Audited) -> Iterator[tuple[str, float, Influence]]:
    rows = audited.found[TRACES]["numbers"].tolist()
    for family, (accuracy, *influence) in zip(FAMILIES, rows, strict=True):
        yield family, accuracy, Influence(*influence)


def _trace_lines(audited: Audited) -> list[AuditLine]:
    lines = []
    for family, accuracy, _ in _trace_numbers(audited):
        chance = 1 / len(FAMILIES[family])
        if accuracy > chance + (1 - chance) / 4:
            strength = "strong" if accuracy > chance + (1 - chance) / 2 else "some"
            words = f"a probe tells the {family} of a picture from its features: "
            words += f"{percent(accuracy)} (chance {percent(chance)})"
            title, measure = f"traces of {family}", "accuracy"
            line = AuditLine("files", title, strength, words, accuracy, chance=chance)
            lines.append(
                line._replace(measure=measure, images=int(audited.found[TRACES]["tested"]))
            )
    return lines


def _trace_section(audited: Audited) -> Section:
    return Section(
        "Traces of processing in the features",
        [
            "A probe tells how a picture was processed from its features. Then the nearest "
            "neighbours of a picture vote for its class. If only pictures of its own class share "
            "its processing, they are right more often than if only the others do, as far as the "
            "features follow traces. The last column is this difference; 0 is an encoder that "
            "ignores traces.",
        ],
        header=(
            *("processing", "probe", "chance", "neighbours: all the same"),
            *("own class the same", "others the same", "difference"),
        ),
        table=[
            (
                family,
                percent(accuracy),
                percent(1 / len(FAMILIES[family])),
                percent(one.baseline),
                percent(one.pos_same),
                percent(one.neg_same),
                f"{100 * one.effect:+.0f}",
            )
            for family, accuracy, one in _trace_numbers(audited)
        ],
    )


def _unavailable(audited: Audited) -> str:
    few = len(audited.target) < FEWEST
    return f"fewer than {FEWEST} images" if few else no_encoder(audited)


TRACE_STEP = Step(
    *(TRACES, (), _traces, _trace_lines, _trace_section, _unavailable),
    on_request=True,
    settings=encoder_digest,
    version=2,
)
