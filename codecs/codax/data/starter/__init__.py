"""The starter corpus: real speech that can be downloaded by name."""
