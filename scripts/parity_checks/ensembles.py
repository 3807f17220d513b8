"""Compares BiasEnsemble with the authors' code: its votes, and the trainings before and after."""

from collections.abc import Iterator
from copy import deepcopy
from types import SimpleNamespace
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from debias import config as configs
from debias.recipes.bias_ensemble import BiasEnsemble
from debias.strategies.amplified import AmplifiedDisentangled, AmplifiedLfF
from debias.strategies.generalized_cross_entropy import GeneralizedCrossEntropy
from debias.types import Groups
from parity_checks.cases import apart, draws
from parity_checks.games import CLASSES, SAMPLES, Normalised, batches, descent, play, states_apart
from parity_checks.official import Clones
from parity_checks.rows import Row
from parity_checks.twins import SWAP_COMPARED, SWAP_OPTIONS, Perceptron, swap_batches, swap_gaps

BE, LEARNER = "kakaoenterprise/BiasEnsemble", "learner.py"


def votes(clones: Clones) -> Iterator[Row]:
    step = clones.lines(BE, LEARNER, 451, 457)
    count = clones.lines(BE, LEARNER, 516, 529)
    loss = clones.take(BE, "module/loss.py", "GeneralizedCELoss")

    def trained(seed: int) -> float:
        torch.manual_seed(seed)
        model, given = Normalised(), batches(seed)
        network = deepcopy(model)
        learner = SimpleNamespace(
            model_b=lambda x: network(x).logits, bias_criterion=loss["GeneralizedCELoss"](q=0.7),
            optimizer_b=descent(network.parameters()),
        )  # fmt: skip
        for batch in given:
            step.run({"self": learner, "data": batch.image, "label": batch.target})
        play(model, GeneralizedCrossEntropy(CLASSES), given)
        return states_apart([network], [model])

    compared = "a biased network after 12 steps"
    yield step.row("generalized_cross_entropy", compared, map(trained, range(3)), bar=1e-12)
    compared = "the amplified set of 60 samples, from the logits of 3 to 5 networks"
    yield count.row("bias_ensemble", compared, (_chosen(count, seed) for seed in range(3)), bar=0.0)


def _chosen(count: Any, seed: int) -> float:
    """Difference of the amplified sets that networks with the same logits choose."""
    generator, (networks, agreement) = draws(seed), ((5, 3), (4, 4), (3, 1))[seed]
    sure = 4 * F.one_hot(torch.arange(60) % 3)  # every class has samples in the set
    logits = sure + 2 * torch.randn(networks, 60, 3, generator=generator)
    rows, y = torch.randperm(60, generator=generator), torch.arange(60) % 3
    args = SimpleNamespace(
        num_bias_models=networks, biased_model_softmax_threshold=0.9, agreement=agreement
    )
    chances = logits.softmax(2).gather(2, y.expand(networks, 60)[:, :, None])[:, :, 0]
    given = {"self": SimpleNamespace(args=args), "args": args, "index_list": rows}
    given |= {"gt_prob_dict": dict(enumerate(chances)), "align_flag_list": y == 0}
    found = count.run(given)["total_exceed_mask"]
    theirs = torch.zeros(60).index_fill(0, found, 1.0)
    return apart(theirs, _inferred(logits, rows, y, agreement))


def _inferred(logits: Tensor, rows: Tensor, target: Tensor, agreement: int) -> Tensor:
    """The values that our recipe infers from networks with these logits."""
    examples = SimpleNamespace(groups=Groups(("a", "b", "c"), ("x",)))
    found = [SimpleNamespace(index=rows, logits=each, target=target) for each in logits]
    run: Any = SimpleNamespace(
        config=configs.load("drawn_birds/bias_ensemble", []),
        stage_config=lambda changes: configs.load("drawn_birds", []),
        train_stage=lambda name, config: SimpleNamespace(
            predictions=lambda split, progress: found[int(name.rpartition("-")[2]) - 1],
            everywhere=lambda rows, values: torch.zeros(60).index_copy(0, rows, values.double()),
            examples=examples,
        ),
        infer=lambda inferred, examples: inferred,
        train_last=lambda partition: partition,
    )
    recipe = BiasEnsemble(networks=len(logits), threshold=0.9, agreement=agreement)
    inferred: Any = recipe.train(run)
    return cast(Tensor, inferred)


