"""The repositories that the checks read."""

from typing import NamedTuple


class Reference(NamedTuple):
    """The commit of a repository that a check reads, and the licence found in it."""

    commit: str
    licence: str


REFERENCES = {
    "AndPotap/afr": Reference("b34b6cd17cf920cd34a298c7801ca76a7b9db613", "Apache-2.0"),
    "BigML-CS-UCLA/SpuCo": Reference("91842463a577b0a90b4f829fec367308f3052e9f", "MIT"),
    "EIDOSLAB/entangling-disentangling-bias": Reference(
        "b09564818763563ab3c765064f3575c1d5ba0cd2", "MIT"
    ),
    "Felix-Petersen/tract": Reference("8c04529a6a1e38609023500830a1bce4bc72fbc8", "MIT"),
    "HazyResearch/correct-n-contrast": Reference(
        "eaa1c664fd2002ed4dd45344353583dbce31fac0", "Apache-2.0"
    ),
    "Jiaxuan-Li/PnD": Reference("e53042a80273c089ac8f5455da753b4ca29375a3", "none stated"),
    "KaiyangZhou/mixstyle-release": Reference("16f7cf1fe2c7b1b3c660c72b32817ebb0545397a", "MIT"),
    "MadryLab/robustness": Reference("a9541241defd9972e9334bfcdb804f6aefe24dc7", "MIT"),
    "LiYingwei/ShapeTextureDebiasedTraining": Reference(
        "afdb8b7e033e639e5602ae02dc18c7816cf80707", "MIT"
    ),
    "PolinaKirichenko/deep_feature_reweighting": Reference(
        "9d8d5de78feafb0ba99878b8a1f91c5cd942e62a", "BSD-2-Clause"
    ),
    "SPChytas/CatHarm": Reference("d28fb816d8e5cdd1a529264953c33e1f4a3d631b", "none stated"),
    "TaoWen0309/ElRep": Reference("8c3e62c897f7df862463e41797afd5df87a2fef4", "MIT"),
    "YBZh/EFDM": Reference("80e26bdf8679ad0f735925f1b7d735beb444798c", "MIT"),
    "Visual-AI/vCLR": Reference("c02cd16f37a95fefe0b1a2805bcde69567e8657e", "MIT"),
    "YanchaoYang/FDA": Reference("b9a0cdf0bcc9b787c00e39df73eda5673706f219", "none stated"),
    "YueYANG1996/KnoBo": Reference("53b3728ce64f36f8fda397ea43446edec63e56ca", "MIT"),
    "YyzHarry/SubpopBench": Reference("4d3dbbe21029666ef19d040e110ec22908640c5b", "MIT"),
    "aahmadian-liu/rep-learning-shortcut": Reference(
        "b8357030a16564198906bab088da0a32573543f2", "MIT"
    ),
    "aida-ugent/fairret": Reference("33b0eaba64e9548c7f5b18fca056d4b7ca9087fd", "MIT"),
    "aliasgharkhani/Masktune": Reference("9a0e2414a713c8d11ddb1aa7469866b865cbd137", "none stated"),
    "alinlab/LfF": Reference("e66796ec117ea52d2e44176055b7ef7959680a1b", "none stated"),
    "amazon-science/lc-loss": Reference("a4f36c765f1b2bede5fcde0d69d096d6c42045c7", "CC-BY-NC-4.0"),
    "andyzoujm/pixmix": Reference("f867e873d5c7be53c5b92668bb9dd09a6db18280", "MIT"),
    "anniesch/jtt": Reference("1de6cc5b65e56e8d4db9ad6beb27c3070ba3ee1b", "none stated"),
    "bluemoon010/SelecMix": Reference("4247e2fb4b94b766484b4e07c0012255b402587c", "MIT"),
    "badrmarani/vig-bias-eccv": Reference(
        "06fa7d73d408eb8b4a1ec7b3df6d7ce6cc28d085", "none stated"
    ),
    "bfshi/InfoDrop": Reference("0dc1b249ab885ec256db7937f1128237886a9717", "AGPL-3.0"),
    "catalys1/fractal-pretraining": Reference("b87adf280e96a981947599a3e0cc5875637d94cf", "MIT"),
    "chingyaoc/debias_vl": Reference("adccbe6a902bc6bedc08198b87a667e573244c9d", "MIT"),
    "clovaai/rebias": Reference("79d1d1d892412a5e3b07fbea8b776461bed0e096", "MIT"),
    "daniellevy/fast-dro": Reference("dc75246ed5df5c40a54990916ec351ec2b9e0d86", "MIT"),
    "ecreager/eiil": Reference("0e9daed7198ea7206b9cd673982b6f2823f28a2f", "CC-BY-NC-4.0"),
    "facebookresearch/DomainBed": Reference("b93c22a1cfc3b2428398272c1a116c8de1f4139e", "MIT"),
    "facebookresearch/InvariantRiskMinimization": Reference(
        "fc185d0f828a98f57030ba3647efc7394d1be95a", "CC-BY-NC-4.0"
    ),
    "facebookresearch/XRM": Reference("5e90815250aedea546b9e17ffd5d7e0a7c34c20f", "CC-BY-NC-4.0"),
    "facebookresearch/compositional-risk-minimization": Reference(
        "fc22f8ba2621d025d8fe532c42c1fbabac512c9f", "CC-BY-NC-4.0"
    ),
    "fhn98/DaC": Reference("854537dcd121ba811d32f34a059f39347e9c237d", "none stated"),
    "grayhong/bias-contrastive-learning": Reference(
        "35562b6d700356c3a3c7346781f0310ca38f6fd1", "none stated"
    ),
    "gsarridis/FLAC": Reference("1cf04872105e1ec16fb82743568bf4d5d5f0404f", "none stated"),
    "gtzheng/ShortcutProbe": Reference("82dbece188fc7636df131e71e0190d842696f320", "none stated"),
    "hyeonseobnam/sagnet": Reference("f87161c26afc3b20b42ff28a9306e927239abc15", "none stated"),
    "isruihu/Echoes": Reference("a360af2b1215f5b2560f48b5412b5830b96c78fc", "none stated"),
    "iCGY96/APR": Reference("6d0dd4cb81b63044d0733d19eea359c7ffb7e136", "MIT"),
    "jiawei-ren/BalancedMetaSoftmax-Classification": Reference(
        "34a61e432881816c2da14d577d6ed63501288f5f", "BSD-3-Clause"
    ),
    "kadarsh22/DeNetDM": Reference("790e363c1d147609e04bff848ffcfcb1bd5e897c", "MIT"),
    "jiayini1119/projection-head-experiments": Reference(
        "a145e06d1fd74baa23d860a32e7620b673c2a322", "none stated"
    ),
    "kaidic/LDAM-DRW": Reference("2536330f2afdaa65618323cb5a5850efccce762a", "MIT"),
    "kakaoenterprise/BiasEnsemble": Reference(
        "13c01f46e3edb65451d3ddb60cc703329c4b33b6", "none stated"
    ),
    "kakaoenterprise/Learning-Debiased-Disentangled": Reference(
        "7626f3692f412ebae8d872480fdaa85ab9cddec0", "none stated"
    ),
    "kohpangwei/group_DRO": Reference("cbbc1c5b06844e46b87e264326b56056d2a437d1", "MIT"),
    "locuslab/fast_adversarial": Reference(
        "54f728755e71857b632882ba6d6cef22f56e2172", "none stated"
    ),
    "minhto2802/dpe4subpop": Reference("68b811461e238d44cced6ae6c8ce75b66cad5449", "MIT"),
    "mmoayeri/HardImageNet": Reference("a39e3f996f70eb538ff71829b80781bac617a2d4", "none stated"),
    "mohammadpz/Gradient_Starvation": Reference("bc5c29631fc3abe72e7d05c7ab3424c342e7fd49", "MIT"),
    "motivationss/BAM": Reference("dba35b1fa7fdaabb8b8a73e335c0fadf1e76dbf7", "none stated"),
    "onuriel/PermutedAdaIN": Reference("819cdb9ef4a42655934e5340c1479700be9cd6f3", "MIT"),
    "princetonvisualai/ContextualBias": Reference(
        "b6aed73ae2c9d8b1a422b89746a2bde4d8a7a090", "none stated"
    ),
    "princetonvisualai/DomainBiasMitigation": Reference(
        "c432e751632bce2c7467ef22a6ffb44402b88684", "none stated"
    ),
    "sumyeongahn/PGD": Reference("02655205c3b63c29edd31f00687f4ac0667774bf", "none stated"),
    "shengliu66/LC": Reference("bb46ac4828262d077cb64bc7a35152dff02bb517", "MIT"),
    "rwchakra/exmap": Reference("de93ee5df35b7233bc9f65c9c8ab58c9a59b108f", "none stated"),
    "tmlabonte/last-layer-retraining": Reference("40612d4c794ee75545e8cc1e8d045e73224f2dc8", "MIT"),
    "tmlabonte/revisiting-finetuning": Reference("f0839637a765a197def85063c9aa68d496ddb531", "MIT"),
    "tsirif/uLA": Reference("5867fb6e9a8485ed08b4cbe84900f2b5ac4fac5d", "none stated"),
    "uclaml/PDE": Reference("354ddfc612d3cf7331ea7387e4bff3c0f5a0ad79", "MIT"),
    "qiaoruiyt/GSR": Reference("d6f48e598ccc968864381760958f271a944e2297", "MIT"),
    "vandit15/Class-balanced-loss-pytorch": Reference(
        "921ccb8725b1eb0903b2c22a1a752a594fcae138", "MIT"
    ),
    "wildphoton/RandConv": Reference("861a2319dc2861361997f20e97444f231d08db55", "none stated"),
    "yuji-roh/fairbatch": Reference("4f652764be12ce18d237d563d291b63fa1ddf67f", "none stated"),
    "yunjey/stargan": Reference("94dd002e93a2863d9b987a937b85925b80f7a19f", "MIT"),
    "zhihengli-UR/DebiAN": Reference("6ab77f6e33d172ea75e5f635a5d00a68b664ff79", "GPL-3.0"),
}
