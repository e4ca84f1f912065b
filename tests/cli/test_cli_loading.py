"""What a person may name as a candidate, and which language it is taken for."""

from pathlib import Path

import pytest

from cli.loading import read_candidate
from sandbox.values import Language
from tasks.errors import UserError
from tasks.values import Direction

TRITON = "import triton\n\n@triton.jit\ndef k(x):\n    pass\n\ndef forward(x):\n    return x\n"
BARE_JIT = TRITON.replace("import triton", "from triton import jit").replace("@triton.jit", "@jit")
MODEL = "from torch import nn\n\nclass ModelNew(nn.Module):\n    pass\n"


@pytest.mark.parametrize(
    ("name", "text", "language"),
    [
        ("kernel.cu", "", Language.CUDA),
        ("kernel.py", TRITON, Language.TRITON),
        ("kernel.py", BARE_JIT, Language.TRITON),
        ("kernel.py", MODEL, Language.MODELNEW),
        ("kernel.py", TRITON + MODEL, Language.MODELNEW),
    ],
)
def test_the_language_is_told_from_the_file(tmp_path: Path, name: str, text: str, language: Language):
    path = tmp_path / name
    path.write_text(text)
    for given in (None, language):
        candidate = read_candidate(str(path), Direction.BACKWARD, given)
        assert (candidate.language, candidate.entry) == (language, "backward")
        assert [(file.name, file.text) for file in candidate.files] == [(name, text)]


def test_the_language_of_a_python_file_may_be_said(tmp_path: Path):
    path = tmp_path / "both.py"
    path.write_text(TRITON + MODEL)
    assert read_candidate(str(path), Direction.FORWARD, Language.TRITON).language is Language.TRITON


@pytest.mark.parametrize(
    ("name", "text", "language", "said"),
    [
        (
            "kernel.py",
            "def forward(x):\n    return x\n",
            None,
            "defines `class ModelNew` or functions with @triton.jit",
        ),
        ("kernel.txt", "", None, "expected a .cu or .py file"),
        ("kernel.cu", "", Language.TRITON, "is written in cuda, not in triton"),
        ("kernel.py", MODEL, Language.CUDA, "is written in modelnew, not in cuda"),
    ],
)
def test_what_is_no_candidate_is_said(tmp_path: Path, name: str, text: str, language: Language | None, said: str):
    path = tmp_path / name
    path.write_text(text)
    with pytest.raises(UserError) as caught:
        read_candidate(str(path), Direction.FORWARD, language)
    assert said in str(caught.value)


def test_bytes_that_are_no_text_are_refused(tmp_path: Path):
    path = tmp_path / "kernel.cu"
    path.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(UserError, match="cannot read"):
        read_candidate(str(path), Direction.FORWARD)


@pytest.mark.parametrize("linked", ["kernel.cu", "launch.toml"])
def test_a_link_out_of_a_candidates_folder_is_not_followed(tmp_path: Path, linked: str):
    secret = tmp_path / "secret"
    secret.write_text("canary")
    folder = tmp_path / "candidate"
    folder.mkdir()
    for name in ("kernel.cu", "launch.toml"):
        (folder / name).write_text("")
    (folder / linked).unlink()
    (folder / linked).symlink_to(secret)
    with pytest.raises(UserError, match="leads out of the candidate's folder") as caught:
        read_candidate(str(folder), Direction.FORWARD)
    assert "canary" not in str(caught.value)
