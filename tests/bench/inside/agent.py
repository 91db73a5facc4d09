"""Runs inside a bed, as 'ours' or 'peer': a line of JSON in, one piece of work, a line of JSON out.

The order of the work is decided outside, so that several beds can take turns."""

import importlib
import json
import sys
import traceback

# What is told apart by the service, and what both have.
MODULES = {"ours": ("ours", "bare"), "peer": ("peer",)}
COMMON = ("processes", "load")


def main():
    work = {}
    for name in (*MODULES[sys.argv[1]], *COMMON):
        module = importlib.import_module(name)
        worker = module.Worker() if hasattr(module, "Worker") else module
        work.update({f"{name}.{do}": getattr(worker, do) for do in worker.WORK})
    for line in sys.stdin:
        order = json.loads(line)
        try:
            answer = {"result": work[order["do"]](*order["args"])}
        except Exception:
            answer = {"error": traceback.format_exc()}
        print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    main()
