"""The package `openai` of PyPI, pointed at the gateway: run by sdk-openai-python.test.mjs.

Reads from the environment where the gateways are and the tokens of the two consumers. HELD is a gateway whose
clock is held by GET /__clock?ms=N; where there is none, what needs it is not checked.
"""

import concurrent.futures
import json
import os
import re
import time
import urllib.request

import openai
from checks import check, refused, run

PLAIN, HELD = os.environ["PLAIN_URL"], os.environ.get("HELD_URL")
DEMO, TRIAL = os.environ["DEMO_TOKEN"], os.environ["TRIAL_TOKEN"]
WEATHER = [{
    "type": "function",
    "function": {
        "name": "get_weather",
        "description": "The weather in a city.",
        "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
    },
}]


def held(function):
    return function if HELD is None else check(function)


def client(token=DEMO, url=PLAIN, retries=0, **more):
    return openai.OpenAI(api_key=token, base_url=url + "/v1", max_retries=retries, **more)


def ask(content="Hello", model="fast", **more):
    return {"model": model, "messages": [{"role": "user", "content": content}], **more}


def clock(ms=None):
    urllib.request.urlopen(HELD + "/__clock" + ("" if ms is None else f"?ms={ms}")).close()


def now():
    return int(time.time() * 1000)


@check
def a_chat_call():
    answer = client().chat.completions.create(**ask())
    assert answer.object == "chat.completion" and answer.model == "fast", answer
    assert answer.choices[0].message.content == "Hello from fast! You said: Hello", answer
    assert answer.choices[0].finish_reason == "stop"
    assert (answer.usage.prompt_tokens, answer.usage.completion_tokens) == (12, 10)
    assert re.fullmatch("[0-9a-f]{32}", answer._request_id)


@check
def a_streamed_call_without_usage():
    text = ""
    for chunk in client().chat.completions.create(**ask(), stream=True):
        assert chunk.usage is None and len(chunk.choices) == 1, chunk
        text += chunk.choices[0].delta.content or ""
    assert text == "Hello from fast! You said: Hello", text
    assert chunk.choices[0].finish_reason == "stop"


@check
def a_streamed_call_with_usage():
    chunks = list(client().chat.completions.create(**ask(), stream=True, stream_options={"include_usage": True}))
    assert chunks[-1].choices == [] and chunks[-1].usage.total_tokens == 22, chunks[-1]
    assert all(chunk.usage is None for chunk in chunks[:-1])


@check
def a_tool_call():
    answer = client().chat.completions.create(**ask("weather?", tools=WEATHER))
    assert answer.choices[0].finish_reason == "tool_calls"
    (call,) = answer.choices[0].message.tool_calls
    assert call.function.name == "get_weather" and json.loads(call.function.arguments) == {"city": "Paris"}


@check
def a_streamed_tool_call():
    with client().chat.completions.stream(**ask("weather?", tools=WEATHER)) as stream:
        completion = stream.get_final_completion()
    (call,) = completion.choices[0].message.tool_calls
    assert call.function.name == "get_weather" and json.loads(call.function.arguments) == {"city": "Paris"}
    assert completion.choices[0].finish_reason == "tool_calls"


@check
def the_models_of_a_consumer():
    assert sorted(model.id for model in client().models.list()) == ["fast", "smart"]
    assert [model.id for model in client(TRIAL).models.list()] == ["fast"]
    assert client().models.retrieve("smart").owned_by == "team-ai"


@check
def an_asynchronous_call():
    import asyncio

    async def call():
        async with openai.AsyncOpenAI(api_key=DEMO, base_url=PLAIN + "/v1", max_retries=0) as asynchronous:
            stream = await asynchronous.chat.completions.create(**ask(), stream=True)
            return "".join([chunk.choices[0].delta.content or "" async for chunk in stream])

    assert asyncio.run(call()) == "Hello from fast! You said: Hello"


@check
def error_401():
    for wrong in ("garbage", "tpk_nobody_knows", DEMO[:-6] + "AAAAAA"):
        call = lambda: client(wrong).chat.completions.create(**ask())
        error = refused(call, openai.AuthenticationError, 401, "credential_invalid")
        assert wrong not in str(error)
    nobody = {"Authorization": openai.Omit()}
    call = lambda: client().chat.completions.create(**ask(), extra_headers=nobody)
    refused(call, openai.AuthenticationError, 401, "credential_missing")
    call = lambda: client("garbage").chat.completions.create(**ask(), stream=True)
    refused(call, openai.AuthenticationError, 401, "credential_invalid")


@held
def error_401_when_the_token_has_expired():
    clock(now() + 2 * 60 * 60 * 1000)
    call = lambda: client(url=HELD).chat.completions.create(**ask())
    refused(call, openai.AuthenticationError, 401, "credential_expired")
    clock()


@check
def error_403():
    for stream in (False, True):
        call = lambda: client(TRIAL).chat.completions.create(**ask(model="smart"), stream=stream)
        error = refused(call, openai.PermissionDeniedError, 403, "model_not_allowed")
        assert error.param == "model" and error.type == "permission_error"


@check
def error_404():
    call = lambda: client().chat.completions.create(**ask(model="no-such-model"))
    refused(call, openai.NotFoundError, 404, "model_not_found")
    call = lambda: client().embeddings.create(model="fast", input="x")
    refused(call, openai.NotFoundError, 404, "not_found")


@check
def error_400():
    call = lambda: client().post("/chat/completions", body={"messages": []}, cast_to=object)
    refused(call, openai.BadRequestError, 400, "invalid_request")


@held
def error_429():
    clock(now())
    trial = client(TRIAL, HELD)
    for _ in range(5):
        trial.chat.completions.create(**ask())
    error = refused(lambda: trial.chat.completions.create(**ask()), openai.RateLimitError, 429, "rate_limited")
    headers = error.response.headers
    assert headers["retry-after"] == "1" and headers["retry-after-ms"] == "200", headers
    assert headers["x-should-retry"] == "true", headers
    assert ";r=0;t=1" in headers["ratelimit"] and ";q=5;w=1" in headers["ratelimit-policy"], headers
    clock()


@check
def error_429_as_time_goes_by():
    trial = client(TRIAL)
    with concurrent.futures.ThreadPoolExecutor(30) as pool:
        calls = [pool.submit(trial.chat.completions.create, **ask()) for _ in range(30)]
    failed = [call for call in calls if call.exception() is not None]
    assert failed, "five at once, and five a second"
    for call in failed:
        error = refused(call.result, openai.RateLimitError, 429, "rate_limited")
        assert int(error.response.headers["retry-after"]) >= 1, error.response.headers


@held
def the_sdk_tries_again():
    start = now() + 60_000
    clock(start)
    statuses = []

    def seen(response):
        statuses.append(response.status_code)
        if response.status_code == 429:
            clock(start + 200)

    http = openai.DefaultHttpxClient(event_hooks={"response": [seen]})
    patient = client(TRIAL, HELD, retries=3, http_client=http)
    for _ in range(6):
        patient.chat.completions.create(**ask())
    assert statuses == [200, 200, 200, 200, 200, 429, 200], statuses
    clock()


run()
