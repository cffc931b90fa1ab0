#!/usr/bin/env python3
"""Compares the public headers with <tstreams/async.hpp>: every call that blocks has a twin for each of its overloads.

A new call must be in one of the two: it has a twin, or it is listed here as one that does not block.
"""
import re
import sys
from pathlib import Path

HEADERS = Path(__file__).resolve().parents[2] / "include" / "tstreams"
# What touches nothing but memory, or takes only a short lock.
NOT_BLOCKING = {
    "client": "client make_checkpoint_group uri",
    "producer": "producer send_and_forget forgotten_losses open_transactions source_position set_source_position "
                "stream name",
    "transaction": "transaction is_open id partition items bytes expires",
    "consumer": "consumer positions position stream name partitions",
    "subscriber": "subscriber running positions stream name",
    "watcher": "watcher running stream",
    "checkpoint_group": "checkpoint_group add remove contains clear size last_request next_request",
    "received_transaction": "received_transaction end id partition opened_at expires size bytes state skipped",
}
# Overloads that one twin serves, and what has a twin under another name.
OVERLOADS = {("producer", "send"): 2, ("producer", "send_for_key"): 1, ("transaction", "put"): 1,
             ("consumer", "set_position"): 1}
OTHER_NAME = {("received_transaction", "begin"): ("item_reader", "next_items")}
# Not looked at: delivery belongs to a callback, which may block and is over before another call would be.


def public_calls(text, name):
    """The names of the public functions that are declared in a class, once per overload."""
    body = re.search(r"\nclass " + name + r"\b[^;{]*\{(.*?)\n\};", text, re.DOTALL).group(1)
    body = body.split("\nprivate:")[0]
    body = re.sub(r"//[^\n]*|= \{\}", "", body)
    while "{" in body:  # bodies and nested classes, from the inside out
        body = re.sub(r"\{[^{}]*\}", ";", body)
    return [found.group(1) for found in re.finditer(r"[\s*&]~?(\w+)\([^;]*?\)[^;()]*(?=;)", body)
            if found.group(1) != "operator"]


def main():
    twins = re.findall(r"\nauto async_(\w+)\((\w+)(?:::\w+)?&? ", (HEADERS / "async.hpp").read_text())
    findings, seen, looked_at = [], 0, set()
    for header in sorted(HEADERS.glob("*.hpp")):
        text = re.sub(r"template <[^\n]*>\n", "", header.read_text())
        for name in re.findall(r"\nclass (\w+) (?:final )?\{", text):
            if name not in NOT_BLOCKING:
                continue
            looked_at.add(name)
            calls = public_calls(text, name)
            quiet = NOT_BLOCKING[name].split()
            seen += len(calls)
            for missing in set(quiet) - set(calls):
                findings.append(f"{header.name}: {name}::{missing} is listed here and not declared there")
            for call in sorted(set(calls) - set(quiet)):
                owner, twin = OTHER_NAME.get((name, call), ("std" if call == "open" else name, call))
                wanted = OVERLOADS.get((name, call), 1 if (name, call) in OTHER_NAME else calls.count(call))
                found = twins.count((twin, owner))
                if found < wanted:
                    findings.append(f"{header.name}: {name}::{call} has {found} of {wanted} twins in async.hpp")
    findings += [f"the class {name} was not found" for name in set(NOT_BLOCKING) - looked_at]
    if ("verify", "std") not in twins:
        findings.append("verify.hpp: verify has no twin")
    print("\n".join(findings) or f"{seen} calls, each with its twins")
    return 1 if findings or seen < 60 else 0


if __name__ == "__main__":
    sys.exit(main())
