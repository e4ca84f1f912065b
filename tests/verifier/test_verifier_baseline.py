import pytest

from simgpu.cost import DRAM_CEILING
from simgpu.specs import device_spec
from tasks.values import DType, EagerOp
from verifier.baseline import eager_us, efficiencies, efficiency_of, peak_flops, result_bytes

H100 = device_spec("h100")
MIB = 1 << 20


def _op(name: str, read: int = 0, written: int = 0, flops: int = 0, shapes=()) -> EagerOp:
    return EagerOp(name=name, shapes=shapes, bytes_read=read, bytes_written=written, flops=flops)


def test_every_kind_states_its_source_and_none_beats_the_candidates_ceiling():
    kinds = efficiencies()
    assert sum(kind.default for kind in kinds.values()) == 1
    assert all(kind.bandwidth <= DRAM_CEILING for kind in kinds.values())
    listed = [op for kind in kinds.values() for op in kind.ops]
    assert len(listed) == len(set(listed))


def test_an_operator_costs_its_launch_and_the_larger_of_memory_and_compute():
    assert eager_us(H100, [_op("aten::relu")], DType.FLOAT32) == H100.launch_overhead_us
    streamed = eager_us(H100, [_op("aten::relu", 512 * MIB, 512 * MIB)], DType.FLOAT32)
    assert streamed == pytest.approx(H100.launch_overhead_us + 1024 * MIB / (3350e9 * 0.88) * 1e6)
    product = eager_us(H100, [_op("aten::mm", MIB, MIB, 2 * 4096**3)], DType.FLOAT32)
    assert product == pytest.approx(H100.launch_overhead_us + 2 * 4096**3 / (66.9e12 * 0.77) * 1e6, rel=1e-3)
    # PyTorch lets cuDNN use TF32 by default, and cuBLAS not.
    convolution = eager_us(H100, [_op("aten::convolution", MIB, MIB, 2 * 4096**3)], DType.FLOAT32)
    assert convolution == pytest.approx(H100.launch_overhead_us + 2 * 4096**3 / (494.7e12 * 0.3) * 1e6, rel=1e-3)


def test_what_was_just_written_comes_from_l2_while_it_fits():
    small = [_op("aten::mul", 16 * MIB, 16 * MIB), _op("aten::add", 16 * MIB, 16 * MIB)]
    large = [_op("aten::mul", 512 * MIB, 512 * MIB), _op("aten::add", 512 * MIB, 512 * MIB)]
    assert eager_us(H100, small, DType.FLOAT32) < 2 * eager_us(H100, small[:1], DType.FLOAT32)
    assert eager_us(H100, large, DType.FLOAT32) == pytest.approx(2 * eager_us(H100, large[:1], DType.FLOAT32))


def test_an_unlisted_operator_counts_as_the_fastest_kind():
    assert efficiency_of("aten::something_new") is efficiencies()["pointwise"]
    assert efficiency_of("aten::_softmax") is efficiencies()["softmax"]


def test_16_bit_products_use_tensor_cores_and_float32_no_tf32():
    assert peak_flops(H100, DType.FLOAT16) == pytest.approx(989.4e12)
    assert peak_flops(H100, DType.FLOAT32) == pytest.approx(66.9e12, rel=1e-3)


def test_results_are_what_the_last_operator_writes_without_statistics():
    assert result_bytes([], DType.FLOAT32) == 0
    assert result_bytes([_op("aten::relu", 64, 64)], DType.FLOAT32) == 64
    norm = _op("aten::native_layer_norm", 64, 64 + 8, shapes=((2, 8), (8,), (8,)))
    assert result_bytes([norm], DType.FLOAT32) == 64
