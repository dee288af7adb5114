"""Audio sources, transforms and the Grain pipeline. Knows no JAX arrays."""
