"""What small runs say of a large one.

ladder.py     shares of size, text and length -> the points of a pilot
family.py     one network -> a smaller one of the same family, width and depth together
law.py        runs -> many laws that fit them -> bits per byte of another run, with an interval
effects.py    runs that differ in one setting -> which differences stand out of the noise of seeds
promise.py    a prediction, written down -> predicted against measured
"""
