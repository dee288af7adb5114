"""The trained codec: module, coding by streams, windows and segments, loading, shipped models."""
