"""Picture files to arrays: decoding, preprocessing and the cache of decoded pictures."""
