"""Runs inside a bed: a line of JSON in, one piece of work, a line of JSON out.

The order of the work is decided outside, so that several beds can take turns."""

import json
import sys
import traceback

import bare
import memory
import ours


def main():
    work = {}
    for module in (ours.Ours(), bare.Bare(), memory):
        name = getattr(module, "__name__", type(module).__name__.lower())
        work.update({f"{name}.{do}": getattr(module, do) for do in module.WORK})
    for line in sys.stdin:
        order = json.loads(line)
        try:
            answer = {"result": work[order["do"]](*order["args"])}
        except Exception:
            answer = {"error": traceback.format_exc()}
        print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    main()
