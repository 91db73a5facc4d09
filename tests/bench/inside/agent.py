"""Runs inside a bed, as 'ours' or 'peer': a line of JSON in, one piece of work, a line of JSON out.

The order of the work is decided outside, so that several beds can take turns."""

import importlib
import json
import sys
import traceback

# The service's own, and what is beside it in the same bed.
MODULES = {"ours": ("bare", "soak", "chaos"), "peer": ()}
COMMON = ("processes", "load", "wire")


def workers(role):
    """By name: objects and modules with WORK in them."""
    service = importlib.import_module(role).Worker()
    yield role, service
    for name in (*MODULES[role], *COMMON):
        module = importlib.import_module(name)
        yield name, module.Worker(service) if hasattr(module, "Worker") else module


def main():
    work = {f"{name}.{do}": getattr(worker, do) for name, worker in workers(sys.argv[1]) for do in worker.WORK}
    for line in sys.stdin:
        order = json.loads(line)
        try:
            answer = {"result": work[order["do"]](*order["args"])}
        except Exception:
            answer = {"error": traceback.format_exc()}
        print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    main()
