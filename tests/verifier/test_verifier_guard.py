import pytest

from sandbox.values import Candidate, Language, SourceFile
from verifier.guard import Rule, inspect, rules
from verifier.values import EvidenceTier


def _candidate(text: str) -> Candidate:
    return Candidate(language=Language.CUDA, files=(SourceFile(name="kernel.cu", text=text),))


def _found(text: str) -> set[str]:
    return {evidence.rule for evidence in inspect(_candidate(text))}


@pytest.mark.parametrize("rule", rules(), ids=lambda rule: rule.id)
def test_each_rule_catches_its_example_and_lets_its_honest_twin_through(rule: Rule) -> None:
    assert rule.id in _found(rule.example)
    assert rule.id not in _found(rule.twin)


def test_rule_identifiers_are_unique() -> None:
    assert len({rule.id for rule in rules()}) == len(rules())


def test_comments_and_strings_accuse_nobody() -> None:
    text = """
    // torch::matmul(a, b) would be a library call; system("x"); two pass reduction
    /* dlopen("libcublas.so") */
    const char* note = "cublasSgemm(0)";
    __global__ void k(float* x) { x[0] = 1.0f; }
    """
    assert inspect(_candidate(text)) == ()


def test_evidence_names_file_line_and_tier() -> None:
    (evidence,) = inspect(_candidate('// one\nint forward() {\n  return ::system("id");\n}\n'))
    assert evidence.where == "kernel.cu:3"
    assert evidence.tier is EvidenceTier.HARD


def test_a_launch_specification_is_not_read_as_code() -> None:
    files = (SourceFile(name="kernel.cu", text=""), SourceFile(name="launch.toml", text='note = "system(1)"'))
    assert inspect(Candidate(language=Language.RAW, files=files)) == ()


def test_an_ordinary_extension_gives_no_evidence() -> None:
    text = """
    #include <torch/extension.h>
    #include <cuda_runtime.h>
    __global__ void scale(const float* x, float* y, int n) {
        int i = blockIdx.x * blockDim.x + threadIdx.x;
        if (i < n) y[i] = 2.0f * expf(x[i]);
    }
    torch::Tensor forward(torch::Tensor x) {
        TORCH_CHECK(x.is_contiguous(), "contiguous");
        auto y = torch::empty_like(x);
        int n = x.numel();
        scale<<<(n + 255) / 256, 256>>>(x.data_ptr<float>(), y.data_ptr<float>(), n);
        return y;
    }
    PYBIND11_MODULE(TORCH_EXTENSION_NAME, m) { m.def("forward", &forward); }
    """
    assert inspect(_candidate(text)) == ()
