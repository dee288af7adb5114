"""Files that appear whole or not at all, the cache folder, and named tensors."""
