"""Evaluates systems with metrics; writes results, plots and a report."""
