"""Listening tests after ITU-R BS.1534-3 (MUSHRA): pages that need no server, and the analysis of what comes back."""
