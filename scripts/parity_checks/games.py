"""Compares trainings of several steps with the authors' loops: turns, objectives, their order."""

from collections.abc import Iterator, Sequence
from copy import deepcopy
from functools import partial
from types import SimpleNamespace
from typing import Any

import torch
from torch import Tensor, nn

from debias.losses.classification import classification_losses
from debias.strategies.group_dro import GroupDRO
from debias.strategies.lff import LfF
from debias.strategies.rebias import ReBias
from debias.strategies.strategy import Strategy
from debias.types import Batch, Groups
from parity_checks.cases import BodyNetwork, apart, draws
from parity_checks.official import Clones, Piece
from parity_checks.rows import Row

REBIAS, LFF, SAGAWA = "clovaai/rebias", "alinlab/LfF", "kohpangwei/group_DRO"
CLASSES = Groups(("a", "b", "c"), ("x", "y"))
STEPS, SAMPLES = 12, 48


class Normalised(BodyNetwork):
    """A network of ten inputs, five features after batch normalisation, and three logits."""

    def __init__(self) -> None:
        body = nn.Sequential(nn.Linear(10, 5), nn.BatchNorm1d(5), nn.Tanh())
        super().__init__(body, nn.Linear(5, 3))
        self.feature_size = 5


def batches(seed: int, *, size: int = 16) -> list[Batch]:
    """Random batches of one small data set, with the rows of their samples."""
    generator = draws(seed)
    images = torch.randn(SAMPLES, 10, generator=generator)
    y, b = (torch.randint(count, (SAMPLES,), generator=generator) for count in (3, 2))
    drawn = [torch.randperm(SAMPLES, generator=generator)[:size] for _ in range(STEPS)]
    return [Batch(images[rows], y[rows], b[rows], rows) for rows in drawn]


def descent(parameters: Any) -> torch.optim.Optimizer:
    """The optimiser of every player, in our loop and in theirs."""
    return torch.optim.SGD(parameters, lr=0.2, momentum=0.9)


def play(
    model: nn.Module, strategy: Strategy, given: Sequence[Batch], *, optimizer: Any = descent
) -> None:
    """Train in a plain loop by our rules: each turn updates only the parameters of its player."""
    players = strategy.players(model)
    optimizers = {name: optimizer(owned) for name, owned in players.items()}
    for step, batch in enumerate(given):
        for turn in strategy.turns(step):
            gradient = torch.autograd.grad(turn.objective(model, batch).total, players[turn.player])
            for parameter, slope in zip(players[turn.player], gradient, strict=True):
                parameter.grad = slope
            optimizers[turn.player].step()


def states_apart(theirs: Sequence[nn.Module], ours: Sequence[nn.Module]) -> float:
    """Largest difference of the parameters and buffers of networks."""
    pairs = zip(theirs, ours, strict=True)
    return max(
        apart(p, q) for one, two in pairs for p, q in zip(_state(one), _state(two), strict=True)
    )


def _state(network: nn.Module) -> list[Tensor]:
    return list(network.state_dict().values())


def rebias(clones: Clones) -> Iterator[Row]:
    names = ("_set_adaptive_sigma", "_update_g", "_update_f", "_train_epoch", "cur_step")
    sigma = clones.take(REBIAS, "criterions/sigma_utils.py", "_l2_dist", "median_distance")
    code = clones.take(
        REBIAS, "trainer.py", *names, space={"median_distance": sigma["median_distance"]}
    )
    hsic = clones.take(REBIAS, "criterions/hsic.py", "HSIC", "RbfHSIC", "MinusRbfHSIC")
    compared = (
        "f and g, and their running means, after 12 steps: sign of HSIC for either, order; 1 and 2 "
        "turns of g"
    )
    gaps = [_fixed_bandwidth(code, hsic, seed) for seed in range(6)]
    yield code.row("rebias", f"{compared}, 2 networks g", gaps, bar=1e-10)
    compared = (
        "bandwidths that are the median of f's and of g's own features, and both networks after "
        "every step"
    )
    yield code.row(
        "rebias", compared, [_median_bandwidth(code, hsic, seed) for seed in range(2)], bar=1e-10
    )


