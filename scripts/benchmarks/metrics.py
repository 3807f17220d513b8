"""Seconds for the group metrics of ten million predictions, against fairlearn.

The time that they add to a validation step is printed too.

The metrics are worst-group accuracy, fairness and directional amplification of single-label
predictions, from the arrays to the numbers. fairlearn's ``MetricFrame`` computes the accuracy of
each group and the rates of *one* class against the others; the metrics have all classes. The ratio
is therefore a lower bound, and nothing in it is extrapolated. The validation step is a ResNet-18's
forward pass. Everything runs on one thread and is measured in processor seconds, so that a busy
machine slows no side. The median of the repeats counts; fairlearn's side runs once. Run by
``scripts/bench metrics``; fairlearn is in the extra ``test``.
"""

import argparse
import statistics
import time
from collections.abc import Callable

import torch
from torch import Tensor

from debias.metrics import GroupCounts
from debias.metrics.accuracy.counts import joint_counts
from debias.metrics.accuracy.scalars import group_scalars
from debias.metrics.amplification.report import amplification_scalars
from debias.metrics.fairness.rates import fairness_scalars
from debias.models.classifier import timm_classifier
from debias.types import Groups

BAR_SECONDS, BAR_RATIO, BAR_SHARE = 1.0, 20.0, 0.01


def seconds(run: Callable[[], object]) -> float:
    start = time.process_time()
    run()
    return time.process_time() - start


def verdict(passed: bool) -> str:
    return "passed" if passed else "FAILED"


def predictions(rows: int, groups: Groups) -> tuple[Tensor, Tensor, Tensor]:
    """Random predictions: right in four of five cases, else half of them follow the bias."""
    generator = torch.Generator().manual_seed(0)
    target = torch.randint(groups.rows, (rows,), generator=generator)
    bias = torch.where(
        torch.rand(rows, generator=generator) < 0.5,
        target % groups.biases,
        target.flip(0) % groups.biases,
    )
    guess = torch.randint(groups.rows, (rows,), generator=generator)
    guess = torch.where(
        torch.rand(rows, generator=generator) < 0.5, guess, guess - guess % groups.biases + bias
    )
    prediction = torch.where(
        torch.rand(rows, generator=generator) < 0.8, target, guess.clamp(max=groups.rows - 1)
    )
    return prediction, target, bias


def ours(prediction: Tensor, target: Tensor, bias: Tensor, groups: Groups) -> dict[str, Tensor]:
    counts = joint_counts(prediction, target, bias, groups)
    reads = (group_scalars, fairness_scalars, amplification_scalars)
    return {key: value for read in reads for key, value in read(counts, groups).items()}


def theirs(prediction: Tensor, target: Tensor, bias: Tensor) -> tuple[object, object]:
    from fairlearn import metrics
    from sklearn.metrics import accuracy_score, precision_score

    guess, truth, attribute = prediction.numpy(), target.numpy(), bias.numpy()
    by_group = metrics.MetricFrame(
        metrics=accuracy_score,
        y_true=truth,
        y_pred=guess,
        sensitive_features={"target": truth, "bias": attribute},
    )
    rates = {
        "selection": metrics.selection_rate,
        "true_positive": metrics.true_positive_rate,
        "false_positive": metrics.false_positive_rate,
        "precision": precision_score,
    }
    one_class = metrics.MetricFrame(
        metrics=rates,
        y_true=(truth == 1) * 1,
        y_pred=(guess == 1) * 1,
        sensitive_features={"bias": attribute},
    )
    return by_group.group_min(), one_class.difference()


def compare_with_fairlearn(rows: int, repeats: int) -> None:
    groups = Groups(tuple(f"class {c}" for c in range(100)), tuple(f"bias {k}" for k in range(4)))
    facts = predictions(rows, groups)
    own = statistics.median(seconds(lambda: ours(*facts, groups)) for _ in range(repeats))
    print(
        f"{rows} predictions, 100 classes, 4 biases: {own:.3f} s; bar {BAR_SECONDS}: "
        f"{verdict(own < BAR_SECONDS)}"
    )
    try:
        other = seconds(lambda: theirs(*facts))
    except ImportError:
        print("fairlearn is not installed, so its side is left out: pip install fairlearn")
        return
    ratio = other / own
    print(
        f"fairlearn, the accuracy of each group and the rates of one class of the 100: {other:.1f} "
        f"s, {ratio:.0f} times as long; bar {BAR_RATIO:.0f}: {verdict(ratio >= BAR_RATIO)}"
    )


def add_to_validation(batch_size: int, repeats: int) -> None:
    groups = Groups(tuple(f"class {c}" for c in range(100)), tuple(f"bias {k}" for k in range(4)))
    model = timm_classifier(100, name="resnet18", pretrained=False).eval()
    image, metric = torch.randn(batch_size, 3, 64, 64), GroupCounts(groups)
    target, bias = torch.arange(batch_size) % 100, torch.arange(batch_size) % 4
    with torch.inference_mode():
        logits = model(image).logits
        metric.update(groups.predict(logits), target, bias)
        steps, updates = [], []
        for _ in range(repeats):
            steps.append(seconds(lambda: model(image)))
            updates.append(seconds(lambda: metric.update(groups.predict(logits), target, bias)))
    step, update = statistics.median(steps), statistics.median(updates)
    print(
        f"ResNet-18 at 64 px, batch {batch_size}: {1000 * step:.0f} ms per validation step, "
        f"prediction and update {1000 * update:.2f} ms, {update / step:.2%}; bar {BAR_SHARE:.0%}: "
        f"{verdict(update / step < BAR_SHARE)}"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=10_000_000)
    parser.add_argument("--batch-size", type=int, default=64)
    parser.add_argument("--repeats", type=int, default=5)
    options = parser.parse_args()
    torch.set_num_threads(1)
    compare_with_fairlearn(options.rows, options.repeats)
    add_to_validation(options.batch_size, options.repeats)


if __name__ == "__main__":
    main()
