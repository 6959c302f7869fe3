"""How good a document is: text -> signals -> keep or drop with a reason, and a score in [0, 1]."""
