"""The steps of a run: which rows, at which learning rate, until when."""
