"""Folders on object storage, such as ``s3://bucket/folder``, and their local copies.

All other code reads and writes local folders. This room copies whole files between them and the
storage. Nothing here imports torch, and fsspec only where a URL is used.
"""
