"""training_mixture -> tokenizer: a folder that AutoTokenizer opens, and a report on how well it cuts.

counters.py          texts -> counts of words, and of the tokens of a base
count_words.py       sampled documents -> how often each word occurs
count_files.py       the same from raw text files
base_tokenizer.py    a tokenizer that is taken over
parallel_texts.py    two sources that are translations of each other
tokenizer_folder.py  counts or a base -> the tokenizer's files, measured
stage.py             the texts it learns from and is measured on
"""
