"""Language confusion: does a model answer in the language that it was asked for?"""
