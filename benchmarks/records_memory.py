"""Private memory of a data-loading worker that has read every one of 10 M records.

    python benchmarks/records_memory.py [--samples 10000000] [--workers 2]

Each worker is forked by a DataLoader, reads all records one by one, and then reports its unique set
size (the private pages of /proc/self/smaps_rollup, Linux only). The result is the largest
difference from workers of an empty table; the exit status is 1 if it is above 50 MiB.
"""

import argparse
import json
import sys
import time
from collections.abc import Iterator

from torch.utils.data import DataLoader, IterableDataset

from vidrec.data.clips.records import Records

BAR_MIB = 50.0


class FullPass(IterableDataset):
    """Reads all records in every worker, then gives the worker's private memory in MiB."""

    def __init__(self, records: Records) -> None:
        self.records = records

    def __iter__(self) -> Iterator[float]:
        for index in range(len(self.records)):
            self.records[index]
        yield private_mib()


def private_mib() -> float:
    with open("/proc/self/smaps_rollup") as file:
        lines = [line.split() for line in file if line.startswith("Private_")]
    return sum(int(kib) for _, kib, _ in lines) / 1024


def pack(num_samples: int) -> Records:
    """Records with paths as long as those of Kinetics, all columns filled."""
    paths = (f"class_{i % 700:03d}/video_{i:08d}_000010_000020.mp4" for i in range(num_samples))
    labels = (i % 700 for i in range(num_samples))
    return Records.pack(paths, labels, [300] * num_samples, [0] * num_samples)


def worker_mib(records: Records, num_workers: int) -> float:
    loader = DataLoader(
        FullPass(records), batch_size=None, num_workers=num_workers, multiprocessing_context="fork"
    )
    return max(loader)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--samples", type=int, default=10_000_000)
    parser.add_argument("--workers", type=int, default=2)
    options = parser.parse_args()
    empty = worker_mib(Records.pack([], []), options.workers)
    start = time.perf_counter()
    records = pack(options.samples)
    packing = time.perf_counter() - start
    columns = [column for column in vars(records).values() if column is not None]
    table = sum(column.nbytes for column in columns) / 2**20
    start = time.perf_counter()
    full = worker_mib(records, options.workers)
    reading = time.perf_counter() - start
    print(f"{options.samples} records packed in {packing:.1f} s into {table:.0f} MiB, shared")
    print(f"{options.workers} workers read all of them in {reading:.1f} s")
    print(f"private memory of a worker: {full:.1f} MiB, with an empty table {empty:.1f} MiB")
    print(f"difference: {full - empty:.1f} MiB (bar {BAR_MIB:.0f})")
    figures = {"worker_mib": full, "empty_mib": empty, "difference_mib": full - empty}
    print(json.dumps({name: round(value, 2) for name, value in figures.items()}))
    sys.exit(full - empty > BAR_MIB)


if __name__ == "__main__":
    main()
