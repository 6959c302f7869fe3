"""Answers, scores and generated text -> measures that mean something for Khmer; pure."""
