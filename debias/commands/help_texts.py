"""Texts at the end of the help: examples, and the actions of commands that have several."""

EXAMPLES = """examples:
  debias train waterbirds/group_dro_strong data.root=PATH seed=1
  debias train waterbirds/group_dro_strong data.root=PATH seed=1 resume=RUN
  debias evaluate RUN
  debias evaluate predictions.csv bias=gender
  debias predict RUN photos out=predictions.csv
  debias export RUN format=onnx out=FOLDER
  debias compare runs
  debias index runs
  debias sweep run my_sweep.yaml data.root=PATH workers=4
  debias reproduce waterbirds data.root=PATH --strategies jtt,dfr
  debias cache prune runs/my_sweep days=30
  debias check my_config.yaml
  debias audit my_config.yaml
  debias audit images.csv target=species
  debias infer-groups RUN method=eiil out=groups.csv
  debias masks boxes my_config.yaml source=boxes.csv out=masks
  debias data list
  debias data get celeba root=PATH terms=accepted
  debias data make coloured_mnist root=PATH
  debias list strategies
"""

DATA = """actions:
  list [NAME]                      data sets that debias knows by name; or every fact of one
  get NAME root=PATH               downloads a data set, verifies and unpacks it; or says what to do
                                   by hand, with exit code 3; terms=accepted if it asks for that
  check CONFIG                     compares a data set with its published numbers and rows, and
  check FOLDER as=NAME             looks for missing, unreadable and equal images, with exit code 1
                                   on a difference; deep=true decodes all. The command `debias
                                   check CONFIG` builds all other parts of a run too
  make NAME root=PATH              makes a generated data set from the files of another one in PATH;
                                   its options, as in seed=1, are those of data.*
  diagnose SOURCE cues=[A,B] out=FILE.csv
                                   writes a table of images that trains where the columns A, B, ...
                                   agree and tests where they conflict, and a config that reads it;
                                   SOURCE is a table, a name or a config; values=2 each=N val=0.1
  sample NAME out=FOLDER images=3  writes a tiny tree in the layout of a data set, with images=
                                   pictures of noise per split, class and bias, for your own tests
"""

AUDIT = """sources:
  CONFIG                a shipped config or a YAML file, with data.root=PATH and the like
  TABLE.csv             a table of images: target=COLUMN, and path=, split=, mask=, root= if needed
  FOLDER                <split>/<class>/<image> or <class>/<image>; or any data.name=NAME
  NAME root=PATH        a data set that debias knows by name (debias data list)
  RUN                   the folder of a finished run: its data, and what its model takes
options:
  checks=all            the steps that speak, separated by commas; information and traces are slow,
                        and run only if you name them
  images=5000           most images per split; the classes take turns
  encoder=none          whose features are used too: a frozen network of timm, run for that of
                        the audited run, or the folder of a run
  encoder_weights=FILE  weights of a network of timm; by default, timm downloads them
  mirror=false          whether an image and its mirror image are duplicates
  stimuli=FOLDER        <test>/<X|Y|A|B>/<image>: association tests of features
  out=FOLDER            the results; by default, the folder `audit` in the run's, or here
It needs no bias labels. It writes audit.html, audit.json, and the files of its steps, and continues
after a stop.
"""

MASKS = """methods and their options:
  boxes      source=FILE: CSV path,x,y,width,height, or CUB's bounding_boxes.txt; GrabCut finds the
             object
  keypoints  source=FILE: CSV path,x,y, one row per point, or CUB's parts/part_locs.txt; GrabCut
             finds the object
  gradcam    threshold=NUMBER target=true|predicted layer=NAME: Grad-CAM of a finished run's model
  import     source=FOLDER of PNG files, or CSV path,mask; threshold=NUMBER: checks existing masks
for every method: out=FOLDER splits=[train,val,test] overwrite=true, and data.* as in the config
"""
