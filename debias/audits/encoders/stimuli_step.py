"""The step of association tests; it runs if a folder of stimuli is given."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from debias.audits.encoders.stimuli import (
    AssociationRow,
    association_csv,
    association_rows,
    read_stimuli,
)
from debias.audits.encoders.tested import no_encoder, tested_encoder
from debias.audits.lines import Section, ValueBar
from debias.audits.model import AuditedModel
from debias.audits.steps import Arrays, Audited, Step, encoder_digest
from debias.files import file_state, write_atomically
from debias.trained.images import shaped

STIMULI, ASSOCIATIONS_FILE = "stimuli", "associations.csv"


def _stimuli_unavailable(audited: Audited) -> str:
    return no_encoder(audited) if audited.stimuli else "no stimuli=FOLDER"


def _associations(audited: Audited) -> Arrays:
    assert audited.stimuli is not None
    rows = association_rows(
        read_stimuli(audited.stimuli), partial(_embedded, tested_encoder(audited))
    )
    return {
        "names": np.array([row.name for row in rows]),
        "numbers": np.array([row[1:-1] for row in rows]),
        "sizes": np.array([row.sizes for row in rows]),
    }


def _embedded(encoder: AuditedModel, files: Sequence[Path]) -> Tensor:
    """Features of files, in the geometry of the network."""
    geometry = encoder.network.geometry
    pictures = [shaped(file, geometry).permute(1, 2, 0).numpy() for file in files]
    return torch.from_numpy(encoder.features(np.stack(pictures)))


def _rows(audited: Audited) -> list[AssociationRow]:
    arrays = audited.found[STIMULI]
    columns = (arrays["names"].tolist(), arrays["numbers"].tolist(), arrays["sizes"].tolist())
    return [
        AssociationRow._make([name, *numbers, tuple(sizes)])
        for name, numbers, sizes in zip(*columns, strict=True)
    ]


def _stimuli_section(audited: Audited) -> Section:
    rows = sorted(_rows(audited), key=lambda row: -row.effect_size)
    return Section(
        "Associations of the features",
        [
            "Image embedding association test of each folder of stimuli. d is above 0 if the "
            "images X are nearer to A, and Y nearer to B, than the reverse. Its 95 % interval is "
            "for other images X and Y of the same kinds. p is one-sided, and adjusted by Holm's "
            "method over the tests. It needs as many images X as Y.",
        ],
        effects=[
            ValueBar(row.name, row.effect_size, _known(row.low), _known(row.high))
            for row in rows
            if not math.isnan(row.effect_size)
        ],
        header=("test", "d", "p", "p (Holm)", "images X, Y, A, B"),
        table=[
            (
                row.name,
                _text(row.effect_size, ".2f"),
                _text(row.p_value, ".2g"),
                _text(row.adjusted, ".2g"),
                ", ".join(map(str, row.sizes)),
            )
            for row in rows
        ],
    )


def _text(value: float, form: str) -> str:
    return "–" if math.isnan(value) else format(value, form)


def _known(value: float) -> float | None:
    return None if math.isnan(value) else value


def _write_associations(audited: Audited, folder: Path) -> None:
    write_atomically(folder / ASSOCIATIONS_FILE, association_csv(_rows(audited)))


STIMULUS_STEP = Step(
    STIMULI,
    (),
    _associations,
    lambda audited: (),
    _stimuli_section,
    _stimuli_unavailable,
    write=_write_associations,
    files=(ASSOCIATIONS_FILE,),
    version=2,
    on_request=True,
    settings=lambda audited: f"{file_state(audited.stimuli)} {encoder_digest(audited)}",
)
