"""The family of accuracies on adversarial examples. Pure Python."""

from debias.metrics.descriptions import Family, numbers

ATTACKED = Family(
    "Accuracy under attack",
    "Accuracy if every picture is changed a little, so that the model errs.",
    numbers("attacked", "attacked"),
    headlines=("average/linf_2", "worst_group/linf_2", "average/linf_8", "worst_group/linf_8"),
    needs=("run",),
    quick=False,
    by_request=True,
)
