"""Trees of folders whose paths have labels: templates, reading, splits and samples."""
