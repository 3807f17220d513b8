"""Files to batches: one loader a data set, published preprocessing, the picture cache, orders, the
DataModule.
"""
