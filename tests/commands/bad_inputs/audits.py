"""Audits: sources that are none, options that do not fit, and data that offer nothing to audit."""

from tests.commands.bad_inputs.case import TABLE, rows

ONE_CLASS = TABLE.replace(",dog,", ",cat,")

AUDITS = rows(
    "audits",
    [
        ("audit own.yaml checks=header", "did you mean 'headers'"),
        ("audit own.yaml checks=", "checks"),
        ("audit own.yaml images=1", "images must be at least 2"),
        ("audit own.yaml images=many", "images must be an integer"),
        ("audit own.yaml encoder=resnet18x", "encoder=resnet18x: timm has no such network"),
        ("audit own.yaml encoder=nowhere/run", "it is no folder of a run"),
        ("audit own.yaml encoder=run encoder_weights=x.pt", "got encoder=run"),
        ("audit table.csv target=target root=images encoder=run", "give encoder=RUN_FOLDER"),
        ("audit own.yaml encoder_weights=x.pt", "needs encoder=NAME"),
        ("audit own.yaml encoder=resnet18 encoder_weights=x.pt", "x.pt is not a file"),
        ("audit own.yaml image=5", "unknown key 'image'"),
        ("audit own.yaml workers=4", "workers=4 has no effect, because this command reads only"),
        ("audit run accelerator=cpu", "accelerator=cpu has no effect"),
        ("audit nowhere.csv target=target", "no file nowhere.csv"),
        ("audit table.csv target=species root=images", "no column 'species'"),
        ("audit table.csv targt=target root=images", "did you mean 'target'"),
        ("audit table.csv target=target root=nowhere", "nowhere"),
        ("audit table.csv root=images", "one class only", {"table.csv": ONE_CLASS}),
        ("audit masks", "no tree of images"),
        ("audit nosuch.yaml", "give a config, a table"),
        ("audit waterbird", "did you mean 'waterbirds"),
        ("audit own.yaml mirror=perhaps", "mirror must be"),
        ("audit celeba root=nowhere", "nowhere"),
        ("audit sweep/run images=0", "images must be at least 2"),
    ],
)
