"""Words, clusters, merges: BPE that never cuts a Khmer cluster before it starts to merge.

counts of words ──train_bpe──▶ BpeModel ──build_tokenizer──▶ Tokenizer ──tokenizer_files──▶ a folder's files
"""

#: Names the algorithms of this package. A change of any tokenizer trained on the same words needs a new one.
TOKENIZER_VERSION = "2"
