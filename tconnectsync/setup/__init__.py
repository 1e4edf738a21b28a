"""`--setup`: the questions that lead to a file of settings, each answer tried at once."""
