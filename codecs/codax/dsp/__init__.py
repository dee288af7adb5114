"""Signal processing as pure functions on JAX arrays."""
