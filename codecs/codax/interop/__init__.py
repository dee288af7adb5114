"""Import and export of other projects' models."""
