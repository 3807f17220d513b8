"""Facts of the strategies."""

from __future__ import annotations

from debias.catalogue.method import LABELS, LIU, SUBPOPBENCH, Method, Published

STRATEGIES = {
    "erm": Method("Vapnik 1991", published=Published("72.6", "47.2", LIU)),
    "group_dro": Method(
        "Sagawa et al. 2020",
        LABELS,
        published=Published("91.4 ± 1.1", "88.9 ± 2.3", "Sagawa et al. 2020, Table 3"),
    ),
    "class_reweighting": Method("Idrissi et al. 2022"),
    "group_reweighting": Method("Idrissi et al. 2022", LABELS, published=Published("86.9", "89.7", SUBPOPBENCH)),
    "focal": Method("Lin et al. 2017", published=Published("71.6", "59.1", SUBPOPBENCH)),
    "ldam": Method("Cao et al. 2019", published=Published("71.0", "59.6", SUBPOPBENCH)),
    "logit_adjustment": Method("Menon et al. 2021", published=Published("74.1", "83.3", SUBPOPBENCH)),
    "conditional_logit_adjustment": Method("Hong & Yang 2021", LABELS),
    "cvar_dro": Method("Levy et al. 2020", published=Published("75.5", "64.1", SUBPOPBENCH)),
    "spectral_decoupling": Method("Pezeshki et al. 2021"),
    "domain_independent": Method("Wang et al. 2020", LABELS),
    "domain_discriminative": Method("Wang et al. 2020", LABELS),
    "end": Method("Tartaglione et al. 2021", LABELS),
    "bias_contrastive": Method("Hong & Yang 2021", LABELS),
    "soft_contrastive": Method("Hong & Yang 2021", networks="biased network", cost="1 + 4/3 g"),
    "badd": Method("Sarridis et al. 2024", LABELS, stages="2", networks="twin", cost="4/3"),
    "fair_regularised": Method("Hardt et al. 2016", LABELS),
    "rebias": Method("Bahng et al. 2020", networks="biased network", cost="4/3 + 4/3 g"),
    "rubi": Method("Cadene et al. 2019", networks="biased network", cost="1 + 4/3 g"),
    "learned_mixin": Method("Clark et al. 2019", stages="2", networks="biased network", cost="1 + 1/3 g"),
    "feature_adversary": Method("Wang et al. 2019", LABELS, networks="adversary's head"),
    "input_adversary": Method(
        "Wang et al. 2019", LABELS, stages="up to 3", networks="twin, mask network", cost="2 + mask network"
    ),
    "uniform_confusion": Method("Wang et al. 2020", LABELS, networks="adversary's head", cost="1, then twice 1/3"),
    "gradient_projection": Method("Wang et al. 2020", LABELS, networks="adversary's head", cost="5/3"),
    "feature_sieve": Method("Tiwari & Shenoy 2023", networks="early head", cost="1 + early layers"),
    "irm": Method("Arjovsky et al. 2019", LABELS, published=Published("74.5", "63.0", SUBPOPBENCH)),
    "vrex": Method("Krueger et al. 2021", LABELS),
    "coral": Method("Sun & Saenko 2016", LABELS),
    "mmd": Method("Li et al. 2018", LABELS, published=Published("83.9", "24.4", SUBPOPBENCH)),
    "lff": Method("Nam et al. 2020", networks="twin", cost="2", published=Published("78.0", "77.2", LIU)),
    "disentangled": Method("Lee et al. 2021", networks="twin", cost="2"),
    "debian": Method(
        "Li et al. 2022",
        networks="twin",
        cost="8/3",
        published=Published("58.9", "26.1", "Basu et al. 2024, README: frozen ResNet-18"),
    ),
    "flac": Method("Sarridis et al. 2023", ("some train labels",), stages="2", networks="twin", cost="4/3"),
    "correct_n_contrast": Method("Zhang et al. 2022", LABELS),
    "bias_amplification": Method("Li et al. 2024", networks="a vector per image"),
    "cross_mistakes": Method("Pezeshki et al. 2024", networks="twin", cost="2"),
    "decompose_compose": Method("Noohdani et al. 2024", (*LABELS, "masks"), cost="up to 1"),
}
