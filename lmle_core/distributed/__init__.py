"""Training in several processes: what they exchange, what they are told to do, and who starts them."""
