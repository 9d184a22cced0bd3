"""The package `openai` of PyPI through the gateway to an upstream that is not ours: run by aimock.test.mjs, which
says what aimock answers. Reads from the environment where the gateway is, and the keys of its callers.
"""

import concurrent.futures
import json
import os

import openai
from checks import check, refused, run

URL = os.environ["GATEWAY_URL"]
WIDE, NARROW, BURST = (os.environ[name] for name in ("WIDE_KEY", "NARROW_KEY", "BURST_KEY"))
HELLO = "Hi there! This is aimock, which plays a provider."
TOOLS = [{
    "type": "function",
    "function": {"name": "get_weather", "parameters": {"type": "object", "properties": {"city": {"type": "string"}}}},
}]


def client(key=WIDE):
    return openai.OpenAI(api_key=key, base_url=URL + "/v1", max_retries=0)


def ask(content="hello", model="alias", **more):
    return {"model": model, "messages": [{"role": "user", "content": content}], **more}


@check
def a_chat_call():
    answer = client().chat.completions.create(**ask())
    assert answer.choices[0].message.content == HELLO, answer
    assert answer.choices[0].finish_reason == "stop" and answer.usage.total_tokens > 0, answer


@check
def a_streamed_call():
    for options in ({}, {"stream_options": {"include_usage": True}}):
        chunks = list(client().chat.completions.create(**ask(), stream=True, **options))
        text = "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)
        assert text == HELLO, text
        assert any(chunk.usage for chunk in chunks) == bool(options), chunks[-1]


@check
def a_tool_call_and_the_answer_after_its_result():
    message = client().chat.completions.create(**ask("weather", tools=TOOLS)).choices[0].message
    (call,) = message.tool_calls
    assert call.function.name == "get_weather" and json.loads(call.function.arguments) == {"city": "Paris"}, call
    result = {"role": "tool", "tool_call_id": call.id, "content": "sunny"}
    messages = [{"role": "user", "content": "weather"}, message, result]
    answer = client().chat.completions.create(**{**ask(tools=TOOLS), "messages": messages})
    assert answer.choices[0].message.content == "It is sunny in Paris.", answer


@check
def a_streamed_tool_call():
    with client().chat.completions.stream(**ask("weather", tools=TOOLS)) as stream:
        (call,) = stream.get_final_completion().choices[0].message.tool_calls
    assert call.function.name == "get_weather" and json.loads(call.function.arguments) == {"city": "Paris"}, call


@check
def error_401():
    call = lambda: client("tpk_unknown_key").chat.completions.create(**ask())
    refused(call, openai.AuthenticationError, 401, "credential_invalid")


@check
def error_403():
    call = lambda: client(NARROW).chat.completions.create(**ask())
    refused(call, openai.PermissionDeniedError, 403, "model_not_allowed")


@check
def error_404():
    call = lambda: client().chat.completions.create(**ask(model="gpt-4o-mini"))
    refused(call, openai.NotFoundError, 404, "model_not_found")


@check
def error_429():
    with concurrent.futures.ThreadPoolExecutor(40) as pool:
        calls = [pool.submit(client(BURST).chat.completions.create, **ask()) for _ in range(40)]
    failed = [call for call in calls if call.exception() is not None]
    assert failed, "40 calls at once are more than 5 a second"
    for call in failed:
        refused(call.result, openai.RateLimitError, 429, "rate_limited")


@check
def a_stream_that_is_cut():
    stream = client().chat.completions.create(**ask("cut", stream=True))
    text = ""
    try:
        for chunk in stream:
            text += (chunk.choices[0].delta.content or "") if chunk.choices else ""
    except openai.APIError as error:
        assert error.code == "stream_cut" and text, (error, text)
        return
    raise AssertionError(f"it looked whole: {text}")


run()
