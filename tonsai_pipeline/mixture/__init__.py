"""Who gets which share of the run: target shares, the tokens there are -> epochs, targets, and a seeded order."""
