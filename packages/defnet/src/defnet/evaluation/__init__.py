"""From predictions to figures: agreement with ratings, accuracies, and whether the uncertainty is true."""
