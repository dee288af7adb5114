"""Classical codecs through PyAV."""
