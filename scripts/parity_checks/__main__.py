"""Runs all comparisons, or the named ones, and prints one row per comparison.

usage: scripts/parity [--clones FOLDER] [--markdown] [NAME ...]
"""

import argparse
import shutil
import sys
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

import torch

from parity_checks import (
    amplified,
    audits,
    balance,
    clipping,
    coloured,
    contexts,
    depth,
    domains,
    ensembles,
    environments,
    features,
    finders,
    games,
    gradients,
    head_games,
    heads,
    heatmaps,
    inside,
    mixing,
    observers,
    perturbations,
    pixels,
    projections,
    proxies,
    recipes,
    reweighting,
    samplers,
    shortcuts,
    stages,
    style_paths,
    styles,
    totals,
    twins,
    views,
)
from parity_checks.official import Clones
from parity_checks.references import REFERENCES
from parity_checks.rows import Row, markdown

#: Beside this project's own folders, where git ignores it.
CLONES = Path(__file__).resolve().parents[2] / "clones"
Check = Callable[[Clones], Iterator[Row]]

CHECKS: dict[str, Check] = {
    "group_dro": balance.group_dro,
    "cvar_dro": balance.cvar_dro,
    "focal": balance.focal,
    "ldam": balance.ldam,
    "balanced_softmax": balance.balanced_softmax,
    "bias_balanced": balance.bias_balanced,
    "weights": balance.weights,
    "effective_number": balance.effective_number,
    "irm": environments.irm,
    "irm_halves": environments.irm_halves,
    "vrex": environments.vrex,
    "matching": environments.matching,
    "spectral_decoupling": environments.spectral_decoupling,
    "shifted_decoupling": environments.shifted_decoupling,
    "end": features.end,
    "bias_contrastive": features.bias_contrastive,
    "flac": features.flac,
    "hsic": features.hsic,
    "domain_independent": domains.domain_independent,
    "domain_discriminative": domains.domain_discriminative,
    "fair_regularised": domains.fair_regularised,
    "lff": twins.lff,
    "disentangled": twins.disentangled,
    "xrm": finders.xrm,
    "debian": finders.debian,
    "adversaries": twins.adversaries,
    "bias_amplification": finders.bias_amplification,
    "afr": heads.afr,
    "eiil": stages.eiil,
    "cnc": stages.cnc,
    "spare": stages.spare,
    "masks": stages.masks,
    "dfr": heads.dfr,
    "self": heads.self_selection,
    "jtt": heads.jtt,
    "rebias_game": games.rebias,
    "lff_game": games.lff,
    "debian_game": finders.debian_game,
    "group_dro_game": games.group_dro,
    "spectral_decoupling_game": coloured.spectral_decoupling_game,
    "eiil_game": coloured.eiil_game,
    "clip": clipping.clip,
    "jtt_recipe": recipes.jtt,
    "context_cam_game": contexts.context_cam,
    "feature_split_game": contexts.feature_split,
    "context_weighting_game": contexts.context_weighting,
    "attribute_decorrelation": contexts.attribute_decorrelation,
    "contextual": contexts.contextual,
    "dfr_choice": recipes.dfr,
    "cnc_pairs": recipes.cnc,
    "end_total": totals.end,
    "bias_contrastive_total": totals.bias_contrastive,
    "gce": totals.gce,
    "elastic_game": totals.elastic,
    "mixture": samplers.mixture,
    "dpe": head_games.dpe,
    "progressive": samplers.progressive,
    "crm": head_games.crm,
    "bias_ensemble": ensembles.votes,
    "amplified_lff_game": ensembles.lff_game,
    "amplified_disentangled": ensembles.disentangled,
    "per_sample_gradient": gradients.per_sample_gradient,
    "denetdm": depth.denetdm,
    "logit_correction": amplified.logit_correction_loss,
    "echoes_game": observers.echoes,
    "fair_batch": observers.fair_batch,
    "apr_p": pixels.apr_p,
    "fda": pixels.fda,
    "efdm": pixels.efdm,
    "pixmix": pixels.pixmix_rounds,
    "logit_correction_game": amplified.logit_correction,
    "exmap": heatmaps.exmap,
    "shortcut_probe": shortcuts.sure,
    "shortcut_probe_game": shortcuts.descents,
    "gsr": reweighting.gsr,
    "selecmix": mixing.contrast,
    "selecmix_game": mixing.vanilla,
    "selecmix_lff_game": mixing.failing,
    "random_convolution": views.random_convolution,
    "consistency_game": views.consistency,
    "feature_consistency": views.features,
    "shape_texture_game": styles.shape_texture,
    "style_transfer": styles.style_transfer,
    "ula": proxies.ula,
    "projection": projections.reweight,
    "foreground_noise": audits.foreground_noise,
    "mixstyle": inside.mixstyle,
    "efdmix": inside.efdmix,
    "padain": inside.padain,
    "info_drop": inside.info_drop,
    "tract": inside.tract,
    "adversarial_training": perturbations.adversarial_training,
    "free_adversarial_training": perturbations.free_adversarial_training,
    "perturbation": perturbations.perturbation,
    "lens": perturbations.lens,
    "sagnet": style_paths.sagnet,
}


def compare(
    names: Sequence[str], checks: Mapping[str, Check], clones: Clones, *, as_markdown: bool = False
) -> int:
    """Run checks by name and print their rows; return the number that differ or could not run."""
    rows: list[Row] = []
    failed = 0
    for name in names:
        try:
            for row in checks[name](clones):
                rows.append(row)
                if not as_markdown:
                    print(" | ".join(row.cells()), flush=True)
        # code that was written for other versions of torch may raise any exception
        except Exception as error:
            failed += 1
            print(f"{name}: {type(error).__name__}: {error}", file=sys.stderr)
    if as_markdown:
        print(markdown(rows))
    differing = sum(not row.ok for row in rows)
    summary = (
        f"{len(rows)} comparisons of {len(names)} checks: {differing} differ, {failed} checks "
        "could not run"
    )
    print(summary, file=sys.stderr if as_markdown else sys.stdout)
    return differing + failed


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command, and return its exit status."""
    parser = argparse.ArgumentParser(
        prog="scripts/parity", description="our losses and recipes beside official code"
    )
    parser.add_argument(
        "names", nargs="*", metavar="NAME", help=f"checks to run, of {', '.join(CHECKS)}; all"
    )
    parser.add_argument(
        "--clones", type=Path, default=CLONES, help="folder of clones, owner/name; clones/"
    )
    parser.add_argument(
        "--markdown", action="store_true", help="print the rows as the table of docs/parity.md"
    )
    given = parser.parse_args(arguments)
    if shutil.which("git") is None:
        parser.error("the authors' code is read by git: install it")
    unknown = [name for name in given.names if name not in CHECKS]
    if unknown:
        parser.error(f"unknown checks {', '.join(unknown)}; valid: {', '.join(CHECKS)}")
    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.float64)
    try:
        with warnings.catch_warnings():
            # official code warns with newer versions of its dependencies
            warnings.simplefilter("ignore")
            names, clones = given.names or list(CHECKS), Clones(given.clones, REFERENCES)
            return int(compare(names, CHECKS, clones, as_markdown=given.markdown) > 0)
    finally:
        torch.set_default_dtype(before)


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(130)
