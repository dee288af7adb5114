"""Listening tests after ITU-R BS.1534-3 (MUSHRA) and ABX: pages that need no server, and analysis of the results."""
