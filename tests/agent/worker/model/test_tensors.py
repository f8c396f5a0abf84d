from __future__ import annotations

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.worker.choices import (
    ColourOrder,
    DataType,
    Normalization,
    PixelRange,
    Preprocessing,
    ResizeMode,
)
from agent.worker.model.tensors import (
    Picture,
    Preprocessor,
    TensorSpec,
    dequantize,
    pixel_table,
    resize,
    top_k,
)

EDGE_IMPULSE = TensorSpec(0, (1, 8, 8, 3), "int8", 1 / 255, -128)
MODES = ["squash", "fit-shortest", "fit-longest"]
SIDES = st.integers(1, 80)


def picture(height: int, width: int, colour: tuple[int, int, int] = (10, 20, 30)) -> Picture:
    """A picture of one colour, blue-green-red."""
    return np.full((height, width, 3), colour, np.uint8)


def test_edge_impulse_int8_is_the_pixel_minus_128() -> None:
    frame = np.random.default_rng(1).integers(0, 256, (8, 8, 3), dtype=np.uint8)
    value = Preprocessor(EDGE_IMPULSE, Preprocessing())(frame)
    assert value.dtype == np.int8
    assert np.array_equal(value[0], frame[..., ::-1].astype(np.int16) - 128)


def test_float_models_get_red_first_between_0_and_1() -> None:
    spec = TensorSpec(0, (1, 2, 2, 3), "float32")
    value = Preprocessor(spec, Preprocessing())(picture(2, 2, (0, 51, 255)))
    assert value.dtype == np.float32
    assert value.shape == (1, 2, 2, 3)
    assert np.allclose(value[0, 0, 0], [1.0, 0.2, 0.0])


def test_a_model_trained_on_blue_first_gets_blue_first() -> None:
    spec = TensorSpec(0, (1, 2, 2, 3), "uint8", 1 / 255, 0)
    value = Preprocessor(spec, Preprocessing(colour_order="bgr"))(picture(2, 2, (1, 2, 3)))
    assert value[0, 0, 0].tolist() == [1, 2, 3]


@pytest.mark.parametrize(
    ("pixel_range", "black", "white"), [("0..1", 0, 1), ("-1..1", -1, 1), ("0..255", 0, 255)]
)
def test_black_and_white_are_what_they_were_in_training(
    pixel_range: PixelRange, black: float, white: float
) -> None:
    table = pixel_table(TensorSpec(0, (1, 1, 1, 3), "float32"), pixel_range)
    assert table[0] == pytest.approx(black)
    assert table[255] == pytest.approx(white)


@given(
    st.sampled_from(["int8", "uint8"]),
    st.floats(1e-6, 100),
    st.integers(-128, 255),
    st.sampled_from(["0..1", "-1..1", "0..255"]),
)
def test_every_pixel_is_quantized_to_the_nearest_step_within_the_type(
    data_type: DataType, scale: float, zero_point: int, pixel_range: PixelRange
) -> None:
    limits = np.iinfo(data_type)
    zero_point = int(np.clip(zero_point, limits.min, limits.max))
    spec = TensorSpec(0, (1, 16, 16, 3), data_type, scale, zero_point)
    table = pixel_table(spec, pixel_range)
    assert table.dtype == np.dtype(data_type)
    assert np.all(np.diff(table.astype(int)) >= 0)
    values = pixel_table(TensorSpec(0, (), "float32"), pixel_range).astype(float)
    inside = (table > limits.min) & (table < limits.max)
    back = (table.astype(float) - zero_point) * scale
    assert np.all(np.abs(back - values)[inside] <= scale * 0.51 + 1e-4)


@given(
    st.sampled_from(["int8", "uint8", "float32"]),
    st.sampled_from([1 / 255, 1 / 127.5, 0.003, 1.0]),
    st.sampled_from([-128, 0, 5]),
    st.integers(0, 2**32 - 1),
)
def test_the_fast_path_gives_what_the_table_gives(
    data_type: DataType, scale: float, zero_point: int, seed: int
) -> None:
    if data_type == "uint8":
        zero_point += 128
    spec = TensorSpec(0, (1, 6, 5, 3), data_type, scale, zero_point)
    frame = np.random.default_rng(seed).integers(0, 256, (6, 5, 3), dtype=np.uint8)
    value = Preprocessor(spec, Preprocessing())(frame)
    assert np.array_equal(value[0], pixel_table(spec, "0..1")[frame[..., ::-1]])


