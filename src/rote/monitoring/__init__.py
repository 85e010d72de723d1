"""Memorisation while a model is trained by somebody else's loop: `MemorizationCallback` for transformers' `Trainer`.

`sample` chooses the records and cuts their prompts, once; `figures` reads them with the model as it is now; `stillness`
sees to it that the training does not notice; `thresholds` says when to stop and what to keep; `callback` joins them.
"""
