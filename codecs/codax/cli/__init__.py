"""The codax command line."""
