"""What training minimises: fidelity of the three tasks, evidential losses, their weights and their sum."""
