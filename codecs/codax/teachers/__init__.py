"""Teacher networks, whose features are distilled into a codec's first quantizer."""