def lff_game(clones: Clones) -> Iterator[Row]:
    memory = clones.take(BE, "util.py", "EMA")
    loop = clones.lines(BE, LEARNER, 611, 671)

    def case(seed: int) -> float:
        torch.manual_seed(seed)
        model, given = Normalised(), batches(seed)
        target = torch.zeros(SAMPLES, dtype=torch.long)
        for batch in given:
            target[batch.index] = batch.target
        amplified = torch.arange(SAMPLES) % 3 > 0
        ours: Any = AmplifiedLfF(CLASSES, SAMPLES, model, amplified)
        d, b = deepcopy(model), deepcopy(ours.network)
        learner = SimpleNamespace(
            model_d=lambda x: d(x).logits, model_b=lambda x: b(x).logits, device="cpu",
            num_classes=3, criterion=nn.CrossEntropyLoss(reduction="none"),
            optimizer_d=descent(d.parameters()), optimizer_b=descent(b.parameters()),
            **{f"sample_loss_ema_{side}": memory["EMA"](target, 3, alpha=0.7) for side in "bd"},
        )  # fmt: skip
        state = {"self": learner, "mask_index": amplified[:, None].double(), "num_updated": 0}
        for batch in given:
            loop.run(state | {"data": batch.image, "label": batch.target, "index": batch.index})
        play(model, ours, given)
        return states_apart([d, b], [model, ours.network])

    compared = "both networks after 12 steps, two thirds of the samples in the amplified set"
    because = "they add 1e-8 to the largest loss of a class"
    yield loop.row("amplified_lff", compared, map(case, range(4)), bar=1e-6, because=because)


def disentangled(clones: Clones) -> Iterator[Row]:
    loop = clones.lines(BE, LEARNER, 816, 879)
    (y, given), model = swap_batches(), Perceptron()
    amplified = torch.arange(50) % 3 > 0
    ours = AmplifiedDisentangled(CLASSES, 50, model, amplified, **SWAP_OPTIONS)
    learner = _learner(clones, model, ours, y)
    state = {"self": learner, "args": learner.args, "mask_index": amplified[:, None].double()}
    gaps = swap_gaps(loop, state, model, ours, given)
    yield loop.row("amplified_disentangled", SWAP_COMPARED, gaps, bar=1e-12)


def _learner(clones: Clones, model: Any, ours: Any, target: Tensor) -> SimpleNamespace:
    """The trainer object that their loop reads; each of its last layers is made of two of ours."""
    memory, head = clones.take(BE, "util.py", "EMA")["EMA"], ours.network.head

    def joined(features: Tensor, first: Tensor, second: Tensor, bias: Tensor) -> Tensor:
        return F.linear(features, torch.cat([first, second], 1), bias)

    weights = {"lambda_swap": 0.5, "lambda_dis_align": 10.0, "lambda_swap_align": 7.0}
    args = SimpleNamespace(curr_step=2, **weights)
    return SimpleNamespace(
        args=args, device="cpu", num_classes=3, criterion=nn.CrossEntropyLoss(reduction="none"),
        sample_loss_ema_d=memory(target, num_classes=3, alpha=0.7),
        sample_loss_ema_b=memory(target, num_classes=3, alpha=0.7),
        model_d=SimpleNamespace(
            fc=lambda z: joined(z, model.head.weight, ours.context.weight, model.head.bias)
        ),
        model_b=SimpleNamespace(
            fc=lambda z: joined(z, ours.biased_context.weight, head.weight, head.bias)
        ),
    )  # fmt: skip
