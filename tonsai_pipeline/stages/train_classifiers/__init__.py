"""Documents of the sources named good and bad -> quality_classifiers: a fastText model a language.

examples.py  documents of those sources -> lines to train on and to measure with
fit.py       lines -> a fastText model, in a process of its own
stage.py     the two together, and how well the model does
"""
