"""Files of codes: `.codax` and `.ecdc` containers, and packets for pipes."""
