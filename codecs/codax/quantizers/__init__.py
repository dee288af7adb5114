"""Vector quantizers: codebook mathematics and the residual quantizer."""
