"""What a supervisor and a monitor are told over HTTP."""

import asyncio

import httpx
import pytest

from ingest import metrics, web
from ingest.web import ReadinessCheck, create_app


async def nothing() -> None:
    """Brings nothing up to date."""


async def get(path: str, reasons: ReadinessCheck) -> httpx.Response:
    transport = httpx.ASGITransport(create_app(reasons, nothing))
    async with httpx.AsyncClient(transport=transport, base_url="http://worker") as client:
        return await client.get(path)


async def fine() -> dict[str, str]:
    return {}


async def full() -> dict[str, str]:
    return {"intake": "the disk is full"}


async def silent() -> dict[str, str]:
    await asyncio.Event().wait()
    return {}


async def test_it_is_ready_when_there_is_no_reason_against_it() -> None:
    answer = await get("/readyz", fine)
    assert (answer.status_code, answer.json()) == (200, {"ready": True, "reasons": {}})


async def test_it_is_not_ready_and_says_why() -> None:
    answer = await get("/readyz", full)
    assert (answer.status_code, answer.json()) == (503, {"ready": False, "reasons": {"intake": "the disk is full"}})


async def test_a_store_that_does_not_answer_is_a_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(web, "READY_CHECK_SECONDS", 0.01)
    answer = await get("/readyz", silent)
    assert answer.status_code == 503
    assert "did not answer" in answer.json()["reasons"]["store"]


async def test_it_is_healthy_whatever_the_reasons() -> None:
    assert (await get("/healthz", silent)).text == "ok\n"


async def test_metrics_come_in_the_text_form_of_prometheus() -> None:
    answer = await get("/metrics", fine)
    assert answer.headers["content-type"].startswith("text/plain; version=")
    [declared] = metrics.MESSAGES.describe()
    assert f"# TYPE {declared.name} gauge" in answer.text
    assert declared.name == "ingest_messages"


async def test_nothing_else_is_there() -> None:
    assert (await get("/", fine)).status_code == 404
