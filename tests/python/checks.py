"""Checks of the package `openai` of PyPI: each is a function, and one JSON line says how it went:
{"name", "ok", "error"?}. harness/python.mjs makes a test of each.
"""

import json
import re
import traceback

import openai

CHECKS = []


def check(function):
    CHECKS.append(function)
    return function


def refused(call, kind, status, code):
    """The error of a call: of the SDK's own class, exactly, with what its user reads from it."""
    try:
        call()
    except openai.APIStatusError as error:
        assert type(error) is kind, f"{type(error).__name__}: {error}"
        assert (error.status_code, error.code) == (status, code), error
        assert re.fullmatch("[0-9a-f]{32}", error.request_id), error.request_id
        assert error.body["request_id"] == error.request_id, error.body
        return error
    raise AssertionError("the call was not refused")


def run():
    for function in CHECKS:
        result = {"name": function.__name__.replace("_", " "), "ok": True}
        try:
            function()
        except Exception:
            result = {**result, "ok": False, "error": traceback.format_exc()}
        print(json.dumps(result), flush=True)
