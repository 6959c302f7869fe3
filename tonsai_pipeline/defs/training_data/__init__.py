"""Assets that turn documents into a tokenizer and packed token rows."""
