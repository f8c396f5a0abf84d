"""The classifier: a narrow MobileNetV1, its training, and its export as a full-integer model."""

from __future__ import annotations

from collections.abc import Iterator
from tempfile import TemporaryDirectory
from typing import Any

import cv2
import keras
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from demo.training.scenes import SIZE

# Names end up in the exported file. Fixed ones keep the file of a retrained model nearly the same,
# so that a delta between the two is small.
_NAME, _BACKBONE, _HEAD = "classifier", "backbone", "head"
_WIDTH = 0.3125  # gives models of about 0.4 MB
# The network looks at half the camera's resolution; averaging 2x2 pixels is its first layer once
# it is exported. Most of the training happens on pictures that are smaller still.
_SIZE, _FIRST_SIZE = SIZE // 2, 96


def build(classes: int, *, momentum: float = 0.99) -> Any:
    """An untrained network; any picture size in, ``classes`` probabilities out.

    ``momentum`` is that of the batch normalization's averages. A training of few steps needs a
    smaller one: the averages would still be the start's, and every answer the same.
    """
    picture = keras.Input((None, None, 3))
    backbone = keras.applications.MobileNet(
        input_shape=(None, None, 3), alpha=_WIDTH, include_top=False, weights=None, pooling="avg"
    )
    backbone.name = _BACKBONE
    for layer in backbone.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            layer.momentum = momentum
    features = keras.layers.Dropout(0.2)(backbone(picture))
    head = keras.layers.Dense(classes, activation="softmax", name=_HEAD)
    return keras.Model(picture, head(features), name=_NAME)


def train(
    model: Any,
    pictures: NDArray[np.uint8],
    labels: NDArray[np.int64],
    *,
    epochs: int,
    final_epochs: int,
    seed: int,
) -> None:
    """``epochs`` quick rounds on small pictures, then ``final_epochs`` on the size it will see."""
    small = _resized(pictures, _FIRST_SIZE)
    _fit(model, small, labels, rate=2e-3, epochs=epochs, seed=seed)
    half = _resized(pictures, _SIZE)
    _fit(model, half, labels, rate=6e-4, epochs=final_epochs, seed=seed + 1)


def retrain_head(
    model: Any, pictures: NDArray[np.uint8], labels: NDArray[np.int64], *, epochs: int, seed: int
) -> None:
    """Learn the last layer anew; every other weight stays exactly as it is."""
    half = _normalized(_resized(pictures, _SIZE))
    features = model.get_layer(_BACKBONE).predict(half, batch_size=16, verbose=0)
    head = model.get_layer(_HEAD)
    keras.utils.set_random_seed(seed)
    learner = keras.Sequential(
        [keras.Input(features.shape[1:]), keras.layers.Dense(len(set(labels.tolist())), "softmax")]
    )
    learner.compile(
        keras.optimizers.Adam(3e-3), "sparse_categorical_crossentropy", metrics=["accuracy"]
    )
    learner.fit(features, labels, epochs=epochs, verbose=0)
    head.set_weights(learner.get_weights())


def with_third_output(model: Any) -> Any:
    """The same network with one more output than there are labels."""
    kernel, bias = model.get_layer(_HEAD).get_weights()
    wider = build(3)
    wider.get_layer(_BACKBONE).set_weights(model.get_layer(_BACKBONE).get_weights())
    wider.get_layer(_HEAD).set_weights([np.pad(kernel, ((0, 0), (0, 1))), np.pad(bias, (0, 1))])
    return wider


def collapsed(model: Any) -> Any:
    """The same network with a last layer that barely listens: always the second class."""
    kernel, bias = model.get_layer(_HEAD).get_weights()
    deaf = build(2)
    deaf.get_layer(_BACKBONE).set_weights(model.get_layer(_BACKBONE).get_weights())
    deaf.get_layer(_HEAD).set_weights([kernel * 0.02, bias * 0 + np.array([-1.5, 1.5])])
    return deaf