def _fixed_bandwidth(code: Piece, hsic: Piece, seed: int) -> float:
    several = {"biased_networks": 2, "lambda_f": 3.0, "lambda_g": 7.0}
    options: dict[str, Any] = ({}, {"biased_updates": 2, "lambda_g": 0.5}, several)[seed % 3]
    ours = _rebias(seed, sigma=0.8, bandwidth="fixed", **options)
    model = Normalised()
    given = batches(seed)
    trainer = _rebias_trainer(code, ours, model)
    trainer.outer_criterion = hsic["RbfHSIC"](0.8)
    trainer.inner_criterion = hsic["MinusRbfHSIC"](0.8)
    code["_train_epoch"](trainer, [(batch.image, batch.target, None) for batch in given], 0)
    play(model, ours, given)
    theirs, own = list(trainer.model.g_nets), list(ours.networks)
    if len(own) == 1:  # otherwise they pass every batch through f once per network g
        theirs, own = [trainer.model.f_net, *theirs], [model, *own]
    return max(states_apart(theirs, own), _parameters_apart(trainer, model, ours))


def _median_bandwidth(code: Piece, hsic: Piece, seed: int) -> float:
    ours = _rebias(seed, sigma=0.7, bandwidth="median", median_every=1)
    model, gaps = Normalised(), []
    for batch in batches(seed):
        trainer, loader = _rebias_trainer(code, ours, model), [(batch.image, batch.target, None)]
        code["_set_adaptive_sigma"](trainer, loader)
        first, second = (trainer.options.outer_criterion_config[f"sigma_{side}"] for side in "xy")
        play(model, ours, [batch])
        gaps += [apart(first, ours.sigma_model), apart(second, ours.sigma_biased[0])]
        trainer.outer_criterion = hsic["RbfHSIC"](first, second)
        trainer.inner_criterion = hsic["MinusRbfHSIC"](second, first)  # see docs/parity.md
        code["_train_epoch"](trainer, loader, 0)
        gaps.append(_parameters_apart(trainer, model, ours))
    return max(gaps)


def _rebias(seed: int, *, biased_networks: int = 1, **options: Any) -> ReBias:
    torch.manual_seed(seed)
    ours = ReBias(CLASSES, biased_networks=biased_networks, **options)
    ours.networks = nn.ModuleList(Normalised() for _ in range(biased_networks))
    return ours


def _rebias_trainer(code: Piece, ours: ReBias, model: nn.Module) -> Any:
    """The trainer object that their methods read, with copies of our networks."""
    f, g = deepcopy(model), [deepcopy(network) for network in ours.networks]
    trainer = SimpleNamespace(
        options=SimpleNamespace(
            update_g_cls=True, g_lambda_inner=ours.lambda_g, f_lambda_outer=ours.lambda_f,
            n_g_update=ours.biased_updates, outer_criterion="RbfHSIC", inner_criterion_config={},
            outer_criterion_config={}, outer_criterion_detail={
                "sigma_x_type": "median", "sigma_x_scale": ours.sigma, "sigma_y_scale": ours.sigma,
            },
        ),
        model=SimpleNamespace(f_net=f, g_nets=g, train=lambda: None),
        classification_criterion=nn.CrossEntropyLoss(), sigma_update_sampling_rate=0.25,
        device="cpu", log_step=1000, f_optimizer=descent(f.parameters()),
        g_optimizer=descent([p for network in g for p in network.parameters()]),
        logger=SimpleNamespace(log=lambda _: None),
    )  # fmt: skip
    trainer._update_g, trainer._update_f = (
        partial(code[name], trainer) for name in ("_update_g", "_update_f")
    )
    return trainer


