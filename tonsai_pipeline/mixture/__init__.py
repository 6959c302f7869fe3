"""Who gets which share of the run: wishes, the tokens there are -> epochs, targets, and a seeded order."""
