"""Normal-inverse-gamma distributions for evidential regression: moments, fusion, losses and output heads in PyTorch."""
