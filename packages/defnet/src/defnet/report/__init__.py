"""What people read of a model: tables, plots and pages, made from predictions."""
