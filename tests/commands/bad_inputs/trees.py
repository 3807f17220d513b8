"""Data sets in folders, masks, groups, and files and folders that are to be written."""

from tests.commands.bad_inputs.case import TABLE, rows

CHECK = "check own.yaml"
TREE = "check tree.yaml"
CONFIG = {
    "tree.yaml": "extends: own.yaml\ndata: {name: folder, root: tree}\n",
    "own.yaml": (
        "preprocessing: {name: resize, size: 16}\nmodel: {name: test_resnet, pretrained: false}\n"
    ),
}
MADE = CONFIG | {
    "tree/train/cat/day/1.png": "",
    "tree/train/dog/day/2.png": "",
    "tree/train/cat/night/3.png": "",
    "tree/train/dog/night/4.png": "",
    "tree/val/dog/day/2.png": "",
    "tree/val/dog/night/2.png": "",
    "tree/val/cat/day/2.png": "",
    "tree/val/cat/night/2.png": "",
    "tree/test/cat/day/3.png": "",
}
FOLDERS = rows(
    "folders of images",
    [
        (TREE, "no folder tree", CONFIG),
        (TREE, "no image in tree", CONFIG | {"tree/train": None}),
        (TREE, "no folder tree", CONFIG | {"tree": "a file"}),
        (TREE, "trian is not a split", MADE | {"tree/trian/cat/day/4.png": ""}),
        (TREE, "trian is not a split", MADE | {"tree/trian/cat/day/4.gif": ""}),
        (TREE, "Train is not a split", MADE | {"tree/Train/cat/day": None}),
        (TREE, "4.png is at the wrong depth", MADE | {"tree/4.png": ""}),
        (TREE, "4.png is at the wrong depth", MADE | {"tree/train/4.png": ""}),
        (TREE, "wrong depth", MADE | {"tree/train/cat/day/more/4.png": ""}),
        (TREE, "wrong depth", MADE | {"tree/train/cat/day/more/yet/4.png": ""}),
        (TREE, "a folder called 'nan'", MADE | {"tree/train/nan/day/4.png": ""}),
        (TREE, "a folder called 'nan'", MADE | {"tree/train/cat/nan/4.png": ""}),
        (TREE, "control character", MADE | {"tree/train/\x1b[31mcat/day/4.png": ""}),
        (TREE, "control character", MADE | {"tree/train/cat/day/\x1b[31m4.png": ""}),
        (TREE, "cannot be decoded", MADE),
        (TREE + " data.masks=nowhere", "no folder of masks nowhere", MADE),
    ],
)
PATTERN = f"{TREE} data.name=pattern data.root=tree"
LABELS = "'{split}/{target}/{bias}/*'"
PATTERNS = rows(
    "trees by a pattern",
    [
        (PATTERN, "data needs pattern: add data.pattern=...", MADE),
        (f"{PATTERN} data.pattern=/a/*", "must be the path of an image below root", MADE),
        (f"{PATTERN} data.pattern='\"{{split/*\"'", "has a single {", MADE),
        (f"{PATTERN} data.pattern=a/b/c/*", "none of 9 images in tree matches a/b/c/*", MADE),
        (f"{PATTERN} data.pattern={LABELS}", "match no template", MADE | {"tree/4.png": ""}),
        (f"{PATTERN} data.pattern={LABELS} data.bias=place", "no field {place}", MADE),
        (f"{PATTERN} data.pattern={LABELS} data.unmatched=x", "one of refuse, leave_out", MADE),
        (f"{PATTERN} data.pattern={LABELS} data.only.bias=dusk", "has no 'dusk'", MADE),
        (f"{PATTERN} data.pattern={LABELS} data.test_domains=[day]", "no splits of the data", MADE),
        (f"{PATTERN} data.pattern={LABELS} data.per_group=[1,2]", "no other splits", MADE),
        (f"{TREE} data.name=pacss", "did you mean 'pacs'", CONFIG),
        (f"{TREE} data.name=pacs data.root=tree", "debias data get pacs root=tree", CONFIG),
        (f"{TREE} data.name=spawrious data.root=tree data.benchmark=x", "o2o_easy", MADE),
        ("data list pacss", "did you mean 'pacs'"),
        ("data list pacs x=1", "has no options; got x=1"),
        ("data sample pacs", "add out=FOLDER"),
        ("data sample pacss out=x", "did you mean 'pacs'"),
    ],
)
BOXES, BOX = "masks boxes own.yaml source=b.csv out=m", "path,x,y,width,height\n"
MASKS = rows(
    "masks",
    [
        (CHECK + " data.masks=nowhere", "no folder of masks nowhere"),
        (CHECK + " data.masks=table.csv", "no folder of masks table.csv"),
        (CHECK + " data.masks=run", "has no mask of any image"),
        (CHECK + " data.masks=masks data.mask=bias", "masks are given twice"),
        (CHECK + " data.mask=bias", "masks are not in"),
        (CHECK + " data.masks=masks", "masks/0.png", {"masks/0.png": "text"}),
        (CHECK + " data.masks=masks", "masks/0.png", {"masks/0.png": b""}),
        (CHECK + " data.fills=nowhere", "no folder of fills nowhere"),
        (CHECK + " augment.name=recombination", "have no mask"),
        (CHECK + " augment.name=companions", "it has no companion pictures"),
        ("masks boxes own.yaml out=m", "masks need source: add source=..."),
        ("masks boxes own.yaml source=b.csv", "masks need out: add out=..."),
        (BOXES, "no file b.csv"),
        (BOXES, "has no column 'width'", {"b.csv": "path,x,y\n0.png,1,2\n"}),
        (BOXES, "no rows", {"b.csv": BOX}),
        (
            BOXES,
            "must be a finite number",
            {"b.csv": f"{BOX}0.png,a,2,3,4\n"},
        ),
        (
            BOXES,
            "must be a finite number",
            {"b.csv": f"{BOX}0.png,nan,2,3,4\n"},
        ),
        (
            BOXES,
            "must be positive",
            {"b.csv": f"{BOX}0.png,1,2,0,4\n"},
        ),
        (
            BOXES,
            "has no box for 15",
            {"b.csv": f"{BOX}0.png,1,2,3,4\n"},
        ),
        (
            BOXES,
            "has two columns",
            {"b.csv": "path,x,y,width,height,x\n0.png,1,2,3,4,5\n"},
        ),
        ("masks keypoints own.yaml source=k.txt out=m", "no images.txt", {"k.txt": "1 2 3 4 1\n"}),
        (
            "masks keypoints own.yaml source=k.csv out=m",
            "has no keypoint",
            {"k.csv": "path,x,y\n0.png,1,2\n"},
        ),
        ("masks import own.yaml source=nowhere out=m", "no folder and no CSV file nowhere"),
        ("masks import own.yaml source=masks out=m", "masks/0.png", {"masks/0.png": "text"}),
        (
            "masks import own.yaml source=masks out=table.csv",
            "contains files that debias did not make",
        ),
        (
            "masks import own.yaml source=masks out=images",
            "contains files that debias did not make",
        ),
        ("masks import own.yaml source=masks out=m splits=[dev]", "got ['dev']"),
        ("masks import own.yaml source=masks out=m splits=[]", "splits"),
        ("masks import own.yaml source=masks out=m splitz=[val]", "did you mean 'splits'"),
        ("masks import own.yaml source=masks out=m overwrite=maybe", "overwrite"),
        (
            "masks import own.yaml source=masks out=m",
            "m/debias_masks.json",
            {"m/debias_masks.json": "{"},
        ),
        (
            "masks import own.yaml source=masks out=m",
            "m/debias_masks.json holds a list",
            {"m/debias_masks.json": "[]"},
        ),
        ("masks gradcam nowhere out=m", "nowhere does not exist"),
        ("masks gradcam images out=m", "images is not a run folder"),
    ],
)
INFERRED = TABLE.replace("bias", "inferred").replace("day", "\x1b[1m")
GROUPS = rows(
    "groups",
    [
        (CHECK + " groups.file=g.csv", "g.csv is not a file"),
        (CHECK + " groups.file=images", "images is not a file"),
        (
            CHECK + " groups.file=g.csv",
            "has no column 'inferred'",
            {"g.csv": "path,group\n0.png,1\n"},
        ),
        (CHECK + " groups.file=g.csv", "no rows", {"g.csv": "path,inferred\n"}),
        (
            CHECK + " groups.file=g.csv",
            "has no line for 7 of the 8 images",
            {"g.csv": "path,inferred\n0.png,1\n"},
        ),
        (
            CHECK + " groups.file=g.csv",
            "as on an earlier line",
            {"g.csv": "path,inferred\n0.png,1\n0.png,0\n"},
        ),
        (
            CHECK + " groups.file=g.csv",
            "has two columns",
            {"g.csv": "path,inferred,inferred\n0.png,1,0\n"},
        ),
        (CHECK + " groups.file=g.csv", "is not UTF-8", {"g.csv": b"path,inferred\n\xff,1\n"}),
        (CHECK + " groups.file=g.csv", "3 columns", {"g.csv": "path,inferred\n0.png,1,2\n"}),
        (CHECK + " groups.file=g.csv groups.splits=[test]", "groups.splits must name train, val"),
        (CHECK + " groups.file=g.csv groups.splits=[]", "groups.splits must name train, val"),
        (
            CHECK + " groups.file=g.csv",
            "control character",
            {"g.csv": INFERRED},
        ),
        (CHECK + " groups.file=table.csv recipe.name=jtt", "does not allow groups.file"),
        ("infer-groups nowhere", "nowhere does not exist: give the folder"),
        ("infer-groups images", "images is not a run folder"),
        ("infer-groups run method=jt", "unknown method 'jt'"),
        ("infer-groups run method=own", "has no groups.csv of its own"),
        ("infer-groups run data.csv=nowhere.csv out=g.csv", "no file nowhere.csv"),
        ("infer-groups run stepz=3 out=g.csv", "unknown key 'stepz'"),
        ("infer-groups run out=images", "images: Is a directory"),
        ("infer-groups run out=table.csv/g.csv", "table.csv: File exists"),
        (
            "infer-groups run out=g.csv",
            "run/predictions/train.csv",
            {"run/predictions/train.csv": "index\n"},
        ),
        (
            "infer-groups run out=g.csv",
            "are not of the images",
            {"table.csv": TABLE.replace("0.png", "00.png")},
        ),
        ("infer-groups run out=g.csv", "run/config.yaml", {"run/config.yaml": "["}),
    ],
)
LONG = "x" * 300
PLACES = rows(
    "files and folders to write",
    [
        ("check own.yaml data.root=s3://bucket/x", "set cache_dir=FOLDER, or the environment"),
        ("check own.yaml data.root=ss3://b/x cache_dir=c", "unknown protocol 'ss3'; did you mean"),
        ("check own.yaml data.root=oci://b/x cache_dir=c", "a package that is not installed"),
        ("check own.yaml data.root=s3:// cache_dir=c", "must be PROTOCOL://BUCKET/PATH"),
        ("train own.yaml out=s3://bucket/runs", "out=s3://bucket/runs needs a cache folder"),
        ("train own.yaml out=ss3://b/runs cache_dir=c", "unknown protocol 'ss3'; did you mean"),
        ("train own.yaml out=oci://b/runs cache_dir=c", "a package that is not installed"),
        ("train own.yaml out=s3://b/r cache_dir=c nodes=2", "need out on a disk that all see"),
        ("sweep run sweep.yaml out=s3://bucket/s", "out=s3://bucket/s needs a cache folder"),
        ("sweep run sweep.yaml out=ss3://b/s cache_dir=c", "unknown protocol 'ss3'; did you mean"),
        ("sweep search search.yaml out=s3://b/s", "a search needs a folder on a disk"),
        ("sweep status s3://bucket/s", "folder=s3://bucket/s needs a cache folder"),
        ("compare s3://bucket/s", "folder=s3://bucket/s needs a cache folder"),
        ("reproduce waterbirds out=s3://b/r", "reproduce needs a folder on a disk"),
        ("train own.yaml out=table.csv", "table.csv"),
        ("train own.yaml out=table.csv/runs", "table.csv/runs"),
        (f"train own.yaml out={LONG}", "File name too long"),
        ("train own.yaml out=/proc/version", "/proc/version"),
        (
            "check own.yaml cache=true cache_dir=table.csv",
            "table.csv: File exists; give another place",
        ),
        ("train own.yaml cache=true cache_dir=table.csv/c", "table.csv/c: Not a directory"),
        (f"train own.yaml cache=true cache_dir={LONG}", "File name too long"),
        ("check own.yaml cache=true out=table.csv", "table.csv/cache: Not a directory"),
        ("evaluate predictions.csv measures=none out=images", "out=images"),
        (f"evaluate predictions.csv measures=none out={LONG}", "out="),
        ("evaluate predictions.csv measures=none out=table.csv/o.json", "out=table.csv/o.json"),
        ("evaluate predictions.csv measures=none out=[a]", "out"),
        ("masks import own.yaml source=masks out=table.csv/m", "table.csv/m: Not a directory"),
        (f"masks import own.yaml source=masks out={LONG}", "File name too long"),
        ("sweep run sweep.yaml out=table.csv", "table.csv/protocol.json: Not a directory"),
        ("sweep run sweep.yaml out=table.csv/s", "Not a directory"),
        (f"sweep run sweep.yaml out={LONG}", "File name too long"),
        ("sweep report s out=images", "images: Is a directory", {"s/plan.json": "[]"}),
        ("sweep report s out=table.csv/r.md", "table.csv: File exists", {"s/plan.json": "[]"}),
        ("compare run", "run/comparison.html: Is a directory", {"run/comparison.html": None}),
        ("reproduce waterbirds out=table.csv data.root=images", "table.csv: File exists"),
        ("train own.yaml resume=nowhere", "cannot resume nowhere"),
        ("train own.yaml resume=images", "holds no config.yaml"),
        ("train own.yaml resume=table.csv", "cannot resume table.csv"),
        ("train own.yaml resume=run", "is finished"),
        ("train own.yaml resume=r", "r/config.yaml", {"r/config.yaml": "epochs: ["}),
        ("train own.yaml resume=r", "another config", {"r/config.yaml": "epochs: 7\n"}),
    ],
)
