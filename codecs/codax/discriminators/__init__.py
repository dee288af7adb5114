"""Discriminators: each returns logits and intermediate features."""
