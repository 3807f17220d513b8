"""Changes of a batch: ``Batch -> Batch``, composable with every strategy. Loads only torch."""
