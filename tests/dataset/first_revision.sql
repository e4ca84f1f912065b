INSERT INTO tasks (hash, slug, title, direction, origin, licence, value)
VALUES ('0358c064840b9f4c367b870f4193c312a8513039039f487a81b3fd1a4e74c2c7', 'relu', 'Rectifier', 'forward', 'user', 'MIT', '{"slug": "relu", "title": "Rectifier", "source": "import torch\n\nrows = 8\n\ndef f(x):\n    return torch.relu(x)\n\ndef get_inputs():\n    return [torch.rand(rows)]\n", "form": "function", "entry": "f", "direction": "forward", "axes": [{"name": "zebra", "default": 3, "low": 1, "high": null}, {"name": "rows", "default": 8, "low": 1, "high": null}], "workloads": [{"name": "public-0", "axes": {"zebra": 3, "rows": 8}, "inputs": [{"name": "x", "shape": [8], "dtype": "float32", "domain": {"kind": "real", "high": null}, "role": "input"}], "visibility": "public", "purpose": "verify", "weight": 1.0, "source": ""}], "saved": [], "gradients": [], "tolerance": null, "provenance": {"origin": "user", "licence": "MIT"}}');
INSERT INTO candidates (hash, language, value)
VALUES ('bf7ec8dc2a015acfe0346e0dfc3ec34b09611bbd356afb196fb7675bc9f5702b', 'cuda', '{"language": "cuda", "files": [{"name": "kernel.cu", "text": "// relu"}], "entry": "forward"}');
INSERT INTO runs (id, task_hash, device, model, state, message, created_at, finished_at, best_attempt, settings)
VALUES ('first', '0358c064840b9f4c367b870f4193c312a8513039039f487a81b3fd1a4e74c2c7', 'sim:h100', 'offline', 'finished', '', '2026-11-25 20:05:27.099426', '2026-11-25 20:05:27.132721', 1, '{"device": "sim:h100", "model": "offline", "samples": 4, "repairs": 2, "generations": 3, "population": 4, "seed": 1, "budget_usd": null, "budget_tokens": null, "max_seconds": null}');
INSERT INTO attempts (run_id, number, generation, operator, candidate_hash, problem, created_at)
VALUES ('first', 0, 0, 'translate', NULL, 'no code block', '2026-11-25 20:05:27.108033');
INSERT INTO attempts (run_id, number, generation, operator, candidate_hash, problem, created_at)
VALUES ('first', 1, 0, 'repair', 'bf7ec8dc2a015acfe0346e0dfc3ec34b09611bbd356afb196fb7675bc9f5702b', '', '2026-11-25 20:05:27.119180');
INSERT INTO attempt_parents (run_id, number, position, parent)
VALUES ('first', 1, 0, 0);
INSERT INTO traces (run_id, number, kind, model, input_tokens, output_tokens, reasoning_tokens, cost_usd, value)
VALUES ('first', 0, 'offline', 'offline', 7, 0, 0, 0.125, '{"kind": "offline", "model": "offline", "messages": [{"role": "assistant", "content": "a schedule"}], "reasoning": "", "input_tokens": 7, "output_tokens": 0, "reasoning_tokens": 0, "cost_usd": 0.125, "finish_reason": "", "seconds": 0.0}');
INSERT INTO traces (run_id, number, kind, model, input_tokens, output_tokens, reasoning_tokens, cost_usd, value)
VALUES ('first', 1, 'offline', 'offline', 7, 0, 0, 0.125, '{"kind": "offline", "model": "offline", "messages": [{"role": "assistant", "content": "a schedule"}], "reasoning": "", "input_tokens": 7, "output_tokens": 0, "reasoning_tokens": 0, "cost_usd": 0.125, "finish_reason": "", "seconds": 0.0}');
INSERT INTO verdicts (run_id, number, status, device, value)
VALUES ('first', 1, 'passed', 'sim:h100', '{"status": "passed", "task_hash": "0358c064840b9f4c367b870f4193c312a8513039039f487a81b3fd1a4e74c2c7", "candidate_hash": "bf7ec8dc2a015acfe0346e0dfc3ec34b09611bbd356afb196fb7675bc9f5702b", "device": "sim:h100", "seed": 9223372036854775813, "checks": [{"name": "build", "workload": null, "passed": true, "status": null, "detail": "", "public": true}], "evidence": [], "diagnostics": [], "seconds": {"build": 1.5}, "isolation": "process"}');
INSERT INTO measurements (run_id, number, basis, device, speedup, value)
VALUES ('first', 1, 'modelled', 'sim:h100', 2.5, '{"basis": "modelled", "device": "sim:h100", "fingerprint": "model 1", "candidate_hash": "bf7ec8dc2a015acfe0346e0dfc3ec34b09611bbd356afb196fb7675bc9f5702b", "timings": [{"workload": "bench-0", "samples_us": [0.30000000000000004], "median_us": 0.30000000000000004, "baseline_us": 0.75, "floor_us": 0.2, "speedup": 2.5, "roofline_fraction": 0.6666666666666666, "launches": []}], "speedup": 2.5, "speedup_interval": null, "baseline": "eager"}');
INSERT INTO events (run_id, sequence, kind, text, attempt, created_at)
VALUES ('first', 1, 'best', '2.5x', NULL, '2026-11-25 20:05:27.130480')
