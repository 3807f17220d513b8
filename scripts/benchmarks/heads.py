"""Seconds for 200 last layers fitted together, against a loop that fits one after the other.

There are two jobs on the same features, and one per other kind of head (head_kinds.py). The first
is full-batch descent, as AFR fits its grid of gamma and penalty. The second is minibatch descent,
as CRT draws it; its heads differ in start, learning rate, weight decay and the rows that they may
use. Minibatch heads that are fitted together share their batches. In the loop each head draws its
own, so their weights differ by chance. The benchmark compares the worst-group accuracy on held-out
rows, and prints the difference of a second loop with other draws beside it.

``--sequential`` fits only this number of heads in the loop and multiplies. Ratios are of processor
seconds, so that a busy machine slows no side; wall-clock ratios are printed too. With
``--threads 1`` the products have one core. The loop hardly gains from a second core, so it loses
less. Run by ``scripts/bench heads``.
"""

import argparse
import time
from collections.abc import Callable
from typing import TypeVar

import torch
from head_kinds import energies, prototypes, reweighting
from torch import Tensor, nn
from torch.nn import functional as F

from debias.group_inference.focal import focal_weights
from debias.heads.descent import Descent, fit_heads
from debias.heads.linear import Heads, Rows, fresh_heads, worst_group_accuracies
from debias.heads.orders import balanced_order

BAR_FULL_BATCH, BAR_WEIGHTS = 12.0, 1e-5
BAR_MINIBATCH, BAR_ACCURACY = 30.0, 0.015

FACTORS = 50
Fitted = TypeVar("Fitted")


def rows(count: int, size: int, seed: int) -> Rows:
    """Features after a ReLU, mixed from factors: one is the class, one, more strongly, the bias."""
    generator = torch.Generator().manual_seed(seed)
    target = torch.randint(2, (count,), generator=generator)
    bias = torch.where(torch.rand(count, generator=generator) < 0.9, target, 1 - target)
    factors = torch.randn(count, FACTORS, generator=generator)
    factors[:, 0] += 1.5 * (2 * target - 1)
    factors[:, 1] += 2.5 * (2 * bias - 1)
    mixing = torch.randn(FACTORS, size, generator=torch.Generator().manual_seed(0)) / FACTORS**0.5
    noise = torch.randn(count, size, generator=generator)
    return Rows((factors @ mixing + 0.3 * noise).relu(), target, 2 * target + bias)


def timed(run: Callable[[], Fitted]) -> tuple[Fitted, float, float]:
    processor, clock = time.process_time(), time.perf_counter()
    heads = run()
    return heads, time.process_time() - processor, time.perf_counter() - clock


def one_full_batch(
    data: Rows, start: Heads, weights: Tensor, penalty: float, steps: int
) -> nn.Linear:
    layer = start.linear(0)
    optimizer = torch.optim.SGD(layer.parameters(), lr=0.01)
    for _ in range(steps):
        losses = weights * F.cross_entropy(layer(data.features), data.target, reduction="none")
        pull = (layer.weight - start.weights[0]).square().sum() + (
            layer.bias - start.biases[0]
        ).square().sum()
        optimizer.zero_grad()
        (losses.mean() + penalty * pull).backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(layer.parameters(), 1.0)
        optimizer.step()
    return layer


def one_minibatch(
    data: Rows, layer: nn.Linear, weights: Tensor, rate: float, decay: float, order: Tensor
) -> nn.Linear:
    optimizer = torch.optim.SGD(layer.parameters(), lr=rate, momentum=0.9, weight_decay=decay)
    for batch in order:
        losses = F.cross_entropy(layer(data.features[batch]), data.target[batch], reduction="none")
        optimizer.zero_grad()
        (weights[batch] * losses).mean().backward()  # type: ignore[no-untyped-call]
        optimizer.step()
    return layer


def as_heads(layers: list[nn.Linear]) -> Heads:
    return Heads(
        torch.stack([layer.weight.detach() for layer in layers]),
        torch.stack([layer.bias.detach() for layer in layers]),
    )


def report(name: str, together: list[float], loop: list[float], share: float, bar: float) -> None:
    """Print processor and wall-clock seconds of both sides; the loop fitted only some heads."""
    processor, clock = (slow / share / fast for fast, slow in zip(together, loop, strict=True))
    print(
        f"{name}: together {together[0]:.2f} s, loop {loop[0] / share:.1f} s of the processor, "
        f"{processor:.1f} times as long (by the clock {clock:.1f}); bar {bar:.0f}: "
        f"{'passed' if processor >= bar else 'FAILED'}"
    )


