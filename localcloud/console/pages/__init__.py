"""The pages, one module each. Importing them needs NiceGUI and registers them with it."""
