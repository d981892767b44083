"""Training: samples, folds, learners and models, as a plain library."""
