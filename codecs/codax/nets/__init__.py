"""Network modules: convolutions, recurrent and attention layers, and the encoders and decoders built from them."""
