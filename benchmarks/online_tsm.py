"""What a label after every frame costs: the online form of TSM against sliding windows.

`python benchmarks/online_tsm.py` prints a table and, as its last line, one JSON object. Both sides
have the same weights and give a label for each new frame of a stream: the online form from that
frame and the channels that it kept, the offline form from the last T frames. They take turns, on
one core, and the CPU time of a label is the median.
"""

import argparse
import json
import statistics
import time
from collections.abc import Callable

import torch

import vidrec
from vidrec.models.online_tsm import OnlineTSM
from vidrec.progress import track

SIZE = 224


def cpu_ms(call: Callable[[], object]) -> float:
    """Milliseconds of CPU time of one call."""
    begin = time.process_time()
    call()
    return 1000 * (time.process_time() - begin)


@torch.inference_mode()
def measure(model: str, num_labels: int) -> dict[str, float]:
    """Milliseconds of a label, of both forms of a network."""
    net = vidrec.build_model(vidrec.compose(f"model={model}")).eval()
    online = OnlineTSM(net)
    num_frames = online.num_frames
    stream = torch.randint(256, (1, num_labels + num_frames, SIZE, SIZE, 3), dtype=torch.uint8)
    times: dict[str, list[float]] = {"online": [], "offline": []}
    for start in track(range(num_labels), model, True):
        window = stream[:, None, start : start + num_frames]
        times["online"].append(cpu_ms(lambda w=window: online.step(w[:, 0, -1])))
        times["offline"].append(cpu_ms(lambda w=window: net({"video": w})))
    # The first labels include what torch does once.
    return {form: statistics.median(taken[2:]) for form, taken in times.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--models", nargs="+", default=["tsm_online", "tsm_online_mobilenet_v2"])
    parser.add_argument("--labels", type=int, default=20, help="labels that are measured")
    options = parser.parse_args()
    torch.set_num_threads(1)
    rows = {model: measure(model, options.labels) for model in options.models}
    print("| model | online, ms per label | sliding windows, ms per label | ratio |")
    print("|---|---|---|---|")
    for model, row in rows.items():
        ratio = row["offline"] / row["online"]
        print(f"| `{model}` | {row['online']:.1f} | {row['offline']:.1f} | {ratio:.1f} |")
    print(json.dumps(rows))


if __name__ == "__main__":
    main()
