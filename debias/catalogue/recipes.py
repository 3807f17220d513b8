"""Facts of the recipes."""

from __future__ import annotations

from debias.catalogue.method import KIRICHENKO, LABELS, LIU, SUBPOPBENCH, Method, Published

PROME = "ProME, Table 2"
SAGE = "SAGE, Table 1"

RECIPES = {
    "single": Method("the strategy's"),
    "jtt": Method(
        "Liu et al. 2021",
        stages="2",
        networks="identification model",
        cost="identification + 1",
        published=Published("86.7", "81.1", LIU),
    ),
    "bam": Method("Li et al. 2024", stages="2", networks="a vector per image", cost="amplification + 1"),
    "cnc": Method(
        "Zhang et al. 2022",
        infers=("train",),
        stages="2",
        networks="first model",
        cost="prediction + 1",
        published=Published("88.5 ± 0.3", "88.8 ± 0.9", KIRICHENKO),
    ),
    "eiil": Method(
        "Creager et al. 2021",
        infers=("train",),
        stages="2",
        networks="reference model",
        cost="reference + 1",
        published=Published("78.7", "83.3", PROME),
    ),
    "spare": Method("Yang et al. 2024", infers=("train",), stages="2", networks="early model", cost="early + 1"),
    "ssa": Method(
        "Nam et al. 2022",
        ("val labels",),
        infers=("train",),
        stages="K + 2",
        networks="K + 1 predictors",
        cost="teacher + K folds + 1",
        published=Published("89.0 ± 0.6", "89.8 ± 1.3", KIRICHENKO),
    ),
    "xrm": Method(
        "Pezeshki et al. 2024",
        infers=("train", "val"),
        stages="2",
        networks="twins",
        cost="twins + 1",
        published=Published("88.1", "89.1", f"{PROME}, with Group DRO"),
    ),
    "masktune": Method(
        "Taghanaki et al. 2022",
        stages="2",
        cost="first + 1 epoch",
        published=Published("86.4 ± 1.9", "78.0 ± 1.2", "Taghanaki et al. 2022, Table 2"),
    ),
    "dac": Method(
        "Noohdani et al. 2024",
        infers=("train",),
        stages="2",
        cost="first + masks + head",
        published=Published("92.3 ± 0.4", "81.9 ± 0.7", SAGE),
    ),
    "dfr": Method(
        "Kirichenko et al. 2023",
        ("val labels",),
        stages="2",
        cost="1 + head",
        published=Published("92.9 ± 0.2", "88.3 ± 1.1", KIRICHENKO),
    ),
    "afr": Method(
        "Qiu et al. 2023",
        stages="2",
        cost="1 + head",
        published=Published("90.4 ± 1.1", "82.0 ± 0.5", "Qiu et al. 2023, README"),
    ),
    "crt": Method(
        "Kang et al. 2020", LABELS, stages="2", cost="1 + head", published=Published("79.7", "87.2", SUBPOPBENCH)
    ),
    "class_balanced_last_layer": Method(
        "LaBonte et al. 2023",
        stages="2",
        cost="1 + head",
        published=Published("92.6 ± 0.8", "", "LaBonte et al. 2023, Table 1"),
    ),
    "self": Method(
        "LaBonte et al. 2023",
        stages="2",
        cost="1 + head",
        published=Published("93.0 ± 0.3", "", "LaBonte et al. 2023, Table 1: samples chosen by early stopping"),
    ),
}