def _parameters_apart(trainer: Any, model: nn.Module, ours: ReBias) -> float:
    theirs = [
        p for network in (trainer.model.f_net, *trainer.model.g_nets) for p in network.parameters()
    ]
    return max(
        apart(*pair) for pair in zip(theirs, [*model.parameters(), *ours.parameters()], strict=True)
    )


def lff(clones: Clones) -> Iterator[Row]:
    loss = clones.take(LFF, "module/loss.py", "GeneralizedCELoss")
    memory = clones.take(LFF, "util.py", "EMA")
    loop = clones.lines(LFF, "train.py", 182, 241)

    def case(seed: int) -> float:
        torch.manual_seed(seed)
        model, given = Normalised(), batches(seed)
        target = torch.zeros(SAMPLES, dtype=torch.long)
        for batch in given:
            target[batch.index] = batch.target
        ours: Any = LfF(CLASSES, SAMPLES, model)
        d, b = deepcopy(model), deepcopy(ours.network)
        state = {
            "model_d": lambda x: d(x).logits, "model_b": lambda x: b(x).logits, "device": "cpu",
            "num_classes": 3, "criterion": nn.CrossEntropyLoss(reduction="none"),
            "bias_criterion": loss["GeneralizedCELoss"](), "optimizer_d": descent(d.parameters()),
            "optimizer_b": descent(b.parameters()), "num_updated": 0,
            **{f"sample_loss_ema_{side}": memory["EMA"](target, alpha=0.7) for side in "bd"},
        }  # fmt: skip
        for batch in given:
            loop.run(state | {"data": batch.image, "label": batch.target, "index": batch.index})
        play(model, ours, given)
        return states_apart([d, b], [model, ours.network])

    compared = (
        "both networks after 12 steps: their GCE, sample weights that move first, sum of means"
    )
    yield loop.row("lff", compared, map(case, range(4)), bar=1e-10)


def group_dro(clones: Clones) -> Iterator[Row]:
    computer = clones.take(SAGAWA, "loss.py", "LossComputer")
    loop = clones.lines(SAGAWA, "train.py", 55, 67)

    def case(seed: int) -> float:
        torch.manual_seed(seed)
        adjustment = (0.0, 3.0)[seed % 2]
        counts = torch.tensor([256.0, 64.0, 16.0, 1024.0, 64.0, 16.0])
        model, given = Normalised(), [_all_groups(batch) for batch in batches(seed, size=24)]
        ours = GroupDRO(CLASSES, counts, step_size=0.5, adjustment=adjustment).double()
        network = deepcopy(model)
        data = SimpleNamespace(n_groups=6, group_counts=lambda: counts, group_str=None)
        options = {"alpha": 0.2, "adj": torch.full((6,), adjustment).numpy(), "step_size": 0.5}
        theirs = computer["LossComputer"](classification_losses, True, data, **options)
        state = {"loss_computer": theirs, "args": SimpleNamespace(model="resnet50")}
        state |= {"is_training": True, "optimizer": descent(network.parameters())}
        for batch in given:
            outputs, group = network(batch.image).logits, CLASSES.encode(batch.target, batch.bias)
            loop.run(state | {"outputs": outputs, "y": batch.target, "g": group})
        play(model, ours, given)
        return max(apart(theirs.adv_probs, ours.robust.weights), states_apart([network], [model]))

    compared = (
        "network and q after 12 steps of rate 0.5: q moves first, the step is on the moved q; C = "
        "0 and 3"
    )
    yield loop.row("group_dro", compared, map(case, range(4)), bar=1e-10)


def _all_groups(batch: Batch) -> Batch:
    """The batch, with one sample of each group in its first six rows; see docs/parity.md."""
    six, target, bias = torch.arange(6), batch.target.clone(), batch.bias.clone()
    target[:6], bias[:6] = six // 2, six % 2
    return batch._replace(target=target, bias=bias)
