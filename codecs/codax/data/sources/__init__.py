"""Sources of audio by name: folders, manifests, archives and shards."""
