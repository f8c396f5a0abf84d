"""How the demonstration's models and pictures are made; nothing at run time imports this."""
