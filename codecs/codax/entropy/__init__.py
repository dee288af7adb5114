"""Bit packing and file containers: integers and bytes, no JAX."""
