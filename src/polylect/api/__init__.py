"""What ``import polylect`` offers: one call per job, which the command line does too."""
