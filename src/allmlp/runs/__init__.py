"""One experiment: configuration to data and model, training, evaluation, prediction, its folder.

Nothing is imported here: `runs.config` and `runs.config_tree` must load without torch.
"""
