"""What is known beforehand: facts about items as a graph and as vectors, and rules that people write."""
