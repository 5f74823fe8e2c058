"""The network, the evidence it gives, and the files that hold trained ones."""
