"""`python -m defnet`, and so `torchrun -m defnet` and `accelerate launch -m defnet`: the command `defnet`."""

from defnet.cli import app

if __name__ == "__main__":
    app()
