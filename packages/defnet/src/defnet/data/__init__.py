"""From data sets to the batches that training sees: where they lie, their table, the draws, the views."""
