"""Training images judged by models that have not seen them, and what follows for the model of all of them."""
