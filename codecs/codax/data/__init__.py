"""Audio sources, transforms and the Grain input pipeline. This package uses NumPy only, no JAX arrays."""
