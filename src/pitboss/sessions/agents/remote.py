"""An agent that is somebody's own program: it is sent each step, and answers with its orders."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass
from typing import Any

import httpx

from pitboss.sessions.agents.apart import ApartAgent
from pitboss.sessions.apart import Line
from pitboss.sessions.decisions import Decision, Usage, read_answer
from pitboss.sessions.limits import Left
from pitboss.sessions.session import View

FIRST_WAIT = 0.5  # seconds
LONGEST_ANSWER = 1 << 20
_PASSING = frozenset({408, 425, 429, 500, 502, 503, 504})


@dataclass
class WebhookAgent(ApartAgent):
    """Sends each step to an address as JSON, signed with the key in `Authorization`, and reads what it answers."""

    key: str = ""
    run_id: str = ""

    def asked(self, told: dict[str, Any], _view: View, left: Left, _line: Line) -> dict[str, Any]:
        body = {"run_id": self.run_id, **told}
        return self._answered(body, time.monotonic() + left.seconds).as_dict()

    def _answered(self, body: dict[str, Any], deadline: float) -> Decision:
        headers = {"Authorization": f"Bearer {self.key}"} if self.key else {}
        sent = {"kind": "request", "body": body}
        wait, failure = FIRST_WAIT, ""
        for attempt in range(self.spec.limits.retries + 1):
            if attempt:
                if time.monotonic() + wait >= deadline:
                    break
                time.sleep(wait)
                wait *= 2
            try:
                answer = httpx.post(
                    str(self.spec.endpoint), json=body, headers=headers,
                    timeout=max(0.1, deadline - time.monotonic()),
                )  # fmt: skip
            except (httpx.HTTPError, httpx.InvalidURL) as error:
                failure = f"{self.name} does not answer: {type(error).__name__}"
                continue
            if answer.status_code in _PASSING:
                failure = f"{self.name} answered with status {answer.status_code}"
                continue
            return _decision(self.name, answer, sent)
        return Decision(failure=failure or f"{self.name} does not answer", is_silent=True, transcript=(sent,))


def _decision(name: str, answer: httpx.Response, sent: dict[str, Any]) -> Decision:
    text = answer.text[:LONGEST_ANSWER]
    transcript = (sent, {"kind": "response", "status": answer.status_code, "text": text[:20_000]})
    usage = Usage(calls=1)
    if answer.status_code >= 400:
        return Decision(failure=f"{name} answered with status {answer.status_code}", transcript=transcript, usage=usage)
    try:
        decision = read_answer(json.loads(text))
    except ValueError as error:
        failure = f"{name} gave no decision: {str(error)[:200]}"
        return Decision(failure=failure, transcript=transcript, usage=usage)
    return Decision(intents=decision.intents, reason=decision.reason, transcript=transcript, usage=usage)
