"""An OpenAI-style server of the standard library that fails as it was told to, and keeps count.

A prompt that holds ``[fail: 429 cut slow]`` is failed in these ways, one after another, for every
sample of it, before it is answered.
"""

import hashlib
import json
import re
import threading
import time
from collections import Counter
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

FAULTS = (
    "429", "500", "503", "cut", "early", "slow", "html", "half", "empty", "null", "many", "error",
    "busy",
)  # fmt: skip
"""A status, a broken reply, or one that says with status 200 that something is wrong."""
SAID = {
    "declined": (200, {"choices": [{"finish_reason": "stop", "message": {
        "content": None, "refusal": "I cannot help with that"}}]}),
    "declined in parts": (200, {"choices": [{"finish_reason": "stop", "message": {
        "content": [{"type": "refusal", "refusal": "I cannot help with that"}]}}]}),
    "declined without content": (200, {"choices": [{"finish_reason": "refusal", "message": {
        "refusal": "I cannot help with that"}}]}),
    "withheld": (400, {"error": {"code": "content_filter", "message": "triggered our\npolicy"}}),
    "withheld answer": (200, {"choices": [{"finish_reason": "content_filter", "message": {
        "content": None}, "content_filter_results": {
            "hate": {"filtered": True}, "violence": {"filtered": False}}}]}),
    "wrapped": (200, {"choices": [{"error": {"code": 400, "message": "provider says no"}}]}),
    "detail": (422, {"detail": [{"loc": ["body", "messages"], "msg": "too many"}]}),
    "object": (200, {"object": "error", "message": "no such thing", "code": 400}),
    "status alone": (413, None),
}  # fmt: skip
"""What the server says, with its status, to a prompt that holds the word in brackets."""
HABITS = ("parts", "reasoning parts", "image parts", "no finish", "their own finish", "no seed",
          "no zero", "reasoning field", "calls")  # fmt: skip
"""What servers do that OpenAI's own does not."""


def reply_to(text, seed):
    return f"reply to {text} by {hashlib.sha256(f'{text}{seed}'.encode()).hexdigest()[:6]}"


