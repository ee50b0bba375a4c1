"""How translated texts read: lexical measures, word order, and a classifier."""
