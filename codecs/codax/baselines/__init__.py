"""Classical codecs and anchors to compare with."""
