"""What is a duplicate: keys and shingles, signatures, candidate pairs, verified pairs, who stays.

    text ──exact──▶ 128-bit key         equal keys are the same text
      └─shingles──▶ hashed n-grams ──minhash──▶ signature ──lsh──▶ candidates ──verify──▶ edges ──greedy──▶ kept

Values in, values out: Arrow string arrays and numpy arrays. The files between the steps are the business
of `stages/sign` and `stages/deduplicate`.
"""
