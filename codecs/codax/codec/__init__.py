"""The trained codec: its module, coding in streams, windows and segments, loading, and shipped models."""
