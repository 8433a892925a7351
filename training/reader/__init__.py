"""Fine-tuning the reader that ships."""
