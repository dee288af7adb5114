"""Discriminators, which return logits and intermediate features."""
