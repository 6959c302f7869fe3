"""Instruction sets in any common format -> instruction_data: conversations, with the reason of each that is dropped.

judge.py   conversations -> normalized, measured, each with its reason or none
stage.py   files of a source -> a part of conversations and one of bad rows
"""
