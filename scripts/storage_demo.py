"""Compares a sweep on S3-like storage, killed and continued on another machine, with a local one.

A server of moto has the storage. Two cache folders stand for two machines. The first one loses all
processes of a sweep of four short runs to SIGKILL, while a run trains, and its cache folder too.
The second one waits until the leases have ended, and finishes the sweep. In the end all reports and
tables must equal those of the local sweep, to the last digit, and the second machine must have
taken up the run that was interrupted. Run by ``scripts/storage_demo``.
"""

import argparse
import os
import shutil
import signal
import subprocess
import time
from pathlib import Path

import fsspec
from demo_sweep import command, same_results, write_sweep
from moto.server import ThreadedMotoServer

URL = "s3://bucket/sweep"
ONE = ("workers=1", "threads=1")


def machine(cache: Path) -> dict[str, str]:
    """The environment of a machine."""
    return {**os.environ, "DEBIAS_CACHE": str(cache.resolve())}


def sent(storage: fsspec.AbstractFileSystem, pattern: str) -> int:
    storage.invalidate_cache()
    return len(storage.glob(f"bucket/sweep/*/{pattern}"))


def kill_while_training(storage: fsspec.AbstractFileSystem, file: Path, cache: Path) -> None:
    """Kill all processes of the sweep when the second run has sent a checkpoint."""
    sweep = subprocess.Popen(command(file, URL, *ONE), env=machine(cache), start_new_session=True)
    while not (sent(storage, "checkpoints/last.ckpt") == 2 and sent(storage, "report.json") == 1):
        if sweep.poll() is not None:
            raise SystemExit("the sweep ended before the kill: give more --epochs")
        time.sleep(0.1)
    os.killpg(sweep.pid, signal.SIGKILL)
    sweep.wait()


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--epochs", type=int, default=12, help="enough for the kill")
    out = Path("runs/storage_demo")
    parser.add_argument("--out", type=Path, default=out, help="folder; emptied first")
    arguments = parser.parse_args()
    out = arguments.out
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    address = "http://{}:{}".format(*server.get_host_and_port())
    keys = {"AWS_ACCESS_KEY_ID": "key", "AWS_SECRET_ACCESS_KEY": "secret"}
    os.environ.update(keys, AWS_ENDPOINT_URL=address, AWS_DEFAULT_REGION="us-east-1")
    storage = fsspec.filesystem("s3")
    storage.mkdir("bucket")
    file = write_sweep(out, [0], arguments.epochs)
    kill_while_training(storage, file, out / "one")
    print("== killed; the disk of the machine is lost", flush=True)
    shutil.rmtree(out / "one")
    subprocess.run(command(file, URL, *ONE), env=machine(out / "two"), check=True)
    copy = out / "two/storage/s3/bucket/sweep"
    resumed = [path.stem for path in copy.glob("logs/*.log") if "(resumed)" in path.read_text()]
    print("== local", flush=True)
    subprocess.run(command(file, out / "local", *ONE), check=True)
    same = same_results(copy, out / "local") and len(resumed) == 1
    print(f"4 runs, a machine lost, {len(resumed)} resumed: {'the same' if same else 'DIFFERENT'}")
    server.stop()
    raise SystemExit(not same)


if __name__ == "__main__":
    main()
