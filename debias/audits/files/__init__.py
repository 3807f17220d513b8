"""Audits of files: what headers, traces and plain numbers of pictures tell of the classes."""
