"""Programs without anything of ours: what Python and its libraries take alone.

``python -m`` would load this project's packages, so their text is run with ``python -c``.
"""

from __future__ import annotations

NOTHING = "pass"
"""A Python that ends at once."""

WAITING = 'import sys; print("ready", flush=True); sys.stdin.read()'
"""A Python that waits for the end of its input."""

CLASSIFYING = """
import sys
import cv2
import numpy as np
from ai_edge_litert.interpreter import Interpreter

cv2.setNumThreads(1)
interpreter = Interpreter(model_path=sys.argv[1], num_threads=1)
interpreter.allocate_tensors()
source = interpreter.get_input_details()[0]
picture = np.random.default_rng(1).integers(0, 256, (480, 640, 3), dtype=np.uint8)
height, width = map(int, source["shape"][1:3])
small = cv2.cvtColor(cv2.resize(picture, (width, height)), cv2.COLOR_BGR2RGB)
interpreter.set_tensor(source["index"], (small ^ 128).view(np.int8)[np.newaxis])
interpreter.invoke()
interpreter.get_tensor(interpreter.get_output_details()[0]["index"])
print("ready", flush=True)
sys.stdin.read()
"""
"""One that has classified a picture by the model in its first argument, and waits then."""
