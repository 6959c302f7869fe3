"""Assets that launch training and evaluation as processes of their own."""
