"""Where the loader of each data set is, by its name: a text "module:object".

A loader that reads many data sets, such as ``table``, is called a reader. No loader is imported
here.
"""

#: In ``debias.data.sets``: data sets and layouts of files.
SETS = (
    *("waterbirds", "celeba", "table", "folder", "pattern", "spawrious", "isic", "coco_stuff"),
    *("huggingface", "shards", "arrays", "drawn_birds", "biased_mnist", "mnist", "cifar10"),
)
#: In ``debias.data.made``: data sets that are made from the files of others.
MADE = (
    *("coloured_mnist", "coloured_mnist_lff", "coloured_mnist_cnc", "multi_color_mnist"),
    *("fb_biased_mnist", "spuco_mnist", "mnist_squares", "mnist_cifar", "corrupted_cifar10"),
    *("wcst_mnist", "wcst_sprites", "availability", "drawn_shapes"),
)
#: In ``debias.data.made.procedural``: pictures that formulas draw, for pre-training.
PROCEDURAL = ("fractals", "spectrum_noise")
#: Those that draw their pictures, without the files of another set, into the folder ``root``.
DRAWN = ("drawn_birds", "drawn_shapes", "availability", "wcst_sprites", *PROCEDURAL)
#: Two loaders of one file.
GENDERED = ("coco_gender", "imsitu_gender")
READERS = {
    **{name: f"debias.data.sets.{name}:{name}" for name in SETS},
    **{name: f"debias.data.sets.gendered:{name}" for name in GENDERED},
    **{name: f"debias.data.made.{name}:{name}" for name in MADE},
    **{name: f"debias.data.made.procedural.{name}:{name}" for name in PROCEDURAL},
}
