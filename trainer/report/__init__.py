"""What a run or a model file is worth, as one page that a person wants to look at."""
