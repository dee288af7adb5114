"""Network modules: convolutions and the encoders and decoders built of them."""
