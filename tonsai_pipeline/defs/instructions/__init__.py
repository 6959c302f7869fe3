"""Assets of instruction data, up to the rows that a model is tuned on."""