@pytest.mark.parametrize("colour_order", ["rgb", "bgr"])
@pytest.mark.parametrize("data_type", ["float32", "int8", "uint8"])
def test_each_channel_is_normalized_with_its_own_numbers(
    data_type: DataType, colour_order: ColourOrder
) -> None:
    normalization = Normalization((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
    scale, zero_point = (0.0187, -14 if data_type == "int8" else 114)
    if data_type == "float32":
        scale, zero_point = 0.0, 0
    spec = TensorSpec(0, (1, 6, 5, 3), data_type, scale, zero_point)
    frame = np.random.default_rng(1).integers(0, 256, (6, 5, 3), dtype=np.uint8)
    how = Preprocessing(colour_order=colour_order, normalization=normalization)
    value = Preprocessor(spec, how)(frame)
    ordered = frame[..., ::-1] if colour_order == "rgb" else frame
    wanted = (ordered / 255 - np.array(normalization.mean)) / np.array(normalization.std)
    if data_type != "float32":
        limits = np.iinfo(data_type)
        wanted = np.clip(np.rint(wanted / scale) + zero_point, limits.min, limits.max)
    assert value.dtype == np.dtype(data_type)
    assert np.allclose(value[0], wanted, atol=1e-6)


@given(SIDES, SIDES, SIDES, SIDES, st.sampled_from(MODES))
def test_any_picture_becomes_the_wanted_size(
    height: int, width: int, wanted_height: int, wanted_width: int, mode: ResizeMode
) -> None:
    resized = resize(picture(height, width), wanted_width, wanted_height, mode)
    assert resized.shape == (wanted_height, wanted_width, 3)
    assert resized.dtype == np.uint8


def test_squash_keeps_the_whole_picture() -> None:
    wide = picture(10, 40)
    wide[:, 20:] = 200
    squashed = resize(wide, 10, 10, "squash")
    assert (squashed[0, 0, 0], squashed[0, -1, 0]) == (10, 200)


def test_fit_shortest_cuts_the_centre_out() -> None:
    wide = picture(10, 30, (0, 0, 0))
    wide[:, 10:20] = 200
    assert np.all(resize(wide, 10, 10, "fit-shortest") == 200)


def test_fit_longest_adds_black_bars_evenly() -> None:
    wide = picture(10, 40, (200, 200, 200))
    fitted = resize(wide, 20, 20, "fit-longest")
    rows = np.flatnonzero(fitted.any(axis=(1, 2)))
    assert (rows[0], rows[-1]) == (7, 11)
    assert np.all(fitted[7:12] == 200)


def test_a_fine_pattern_shrinks_to_its_average_instead_of_a_false_one() -> None:
    stripes = picture(64, 64, (0, 0, 0))
    stripes[:, ::2] = 255
    shrunk = resize(stripes, 8, 8, "squash")
    assert np.all(np.abs(shrunk.astype(int) - 127) <= 1)


@pytest.mark.parametrize("camera", [(480, 640), (1080, 1920), (1050, 1682), (601, 803)])
@pytest.mark.parametrize("side", [96, 224, 320])
def test_shrinking_in_steps_gives_what_the_mean_of_each_area_gives(
    camera: tuple[int, int], side: int
) -> None:
    height, width = camera
    dice = np.random.default_rng(1)
    scene = np.zeros((height, width, 3), np.float32)
    for detail in (4, 16, 64):  # as in a photograph, the coarse is stronger than the fine
        spots = dice.normal(0, detail, (height // detail, width // detail, 3)).astype(np.float32)
        scene += np.asarray(cv2.resize(spots, (width, height), interpolation=cv2.INTER_CUBIC))
    frame = np.asarray(cv2.normalize(scene, None, 0, 255, cv2.NORM_MINMAX), np.uint8)  # type: ignore[call-overload]  # None: no destination
    wanted = np.asarray(cv2.resize(frame, (side, side), interpolation=cv2.INTER_AREA), int)
    difference = np.abs(resize(frame, side, side, "squash").astype(int) - wanted)
    assert difference.mean() < 1


def test_scores_are_dequantized_with_the_outputs_own_scale() -> None:
    spec = TensorSpec(1, (1, 3), "int8", 1 / 256, -128)
    scores = dequantize(np.array([[-128, 0, 127]], np.int8), spec)
    assert scores.dtype == np.float32
    assert np.allclose(scores, [0.0, 0.5, 255 / 256])


@given(st.lists(st.floats(-10, 10, width=32), min_size=1, max_size=30), st.integers(1, 40))
def test_top_k_is_sorted_complete_and_prefers_the_lower_index(
    values: list[float], count: int
) -> None:
    best = top_k(np.array(values, np.float32), count)
    expected = sorted(range(len(values)), key=lambda index: (-values[index], index))[:count]
    assert [index for index, _ in best] == expected
