"""training_mixture and tokenizer -> tokenized_documents: the ids of every document."""
