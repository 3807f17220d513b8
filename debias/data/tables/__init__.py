"""Tables with a row per image: their files, further columns, labels and splits."""
