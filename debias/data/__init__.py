"""From files to batches: loaders of data sets, preprocessing, cache, orders and DataModule."""
