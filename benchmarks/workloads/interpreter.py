"""Runs the Triton kernels in Triton's own interpreter; started by benchmarks/simgpu.py with TRITON_INTERPRET=1."""

import json
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

from inputs import FULL, TINY
from triton_kernels import launches

figures = {}
for name, launch in launches(lambda tensor: tensor, TINY if "--tiny" in sys.argv else FULL).items():
    start = time.process_time()
    launch.run()  # once: an interpreter has nothing to warm up, and takes its time
    figures[name] = 1e3 * (time.process_time() - start)
print(json.dumps(figures))