class Planted:
    """What the server is to be like, and what it saw."""

    def __init__(self, *, log_probabilities=True, limit="max_tokens", usage=True, slow=0.6, key="",
                 longest=1 << 30, answer=reply_to, wait="0", letters=None,
                 habit=""):  # fmt: skip
        self.log_probabilities, self.limit, self.usage = log_probabilities, limit, usage
        self.slow, self.key, self.longest, self.answer, self.wait = slow, key, longest, answer, wait
        self.habit = habit
        self.letters = letters  # from a text to the alternatives of every token of the answer
        self.lock = threading.Lock()
        self.received, self.answered = Counter(), Counter()
        self.bodies, self.billed, self.running, self.most_running = [], 0, 0, 0

    @property
    def requests(self):
        return sum(self.received.values())


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def send(self, status, data, content=None, length=None, **headers):
        body = (b"" if data is None else json.dumps(data).encode()) if content is None else content
        self.send_response(status)
        self.send_header("Content-Length", str(len(body) if length is None else length))
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        self.wfile.write(body)

    def do_GET(self):
        self.send(200, {"data": [{"id": "planted"}]})

    def do_POST(self):
        plan = self.server.plan
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        chat = self.path == "/v1/chat/completions"
        text = body["messages"][-1]["content"] if chat else body["prompt"]
        key = (text, body.get("seed"))
        with plan.lock:
            attempt = plan.received[key]
            plan.received[key] += 1
            plan.bodies.append(body)
            plan.running += 1
            plan.most_running = max(plan.most_running, plan.running)
        self.left = False
        try:
            self.reply(plan, body, chat, text, key, attempt)
        except (BrokenPipeError, ConnectionResetError):
            pass
        finally:
            with plan.lock:
                plan.running -= not self.left

    def reply(self, plan, body, chat, text, key, attempt):
        if plan.key and self.headers["Authorization"] != f"Bearer {plan.key}":
            return self.send(401, {"error": {"message": "no such key"}})
        if plan.limit not in body:
            return self.send(400, {"error": {"message": f"use {plan.limit} instead"}})
        if "logprobs" in body and not plan.log_probabilities:
            return self.send(400, {"error": {"message": "logprobs is not supported here"}})
        if plan.habit == "no seed" and "seed" in body:
            return self.send(422, {"detail": "seed: extra fields not permitted"})
        if plan.habit == "no zero" and not body["temperature"]:
            return self.send(400, {"message": "`temperature` must be strictly positive"})
        for word, (status, content) in SAID.items():
            if f"[{word}]" in text:
                return self.send(status, content)
        if "[never]" in text:
            return self.send(500, {"error": "this prompt crashes the model"})
        if len(text) > plan.longest:
            return self.send(400, {"error": {"message": "longer than\nthe context"}})
        planted = re.search(r"\[fail: ([^\]]*)\]", text)
        faults = planted[1].split() if planted else []
        fault = faults[attempt] if attempt < len(faults) else ""
        if fault.isdigit():
            return self.send(int(fault), {"error": "later"}, Retry_After=plan.wait)
        answer = plan.answer(text, body.get("seed"))
        asked, said = len(text.split()), len(answer.split())
        good = self.body(plan, body, chat, answer, asked, said)
        if plan.letters is not None:
            self.list_alternatives(plan.letters(text), body, chat, good["choices"][0])
        whole = json.dumps(good).encode()
        if fault == "early":
            self.close_connection = True
            return self.connection.shutdown(2)
        with plan.lock:  # from here on the tokens are made, and somebody pays for them
            plan.billed += asked + said
        if fault == "slow":
            with plan.lock:
                plan.running -= 1  # whoever asked has gone before this is over
            self.left = True
            time.sleep(plan.slow)
        elif fault == "cut":
            self.close_connection = True
            return self.send(200, None, whole[: len(whole) // 2], len(whole))
        elif fault == "html":
            return self.send(200, None, b"<html>busy</html>")
        elif fault == "error":
            return self.send(200, {"error": {"message": "overloaded", "code": None}})
        elif fault == "busy":
            return self.send(200, {"error": {"message": "slower", "code": "429"}}, Retry_After="0")
        elif fault == "half":
            return self.send(200, None, whole[: len(whole) // 2])
        elif fault == "empty":
            return self.send(200, {"choices": []})
        elif fault == "null":
            return self.send(200, {"choices": [{"message": {}, "finish_reason": "stop"}]})
        elif fault == "many":
            return self.send(200, good | {"choices": good["choices"] * 2})
        else:
            with plan.lock:
                plan.answered[key] += 1
        return self.send(200, good)

    def body(self, plan, body, chat, answer, asked, said):
        choice = {"index": 0, "finish_reason": "stop"}
        if plan.habit == "no finish":
            choice["finish_reason"] = None
        if plan.habit == "calls":
            choice["finish_reason"] = "tool_calls"
        if plan.habit == "their own finish":
            choice["finish_reason"] = "eos_token"
        if said > body[plan.limit]:
            choice["finish_reason"] = "length"
        if chat:
            choice["message"] = {"role": "assistant", "content": answer}
            parts = [{"type": "text", "text": answer[:3]}, {"type": "text", "text": answer[3:]}]
            if "parts" in plan.habit:
                choice["message"]["content"] = parts
            if plan.habit == "reasoning parts":
                parts.insert(0, {"type": "reasoning", "summary": []})
            if plan.habit == "image parts":
                parts.append({"type": "image_url", "image_url": {"url": "data:,"}})
            if plan.habit == "reasoning field":
                choice["message"]["reasoning_content"] = "hm"
            if body.get("logprobs"):
                values = [{"token": one, "logprob": -0.25} for one in answer.split()]
                choice["logprobs"] = {"content": values}
        else:
            choice["text"] = answer
            if body.get("logprobs"):
                choice["logprobs"] = {"token_logprobs": [-0.5] * said}
        usage = {"prompt_tokens": asked, "completion_tokens": said}
        return {"choices": [choice]} | ({"usage": usage} if plan.usage else {})

    def list_alternatives(self, places, body, chat, choice):
        if chat:
            most = body.get("top_logprobs", 0)
            choice["logprobs"] = {
                "content": [
                    {"token": next(iter(own)), "logprob": next(iter(own.values())),
                     "top_logprobs": [{"token": token, "logprob": value}
                                      for token, value in list(own.items())[:most]]}
                    for own in places
                ]
            }  # fmt: skip
        else:
            choice["logprobs"] = {
                "tokens": [next(iter(own)) for own in places],
                "token_logprobs": [next(iter(own.values())) for own in places],
                "top_logprobs": [dict(list(own.items())[: body["logprobs"]]) for own in places],
            }


@contextmanager
def serving(plan):
    """The address of the server, while it runs."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    server.plan = plan
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
