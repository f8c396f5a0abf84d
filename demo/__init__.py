"""The whole journey on one machine; the models are made by `demo/train.py`."""
