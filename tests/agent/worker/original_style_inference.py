"""An inference script in the manner of the original one, re-created: it knows nothing of Edgeferry.

``python original_style_inference.py FOLDER``: keeps its PID in ``FOLDER/inference.pid``, opens
``FOLDER/models/ai-model.tflite`` and ``labels.txt`` by path, reloads them within the frame loop
after SIGUSR1, keeps the old model when the new one fails, and prints what it makes of a red
picture. A line on standard input is a frame.
"""
# Written as such scripts are:
# ruff: noqa: PTH118, PTH123, BLE001

import os
import signal
import sys
from typing import Any

import numpy as np
from ai_edge_litert.interpreter import Interpreter

FOLDER = sys.argv[1]
MODEL_PATH = os.path.join(FOLDER, "models", "ai-model.tflite")
LABELS_PATH = os.path.join(FOLDER, "models", "labels.txt")
PID_PATH = os.path.join(FOLDER, "inference.pid")

reload_wanted = False


def on_sigusr1(*_: object) -> None:
    global reload_wanted
    reload_wanted = True


def load() -> tuple[Any, list[str]]:
    interpreter = Interpreter(model_path=MODEL_PATH)
    interpreter.allocate_tensors()
    with open(LABELS_PATH) as file:
        labels = [line.strip() for line in file if line.strip()]
    return interpreter, labels


def classify(interpreter: Any, labels: list[str]) -> str:
    details = interpreter.get_input_details()[0]
    red = np.full(details["shape"], -128, np.int8)
    red[..., 0] = 127
    interpreter.set_tensor(details["index"], red)
    interpreter.invoke()
    scores = interpreter.get_tensor(interpreter.get_output_details()[0]["index"])
    return labels[int(np.argmax(scores))]


signal.signal(signal.SIGUSR1, on_sigusr1)
interpreter, labels = load()
with open(PID_PATH, "w") as file:
    file.write(str(os.getpid()))
print("ready", flush=True)

for _frame in sys.stdin:
    if reload_wanted:
        reload_wanted = False
        try:
            interpreter, labels = load()
            print("MODEL RELOADED", flush=True)
        except Exception as error:
            print("KEEPING OLD MODEL:", type(error).__name__, flush=True)
    print(classify(interpreter, labels), flush=True)
