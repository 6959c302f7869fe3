"""A pilot of a recipe: small runs of it, what they say of the large one, and the prediction.

variant.py   recipe + point -> the recipe of a small run
spec.py      what the job of a small run is told
job.py       the job: train, then measure the recipe's held-out documents
points.py    points made, or found finished, in the store
cost.py      points -> operations and hours, before any is run
summary.py   finished points -> law, effects, prediction, as an artifact
"""
