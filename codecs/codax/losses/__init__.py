"""Training losses as plain functions."""
