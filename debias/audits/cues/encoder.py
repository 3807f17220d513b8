"""Features of what is left of the pictures at each rung, by a frozen network."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from debias.audits.cues.rungs import RUNGS
from debias.audits.drawing import SHORTER, SIDE
from debias.audits.model import AuditedModel, model_of_run
from debias.audits.steps import Arrays, Audited, Step, encoder_digest
from debias.data.pictures.geometry import CentreCrop, Geometry, ShorterSide
from debias.errors import InputError
from debias.files import file_state
from debias.models.classifier import timm_classifier
from debias.progress import each
from debias.trained.picture_model import PictureModel
from debias.types import Groups

#: Values of ``encoder=``: no network, and that of the run under audit.
NO_ENCODER, OWN_RUN = "none", "run"
#: Pictures that are changed and encoded at a time.
CHUNK = 256
#: The rungs that a network reads.
ENCODED = tuple(name for name, rung in RUNGS.items() if rung.numbers is None)
#: The rungs of the whole image, with a network and without: later steps read them of all images.
IMAGE, STATISTICS = "image", "statistics"
#: The rungs whose numbers are kept, because they take long or are read several times.
KEPT = (*ENCODED, STATISTICS)


def is_run(name: str) -> bool:
    """Whether a name is the folder of a run, such as a value of ``encoder=``."""
    return (Path(name) / "config.yaml").is_file()


def chosen_encoder(
    name: str, weights: str | None, model: AuditedModel | None
) -> AuditedModel | None:
    """The network whose features an audit reads.

    Args:
        name: "none", "run", the folder of a run, or timm's name of a network.
        weights: file of weights of a network of timm; ``None`` for those of timm.
        model: the model under audit, for "run".

    Raises:
        ValueError: no run is under audit, a run is not finished, timm has no such network, or its
            weights do not fit or cannot be downloaded.
    """
    if name == NO_ENCODER:
        return None
    if name == OWN_RUN:
        if model is None:
            raise InputError(
                "encoder=run is the backbone of the run under audit, and data have none: give "
                "encoder=RUN_FOLDER, or timm's name of a network"
            )
        return model
    return model_of_run(Path(name)) if is_run(name) else frozen_encoder(name, weights)


def frozen_encoder(name: str, weights: str | None, *, side: int = SIDE) -> AuditedModel:
    """A network of timm for pictures of ``side`` x ``side`` pixels, cropped as those of an audit.

    Raises:
        ValueError: timm has no such network, or its weights do not fit or cannot be downloaded.
    """
    network = timm_classifier(
        2,  # the head is not used
        name=name,
        pretrained=weights is None,
        weights=weights,
    )
    groups = Groups(("no", "yes"), ("unknown",))
    steps = (ShorterSide(round(side * SHORTER / SIDE)), CentreCrop(side, side))
    model = PictureModel(network, Geometry(steps, side, side), groups).eval()
    return AuditedModel(model, digest=f"{name} {file_state(Path(weights) if weights else None)}")


def rung_numbers(
    name: str,
    pictures: NDArray[np.uint8],
    masks: NDArray[np.bool_] | None,
    encoder: AuditedModel | None,
) -> NDArray[np.float32]:
    """``(N, d)`` numbers of a rung: its statistics, or the encoder's features of its pictures.

    Args:
        name: a key of ``RUNGS``.
        pictures: ``(N, S, S, 3)`` uint8.
        masks: ``(N, S, S)`` bool; ``None`` only for a rung that needs none.
        encoder: the network; ``None`` only for a rung of statistics.
    """
    rung, parts = RUNGS[name], []
    starts = range(0, len(pictures), CHUNK)
    title = f"reading {name.replace('_', ' ')}"
    for start in each(starts, title, "batch"):
        inside = slice(start, start + CHUNK)
        shown = np.asarray(pictures[inside])
        hidden = np.zeros(shown.shape[:3], bool) if masks is None else np.asarray(masks[inside])
        if rung.numbers is not None:
            parts.append(rung.numbers(shown, hidden))
        else:
            assert encoder is not None
            parts.append(encoder.features(rung.picture(shown, hidden)))
    return np.concatenate(parts)


def feature_step(name: str) -> str:
    """Name of the step that keeps the features of a rung."""
    return f"features of {name}"


def encoded_rows(audited: Audited, name: str) -> NDArray[np.int64]:
    """Positions of the images whose features are kept: all for the whole image, else ``judged``."""
    return np.arange(len(audited.rows)) if name in (IMAGE, STATISTICS) else audited.judged


def reason_against(name: str, audited: Audited) -> str:
    """Why a rung cannot be measured on these images; empty if it can."""
    rung = RUNGS[name]
    if rung.numbers is None and audited.encoder is None:
        return "encoder=none"
    return "no masks" if rung.needs_masks and audited.masks is None else ""


def _compute(name: str, audited: Audited) -> Arrays:
    if reason_against(name, audited):
        return {}
    rows = encoded_rows(audited, name)
    masks = None if audited.masks is None else audited.masks[rows]
    numbers = rung_numbers(name, audited.pictures[rows], masks, audited.encoder)
    return {"features": numbers.astype(np.float16 if name in ENCODED else np.float32)}


def _no_reason(name: str, audited: Audited) -> str:
    return ""


#: One step per rung, so that a killed audit goes on at the rung that it was at.
FEATURES = tuple(
    Step(
        feature_step(name),
        (),
        partial(_compute, name),
        lambda audited: (),
        lambda audited: None,
        # one name is enough for a reader to learn that there is no encoder
        partial(reason_against if name == IMAGE else _no_reason, name),
        settings=encoder_digest if name in ENCODED else lambda audited: "",
    )
    for name in KEPT
)
