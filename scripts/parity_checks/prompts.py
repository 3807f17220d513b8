"""Compares the texts and predictions of biased prompts with the authors' code, for its prompts."""

import re
from collections.abc import Iterator, Sequence
from types import SimpleNamespace
from typing import Any

import torch
from sklearn.decomposition import TruncatedSVD
from torch import Tensor
from torch.nn import functional as F

from debias.heads.zero_shot import calibrated_projection, class_texts, same_class_pairs
from debias.models.last_layers import TextHead
from parity_checks.cases import apart, draws
from parity_checks.official import Clones, Piece
from parity_checks.rows import Row

REPOSITORY, MAIN = "chingyaoc/debias_vl", "discriminative/main.py"
#: The class that a candidate prompt names.
CLASS = re.compile("landbird|waterbird|dark|blond")
SIZES = (12, 40, 512)


def zero_shot(clones: Clones) -> Iterator[Row]:
    names = ("get_proj_matrix", "get_A", "get_M")
    closed = clones.take(REPOSITORY, MAIN, *names, space={"TruncatedSVD": TruncatedSVD})
    predict = clones.take(REPOSITORY, "discriminative/network/clip.py", "classify_with_embeddings")
    code = clones.lines(REPOSITORY, MAIN, 142, 218)
    compared = (
        "texts and predictions for the prompts and pairs of Waterbirds and CelebA, with drawn "
        "embeddings of 12 to 512 numbers; without projection, and with strengths of 0, 1000 and 3"
    )
    cases = [(seed, name) for seed in range(4) for name in ("waterbirds", "celebA")]
    gaps = (_zero_shot(closed, predict, code, seed, name) for seed, name in cases)
    yield code.row("zero_shot", compared, gaps, bar=1e-9)


def _zero_shot(closed: Piece, predict: Piece, code: Piece, seed: int, dataset: str) -> float:
    """Difference of both texts, and of the predictions of 200 images."""
    generator, size = draws(seed), SIZES[seed % 3]
    shared = torch.randn(size, generator=generator)  # texts of one encoder are alike
    known: dict[str, Tensor] = {}

    def embeddings(texts: Sequence[str], *_: Any, **__: Any) -> Tensor:
        for text in texts:
            known.setdefault(text, shared + torch.randn(size, generator=generator))
        return F.normalize(torch.stack([known[text] for text in texts]), dim=1)

    strength = (1000.0, 0.0, 3.0, None)[seed]
    given = SimpleNamespace(dataset=dataset, debias=strength is not None, lam=strength)
    space = closed.space | {"args": given, "get_embeddings": embeddings, "base_model": None}
    theirs = code.run(space)
    candidates = theirs["candidate_prompt"]
    classes = [match[0] for text in candidates if (match := CLASS.search(text))]
    pairs = same_class_pairs(classes, candidates)
    ours = class_texts(
        embeddings(theirs["text_descriptions"]), torch.arange(2), ("first", "second"),
        projection=None if strength is None else calibrated_projection(
            embeddings(theirs["spurious_prompt"]), embeddings(candidates), pairs, strength=strength
        ),
    )  # fmt: skip
    images = shared + torch.randn(200, size, generator=generator)
    predicted = predict["classify_with_embeddings"](images, theirs["text_embeddings"], given)
    head = TextHead(ours, torch.tensor(100.0))
    return max(
        apart(theirs["text_embeddings"], ours),
        apart(predicted, head(images).argmax(dim=1)),
        apart(torch.tensor(theirs["S"]), pairs),
    )
