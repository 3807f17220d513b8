"""Compares ShortcutProbe with the authors' code: the sure samples, and both descents."""

from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any
from unittest.mock import patch

import torch
from torch import Tensor, nn

from debias.heads import shortcut_probe
from debias.heads.linear import Heads, Rows
from debias.heads.shortcut_probe import Probed, ProbeSettings, probed
from parity_checks.cases import apart, draws, labelled
from parity_checks.official import Clones
from parity_checks.rows import Row

PROBE, PATH = "gtzheng/ShortcutProbe", "algorithms/shortcut_probe.py"
STEPS = 12
SETTINGS = ProbeSettings(
    size=3, length=0.5, unfit=5.0, epochs=1, basis_rate=0.05, learning_rate=0.05, batch_size=8
)
BASIS_COMPARED = "the basis after 12 steps on pairs of samples that our search drew"
HEAD_COMPARED = "the head after 12 steps against a basis, on pairs that our search drew"
#: Their averages, which print nothing here.
METERS = dict.fromkeys(
    (
        "loss", "loss_spu", "loss_main", "acc", "kldist0", "kldist1", "acc_cor", "acc_mis",
        "norm_vec",
    ),
    SimpleNamespace(update=lambda *_: None),
)  # fmt: skip


def sure(clones: Clones) -> Iterator[Row]:
    separate = clones.lines(PROBE, "algorithms/algorithm.py", 79, 121)

    def case(seed: int) -> float:
        logits, y = labelled(seed, samples=90, classes=3)
        confident = (0.3, 0.1, 0.0)[seed % 3]
        losses = nn.functional.cross_entropy(logits, y, reduction="none")
        entropy = -(logits.softmax(1) * logits.log_softmax(1)).sum(1)
        columns = {"loss": losses, "ent": entropy, "index": torch.arange(90)}
        columns |= {"pred": logits.argmax(1), "res": logits.argmax(1) == y}
        given: dict[str, Any] = {
            f"{name}_dict": {c: column[y == c].tolist() for c in range(3)}
            for name, column in columns.items()
        }
        kinds = {name: {} for name in ("mis_index_dict", "cor_index_dict")}  # type: ignore[var-annotated]
        kinds |= {f"{kind}_pred_label_dict": {} for kind in ("mis", "cor")}
        separate.run(given | kinds | {"mis_ratio": confident})
        ours = probed(logits, y, confident=confident)
        pairs = (("cor", ours.right), ("mis", ours.wrong))
        return max(_rows_apart(kinds[f"{kind}_index_dict"], rows) for kind, rows in pairs)

    compared = "right and wrong samples of 90, by loss and entropy; shares of 0, 0.1 and 0.3"
    yield separate.row("shortcut_probe", compared, map(case, range(6)), bar=0.0)


def _rows_apart(theirs: dict[int, Tensor], ours: Tensor) -> float:
    return apart(torch.cat(list(theirs.values())).sort().values, ours.sort().values)


def descents(clones: Clones) -> Iterator[Row]:
    vectors = clones.take(PROBE, PATH, "SpuriousVectors")
    detect = clones.lines(PROBE, PATH, 117, 160)
    refit = clones.lines(PROBE, PATH, 269, 319)

    def case(seed: int) -> tuple[float, float]:
        search, start, drawn = _search(seed)
        layer = nn.Linear(6, 3)
        layer.load_state_dict({"weight": start.weights[0], "bias": start.biases[0]})
        with patch.object(torch, "randn", lambda *_, **__: drawn):
            ours, opposed = _played(search, "_opposed", lambda: search.basis(start))
        learner = _learner(vectors["SpuriousVectors"](3, 6), layer)
        theirs, x = learner.spu_vecs, search.fitting.features
        theirs.spu_vecs.data.copy_(drawn * x.std(dim=0))
        state = {"self": learner, "epoch_meters": METERS}
        each = nn.CrossEntropyLoss(reduction="none")
        y, predicted = search.fitting.target, search.predicted
        for rows in map(torch.cat, opposed):
            batch = (x[rows], y[rows], None, None, predicted[rows])
            detect.run(state | {"batch": batch, "criterion": each})
        basis = apart(theirs.spu_vecs, ours)
        head, paired = _played(search, "_paired", lambda: search.head(ours, start).heads)
        learner.spu_vecs = lambda z: shortcut_probe.shortcut_part(z, ours)
        for wrong, right in paired:
            first = (x[wrong], y[wrong], None, None, predicted[wrong])
            refit.run(state | {"batch": (*first, x[right], y[right], None, None, y[right])})
        return basis, max(apart(layer.weight, head.weights[0]), apart(layer.bias, head.biases[0]))

    bases, heads = zip(*(case(seed) for seed in range(4)), strict=True)
    yield detect.row("shortcut_probe", BASIS_COMPARED, bases, bar=1e-10)
    yield refit.row("shortcut_probe", HEAD_COMPARED, heads, bar=1e-10)


def _learner(theirs: nn.Module, layer: nn.Linear) -> Any:
    """Their learner, with its vectors and its last layer."""
    return SimpleNamespace(
        device="cpu", model=SimpleNamespace(fc=layer), spu_vecs=theirs,
        config=SimpleNamespace(
            last_layer=True, sem_reg=0.5, spu_reg=5.0, use_shortcutwalk_dataset=True
        ),
        criterion=nn.CrossEntropyLoss(), optimizer_vec=_descent(theirs, 0.05),
        optimizer_cls=_descent(layer, 0.05),
    )  # fmt: skip


def _descent(network: nn.Module, rate: float) -> torch.optim.Optimizer:
    return torch.optim.SGD(network.parameters(), lr=rate, momentum=0.9, weight_decay=1e-4)


def _search(seed: int) -> tuple[Any, Heads, Tensor]:
    """Our search on 80 rows of three classes, the first head, and the draw of the first basis."""
    generator = draws(seed)
    y = torch.arange(80) % 3
    x = torch.randn(80, 6, generator=generator) + nn.functional.one_hot(y, 6)
    start = Heads(torch.randn(1, 3, 6, generator=generator), torch.zeros(1, 3))
    predicted = start.logits(x)[0].argmax(1)
    right, wrong = ((predicted == y) == kind for kind in (True, False))
    kinds = Probed(right.nonzero()[:, 0], wrong.nonzero()[:, 0])
    rows = Rows(x, y, y)
    search = shortcut_probe._Search(rows, rows, kinds, predicted, STEPS, generator, SETTINGS)
    return search, start, torch.randn(3, 6, generator=generator)


def _played(search: Any, name: str, play: Any) -> tuple[Any, list[tuple[Tensor, Tensor]]]:
    """The result of one of our descents, and the samples of its steps."""
    drawn: list[tuple[Tensor, Tensor]] = []
    draw = getattr(shortcut_probe._Search, name)

    def recorded(self: Any, count: int) -> tuple[Tensor, Tensor]:
        drawn.append(draw(self, count))
        return drawn[-1]

    with patch.object(shortcut_probe._Search, name, recorded):
        return play(), drawn
