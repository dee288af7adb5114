"""Model folders on a Hugging Face hub: names, downloads, cards and uploads. `huggingface_hub` does the work."""