def export(model: Any, representative: NDArray[np.uint8]) -> bytes:
    """A TFLite model with int8 input [1, SIZE, SIZE, 3] and int8 output [1, classes].

    Its input is pixel - 128 in RGB order, the convention of Edge Impulse's int8 models.
    """
    halved = keras.layers.AveragePooling2D(2, name="halve")
    full = keras.Sequential([keras.Input((SIZE, SIZE, 3)), halved, model], name="camera")
    with TemporaryDirectory() as folder:
        shape = keras.InputSpec(shape=(1, SIZE, SIZE, 3), dtype="float32")
        full.export(folder, verbose=False, input_signature=[shape])
        converter = tf.lite.TFLiteConverter.from_saved_model(folder)
        return _converted(converter, representative)


def _converted(converter: Any, representative: NDArray[np.uint8]) -> bytes:
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    converter.representative_dataset = lambda: _samples(representative)
    converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
    converter.inference_input_type = converter.inference_output_type = tf.int8
    # tflite-runtime 2.14 doesn't know the operator version that per-channel dense layers need.
    converter._experimental_disable_per_channel_quantization_for_dense_layers = True
    return bytes(converter.convert())


def _fit(
    model: Any,
    pictures: NDArray[np.uint8],
    labels: NDArray[np.int64],
    *,
    rate: float,
    epochs: int,
    seed: int,
) -> None:
    if epochs == 0:
        return
    steps = len(labels) // _batch_size(labels)
    decay = keras.optimizers.schedules.CosineDecay(rate, epochs * steps, alpha=0.01)
    model.compile(
        keras.optimizers.Adam(decay),
        "sparse_categorical_crossentropy",
        metrics=["accuracy"],
        jit_compile=False,
    )
    model.fit(
        _dataset(pictures, labels, epochs, seed), epochs=epochs, steps_per_epoch=steps, verbose=2
    )


def _dataset(pictures: NDArray[np.uint8], labels: NDArray[np.int64], epochs: int, seed: int) -> Any:
    """The batches of all epochs. Their shapes are fixed: TensorFlow then plans the network once."""
    size = _batch_size(labels)
    shapes = (
        tf.TensorSpec((size, *pictures.shape[1:]), tf.float32),
        tf.TensorSpec((size,), tf.int64),
    )
    return tf.data.Dataset.from_generator(
        lambda: _batches(pictures, labels, size, epochs, seed), output_signature=shapes
    ).prefetch(2)


def _batch_size(labels: NDArray[np.int64]) -> int:
    return 16 if len(labels) < 1000 else 32


def _batches(
    pictures: NDArray[np.uint8], labels: NDArray[np.int64], size: int, epochs: int, seed: int
) -> Iterator[tuple[NDArray[np.float32], NDArray[np.int64]]]:
    """Shuffled, half of them mirrored: float32 RGB, 0 to 1, and the labels."""
    rng = np.random.default_rng(seed)
    for _ in range(epochs):
        order = rng.permutation(len(labels))
        for start in range(0, len(labels) - size + 1, size):
            chosen = order[start : start + size]
            mirrored = slice(None, None, -1 if rng.random() < 0.5 else 1)
            yield _normalized(pictures[chosen][:, :, mirrored]), labels[chosen]


def _resized(pictures: NDArray[np.uint8], size: int) -> NDArray[np.uint8]:
    return np.stack([cv2.resize(p, (size, size), interpolation=cv2.INTER_AREA) for p in pictures])


def _normalized(pictures: NDArray[np.uint8]) -> NDArray[np.float32]:
    return pictures.astype(np.float32) / 255


def _samples(pictures: NDArray[np.uint8]) -> Iterator[list[NDArray[np.float32]]]:
    """The pictures the value ranges are measured on; black and white fix the input's range."""
    for picture in pictures:
        sample = _normalized(picture[None])
        sample[0, 0, 0], sample[0, 0, 1] = 0, 1
        yield [sample]
