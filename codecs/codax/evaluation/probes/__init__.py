"""Probes: labels that a small network reads from frozen codes (as DASB does, arXiv 2406.14294)."""
