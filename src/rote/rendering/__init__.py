"""Part of stages 1 and 3: how the records become text, and whether that is what the model was trained on.

`record` shows one record as the model reads it; `layouts` renders some members in other ways; `trying` measures the loss
of their completions in each; `judging` says what the losses mean.
"""
