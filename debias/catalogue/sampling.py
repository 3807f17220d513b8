"""Facts of the samplers and augmentations that are methods of their own."""

from __future__ import annotations

from debias.catalogue.method import IDRISSI, LABELS, SUBPOPBENCH, Method, Published

SAMPLERS = {
    "class_balanced": Method("Idrissi et al. 2022", published=Published("86.1 ± 0.7", "82.9 ± 2.2", IDRISSI)),
    "group_balanced": Method("Idrissi et al. 2022", LABELS, published=Published("87.6 ± 1.6", "84.3 ± 1.8", IDRISSI)),
    "bias_balanced": Method("Wang et al. 2019", LABELS),
    "class_subsample": Method("Idrissi et al. 2022"),
    "group_subsample": Method("Idrissi et al. 2022", LABELS, published=Published("89.1 ± 1.1", "85.6 ± 2.3", IDRISSI)),
}

AUGMENTATIONS = {
    "recombination": Method("Nauen et al. 2025", ("masks",)),
    "hide_mask": Method("Taghanaki et al. 2022", ("masks",)),
    "mixup": Method("Zhang et al. 2018", published=Published("78.2", "57.8", SUBPOPBENCH)),
    "cutmix": Method("Yun et al. 2019"),
    "lisa": Method("Yao et al. 2022", LABELS, published=Published("88.7", "86.5", SUBPOPBENCH)),
}
