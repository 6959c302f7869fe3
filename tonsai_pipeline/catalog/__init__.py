"""Which dumps there are: recipe sources, inbox and registry -> dumps in catalog order, each with its content's name.

catalog.py    dumps of a recipe, and what people decide about them
attempts.py   dumps that did not get in yet, and why
discovery.py  where their files lie
locations.py  what a recipe says of where text lies -> locations
"""
