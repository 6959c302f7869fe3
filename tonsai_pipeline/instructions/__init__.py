"""Instruction data: rows of any common format -> conversations, checked turn by turn; values in, values out."""