def full_batch(data: Rows, heads: int, steps: int, sequential: int) -> None:
    start = fresh_heads(
        1, classes=2, size=data.features.shape[1], generator=torch.Generator().manual_seed(1)
    )
    gamma, penalty = torch.linspace(4, 20, heads), torch.linspace(0, 0.3, heads)
    weights = focal_weights(start.logits(data.features)[0], data.target, gamma=gamma)
    descent = Descent(0.01, start_penalty=penalty, clip=1.0)
    chosen = list(range(0, heads, heads // sequential)[:sequential])
    ours, *together = timed(
        lambda: (
            fit_heads(
                *data[:2], start, descent=descent, batches=[None] * steps, sample_weights=weights
            ).heads
        )
    )
    theirs, *loop = timed(
        lambda: as_heads(
            [one_full_batch(data, start, weights[h], float(penalty[h]), steps) for h in chosen]
        )
    )
    report(f"{heads} full-batch heads", together, loop, sequential / heads, BAR_FULL_BATCH)
    moved = (theirs.weights - start.weights).abs().amax().item()
    furthest = (ours.weights[chosen] - theirs.weights).abs().amax().item()
    state = "passed" if furthest <= BAR_WEIGHTS else "FAILED"
    print(
        f"  weights differ by {furthest:.1e} at most, and moved by {moved:.1e}; bar "
        f"{BAR_WEIGHTS:.0e}: {state}"
    )


def minibatch(data: Rows, held_out: Rows, heads: int, epochs: int, sequential: int) -> None:
    count, size = data.features.shape
    generator = torch.Generator().manual_seed(2)
    start = fresh_heads(heads, classes=2, size=size, generator=generator)
    rate, decay = torch.logspace(-4, -3, heads), torch.logspace(-4, -2, heads)
    # each head may see four fifths of the rows
    weights = (torch.rand(heads, count, generator=generator) < 0.8) / 0.8
    chosen = list(range(0, heads, heads // sequential)[:sequential])

    def order() -> Tensor:
        return balanced_order(
            data.group, batch_size=128, steps=epochs * count // 128, generator=generator
        )

    def one(head: int) -> nn.Linear:
        return one_minibatch(
            data, start.linear(head), weights[head], float(rate[head]), float(decay[head]), order()
        )  # fmt: skip

    descent = Descent(rate, momentum=0.9, weight_decay=decay)
    ours, *together = timed(
        lambda: (
            fit_heads(
                *data[:2], start, descent=descent, batches=order(), sample_weights=weights
            ).heads
        )
    )
    theirs, *loop = timed(lambda: as_heads([one(head) for head in chosen]))
    again = as_heads([one(head) for head in chosen])
    report(f"{heads} minibatch heads", together, loop, sequential / heads, BAR_MINIBATCH)
    own, other, repeated = (
        worst_group_accuracies(
            side.logits(held_out.features).argmax(dim=2), held_out.target, held_out.group
        )
        for side in (Heads(ours.weights[chosen], ours.biases[chosen]), theirs, again)
    )
    apart, spread = (own - other).abs(), (repeated - other).abs()
    state = "passed" if apart.mean() <= BAR_ACCURACY else "FAILED"
    print(
        f"  worst-group accuracy {own.min():.3f} to {own.max():.3f}, {apart.mean():.4f} from the "
        f"loop's on average, {apart.max():.4f} at most (a second loop with other draws: "
        f"{spread.mean():.4f}, {spread.max():.4f}); bar {BAR_ACCURACY} on average: {state}"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--heads", type=int, default=200)
    parser.add_argument("--rows", type=int, default=5000)
    parser.add_argument("--size", type=int, default=2048)
    parser.add_argument("--steps", type=int, default=300)
    parser.add_argument("--epochs", type=int, default=5)
    parser.add_argument(
        "--sequential", type=int, default=None, help="heads fitted in the loop; default: all"
    )
    parser.add_argument("--threads", type=int, default=2, help="threads of torch (default: 2)")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    sequential = options.sequential or options.heads
    data, held_out = rows(options.rows, options.size, 0), rows(20_000, options.size, 3)
    full_batch(data, options.heads, options.steps, sequential)
    minibatch(data, held_out, options.heads, options.epochs, sequential)
    # as many rows and features as Waterbirds' validation split has from EfficientNet-Lite0
    small = rows(1200, 1280, 0)
    for kind in (prototypes, energies, reweighting):
        kind(small, options.heads, sequential, options.epochs, timed, report)


if __name__ == "__main__":
    main()
