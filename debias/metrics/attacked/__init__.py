"""What a model still recognises if small changes of the pixels are made to mislead it."""
