"""Residual quantizers and the mathematics of their codebooks."""
