"""instruction_data, the base model's tokenizer and the corpus -> sft_dataset: packed rows that say what is learned.

chat_tokenizer.py  the base model's tokenizer -> one that knows the markers of a chat, whose end ends a reply
select.py          conversations -> which stay: no copies, nothing of the evaluation sets; which are held out
encode.py          conversations -> ids, and which of them are learned; those that are too long
choose.py          both, and the reason of each that is dropped
replay.py          the corpus -> some of its training documents, and its held-out ones
rows.py            ids -> packed rows on the disk
report.py          what people and the next stages read of it
stage.py           all of it
"""
