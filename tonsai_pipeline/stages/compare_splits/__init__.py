"""The two splits of the mixture -> what they have in common, which should be nothing."""
