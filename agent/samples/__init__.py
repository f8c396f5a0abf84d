"""Pictures kept for training: which ones, where, and how they get out."""
