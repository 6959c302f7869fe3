"""Files of records with fields -> documents: JSON, CSV and TSV, Parquet, Arrow."""
