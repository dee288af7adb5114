"""Builds shards from any source, on one machine or with Apache Beam."""
