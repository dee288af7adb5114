"""Entropy coding and bit packing of codes, with integers and bytes only; no JAX."""
