"""Atomic file writes, the cache folder, and files of named tensors."""
