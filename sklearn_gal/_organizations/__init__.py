"""What an organization does, and the organizations of a fit side by side."""
