"""Networks whose features a codec's first quantizer learns to carry."""
