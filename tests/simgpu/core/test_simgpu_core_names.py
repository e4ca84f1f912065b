"""Mangled names are written as in the source, whatever text they stand in."""

import pytest

from simgpu.names import readable


@pytest.mark.parametrize(
    ("mangled", "name"),
    [
        ("_Z5plainPfi", "plain"),
        ("_Z2gtILb1EEvi", "gt<true>"),
        ("_ZN1a1kIfLi1EEEvPKT_PFviE", "a::k<float, 1>"),
        ("_ZN1a3runIZ3usevEUliE_EEvT_", "a::run<use()::{lambda(int)#1}>"),
        ("_ZN40_GLOBAL__N__aa022303_8_names_cu_4d11ce8d6hiddenEi", "(anonymous namespace)::hidden"),
        ("fused_kernel", "fused_kernel"),
        ("_Zbad", "_Zbad"),
        ("3: _Z5plainPfi, _Z2gtILb1EEvi", "3: plain, gt<true>"),
    ],
)
def test_a_name_is_as_its_author_wrote_it(mangled, name):
    assert readable(mangled) == name
