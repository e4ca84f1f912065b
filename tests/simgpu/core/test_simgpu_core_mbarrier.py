"""mbarrier: phases, counts and transactions, and a pipeline between warps that waits by parity."""

import numpy as np

from simgpu import load_module

HEAD = ".version 8.8\n.target sm_90a\n.address_size 64\n"
PIPELINE = r"""
__device__ unsigned at(const void* p) { return (unsigned)__cvta_generic_to_shared(p); }
__device__ void arrive(void* b) { asm volatile("{.reg .b64 s; mbarrier.arrive.shared.b64 s, [%0];}" :: "r"(at(b)) : "memory"); }
__device__ void wait(void* b, int parity) {
  asm volatile("{.reg .pred p; AGAIN: mbarrier.try_wait.parity.shared::cta.b64 p, [%0], %1; @p bra DONE; bra AGAIN; DONE:}"
               :: "r"(at(b)), "r"(parity) : "memory");
}
extern "C" __global__ void pipeline(const int* in, int* out, int rounds) {
  __shared__ int stage[2][32]; __shared__ unsigned long long full[2], empty[2];
  int t = threadIdx.x % 32, producer = threadIdx.x < 32;
  if (threadIdx.x == 0)
    for (int s = 0; s < 2; s++) {
      asm volatile("mbarrier.init.shared.b64 [%0], 32;" :: "r"(at(&full[s])));
      asm volatile("mbarrier.init.shared.b64 [%0], 32;" :: "r"(at(&empty[s])));
    }
  __syncthreads();
  int total = 0;
  for (int r = 0; r < rounds; r++) {
    int s = r % 2, turn = r / 2 % 2;
    if (producer) { wait(&empty[s], turn ^ 1); stage[s][t] = in[r * 32 + t]; arrive(&full[s]); }
    else { wait(&full[s], turn); total += stage[s][31 - t] * (r + 1); arrive(&empty[s]); }
  }
  if (!producer) out[t] = total;
}
"""


def test_a_pipeline_between_two_warps(card, compile_cuda):
    rounds = 37
    given = np.random.default_rng(1).integers(0, 1000, (rounds, 32)).astype(np.int32)
    out = np.zeros(32, np.int32)
    for seed in (None, 1, 2):
        target = card.put(out)
        report = card.run(
            compile_cuda(PIPELINE),
            "pipeline",
            (1,),
            (64,),
            card.put(given),
            target,
            np.int32(rounds),
            schedule_seed=seed,
        )
        assert report.ok, report.diagnostics
        expected = (given[:, ::-1] * np.arange(1, rounds + 1)[:, None]).sum(0)
        assert card.get(target, out).tolist() == expected.tolist()


STEPS = (
    ("mbarrier.arrive.shared.b64 %s, [%b];", 0),  # one of two arrivals
    ("mbarrier.arrive.shared.b64 %u, [%b];", 1),  # the phase is over
    ("mbarrier.arrive.expect_tx.shared::cta.b64 %s, [%b], 64;", 0),
    ("mbarrier.arrive.shared.b64 %u, [%b];", 0),  # 64 bytes are missing
    ("mbarrier.complete_tx.shared::cta.relaxed.cluster.b64 [%b], 48;", 0),
    ("mbarrier.complete_tx.shared::cta.relaxed.cluster.b64 [%b], 16;", 1),
    ("mbarrier.arrive_drop.shared.b64 %s, [%b];", 0),  # the next phases need one arrival only
    ("mbarrier.arrive.shared.b64 %u, [%b];", 1),
    ("mbarrier.arrive.shared.b64 %s, [%b];", 1),
    ("mbarrier.expect_tx.relaxed.cta.shared::cta.b64 [%b], 8;", 1),
)


def test_phases_counts_and_transactions(card):
    """After each step the word of the phase's first arrival tells whether that phase is over."""
    code = "".join(
        f"{step.replace('shared::cta.relaxed.cluster', 'relaxed.cta.shared::cta')} mbarrier.test_wait.shared.b64 %p, [%b], %s;"
        f" selp.u32 %r, 1, 0, %p; st.global.u32 [%q+{4 * place}], %r;"
        for place, (step, _) in enumerate(STEPS)
    )
    text = f"""{HEAD}.visible .entry k(.param .u64 p0) {{
      .shared .align 8 .b64 bar; .reg .b32 %b, %r; .reg .b64 %s, %u, %q; .reg .pred %p;
      mov.u32 %b, bar; ld.param.u64 %q, [p0]; mbarrier.init.shared.b64 [%b], 2; {code}
      mbarrier.pending_count.b64 %r, %s; st.global.u32 [%q+{4 * len(STEPS)}], %r; ret; }}"""
    out = np.zeros(len(STEPS) + 1, np.uint32)
    target = card.put(out)
    report = card.run(load_module(text), "k", (1,), (1,), target)
    assert report.ok, report.diagnostics
    assert card.get(target, out).tolist() == [*(over for _, over in STEPS), 1]


def test_a_wait_that_nobody_ends_is_a_runaway(card):
    text = f"""{HEAD}.visible .entry k() {{
      .shared .align 8 .b64 bar; .reg .b32 %b; .reg .pred %p;
      mov.u32 %b, bar; mbarrier.init.shared.b64 [%b], 2;
      AGAIN: mbarrier.try_wait.parity.shared.b64 %p, [%b], 0; @!%p bra AGAIN; ret; }}"""
    report = card.run(load_module(text), "k", (1,), (32,), instruction_budget=1_000_000)
    assert [fault.kind for fault in report.diagnostics] == ["runaway"]
