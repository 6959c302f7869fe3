"""A trained model folder -> what other people's programs open, checked before it is called done."""
