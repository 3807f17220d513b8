"""Compares trainings on IRM's coloured digits with the authors' loops, over their schedules."""

from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import torch
from torch import Tensor, nn, optim

from debias.group_inference.environments import environment_weights
from debias.models.layered import layered_classifier
from debias.strategies.erm import ERM
from debias.strategies.irm import IRM
from debias.strategies.spectral_decoupling import SpectralDecoupling
from debias.strategies.strategy import Strategy
from debias.types import Batch, Groups
from parity_checks.cases import Replaced, apart, draws
from parity_checks.official import Clones, Piece
from parity_checks.rows import Row

PEZESHKI, CREAGER = "mohammadpz/Gradient_Starvation", "ecreager/eiil"
GROUPS = Groups(("high", "low"), ("one", "other"))
RATE, UNITS, ROWS = 0.01, 6, 60


def spectral_decoupling_game(clones: Clones) -> Iterator[Row]:
    path = "Figure_4_and_table_1/cmnist.py"
    code = clones.lines(PEZESHKI, path, 135, 211)

    def case(seed: int) -> float:
        flags = SimpleNamespace(
            exp="sd", steps=12, penalty_anneal_iters=5, sd_coef=2e-5, lr=RATE,
            hidden_dim=UNITS, grayscale_model=False,
        )  # fmt: skip
        names = ("MLP", "mean_nll", "mean_accuracy")
        given = clones.take(PEZESHKI, path, *names, space={"flags": flags}).space
        batch, ours = _batch(seed), _network(seed)
        theirs = _copied(given["MLP"](), ours)
        optimizer = optim.Adam(theirs.parameters(), lr=RATE)
        state = {"envs": _environments(batch), "mlp": theirs, "optimizer": optimizer}
        code.run(given | state | {"pretty_print": lambda *_: None})
        strategy = SpectralDecoupling(
            GROUPS, warmup=5, warmup_coefficient=8e-5, coefficient=4, scale=2e-5
        )
        _train(ours, strategy, batch, steps=12)
        return _apart(theirs, ours)

    compared = "network after 12 full-batch steps of Adam, over the switch of coefficient and scale"
    yield code.row("spectral_decoupling", compared, map(case, range(3)), bar=1e-9)


def eiil_game(clones: Clones) -> Iterator[Row]:
    reference = clones.lines(CREAGER, "opt_env/irm_cmnist.py", 98, 129)

    def case(seed: int) -> float:
        flags = SimpleNamespace(
            lr=RATE, steps=10, l2_regularizer_weight=1e-3, penalty_weight=1e4,
            penalty_anneal_iters=4, color_based_eval=False, hidden_dim=UNITS,
            grayscale_model=False,
        )  # fmt: skip
        code = _eiil(clones, flags)
        first, last, batch = _network(seed), _network(seed + 9), _batch(seed)
        their_first, their_last = (_copied(code["MLP"](), ours) for ours in (first, last))
        given = code.space | {"mlp_pre": their_first, "envs": _environments(batch), "flags": flags}
        reference.run(given | {"pretty_print": lambda *_: None, "optim": optim})
        envs = code["split_data_opt"](given["envs"], their_first, 300, len(batch.target))
        code["train_irm_batch"](their_last, envs, flags)
        _train(first, ERM(GROUPS), batch, steps=10, decay=2e-3)
        logits = first(batch.image).logits
        weights = environment_weights(logits, batch.target, draws(9), steps=300)
        strategy = IRM(GROUPS, penalty=1e4, warmup=4, rescale=True, l2=1e-3, unbiased=False)
        _train(last, strategy, batch._replace(bias=(weights > 0.5).long()), steps=10)
        return max(_apart(their_first, first), _apart(their_last, last))

    compared = "both networks: 10 steps of the reference, its environments, 10 steps of IRM on them"
    yield reference.row("eiil", compared, map(case, range(3)), bar=1e-9)


def _eiil(clones: Clones, flags: Any) -> Piece:
    """Their functions; the inference starts at our random values."""
    space = {
        "torch": Replaced(torch, {"randn": lambda count: torch.randn(count, generator=draws(9))}),
        "optim": optim,
        "tqdm": lambda rows=None, **_: _Bar() if rows is None else rows,
        "flags": flags,
    }
    network = clones.take(CREAGER, "opt_env/utils/model_utils.py", "MLP", space=space)
    names = ("nll", "mean_accuracy", "penalty", "split_data_opt", "train_irm_batch")
    code = clones.take(CREAGER, "opt_env/utils/opt_utils.py", *names, space=space)
    code.space.update(MLP=network["MLP"])
    return code


class _Bar:
    """In place of a progress bar."""

    def __enter__(self) -> "_Bar":
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def set_description(self, _: str) -> None:
        pass


def _batch(seed: int) -> Batch:
    """Random digits in one of two colours. The third channel is black."""
    generator = draws(seed)
    target, colour = torch.randint(2, (2, ROWS), generator=generator)
    image = torch.zeros(ROWS, 3, 14, 14)
    image[torch.arange(ROWS), colour] = torch.rand(ROWS, 14, 14, generator=generator)
    return Batch(image, target, colour, torch.arange(ROWS))


def _environments(batch: Batch) -> list[dict[str, Tensor]]:
    """Two halves of the batch for training, and a test."""
    rows = torch.arange(ROWS).chunk(2)
    return [
        {"images": batch.image[each, :2], "labels": batch.target[each, None].double()}
        for each in (*rows, rows[0])
    ]


def _network(seed: int) -> nn.Module:
    torch.manual_seed(seed)
    layers = ["channels 2", "flatten", f"linear {UNITS}", "relu", f"linear {UNITS}", "relu"]
    return layered_classifier(2, layers=layers, size=14, initialisation="xavier", one_logit=True)


def _linears(network: nn.Module) -> list[nn.Linear]:
    """The linear layers by their size, since the head is first in our network."""
    found = [each for each in network.modules() if isinstance(each, nn.Linear)]
    return sorted(found, key=lambda layer: tuple(layer.weight.shape))


def _copied(theirs: nn.Module, ours: nn.Module) -> nn.Module:
    """Their network with the weights of ours."""
    for one, other in zip(_linears(theirs), _linears(ours), strict=True):
        one.load_state_dict(other.state_dict())
    return theirs


def _apart(theirs: nn.Module, ours: nn.Module) -> float:
    pairs = zip(_linears(theirs), _linears(ours), strict=True)
    return max(apart(one.weight, other.weight) for one, other in pairs)


def _train(
    model: nn.Module, strategy: Strategy, batch: Batch, *, steps: int, decay: float = 0.0
) -> None:
    optimizer = optim.Adam(model.parameters(), lr=RATE, weight_decay=decay)
    for step in range(steps):
        (turn,) = strategy.turns(step)
        optimizer.zero_grad()
        turn.objective(model, batch).total.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
