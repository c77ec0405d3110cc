"""Answers over a network that end in an error once they are longer than anything that was asked for.

Imported by ``remote`` when first used: it needs the extra ``remote``.
"""

from __future__ import annotations

from collections.abc import AsyncIterator

import httpx2

_SENT = {"host", "accept", "connection", "user-agent", "content-type", "content-length", "authorization"}
"""Headers that are sent."""


class Bounded(httpx2.AsyncBaseTransport):
    """A transport that reads at most ``most`` bytes of an answer, as they come over the wire and as they are unpacked."""

    def __init__(self, inner: httpx2.AsyncBaseTransport, most: int) -> None:
        self._inner, self._most = inner, most

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        for name in set(request.headers) - _SENT:  # the client adds who somebody is at OpenAI, from the environment
            del request.headers[name]
        request.headers["accept-encoding"] = "identity"  # a packed answer could be a thousand times longer
        response = await self._inner.handle_async_request(request)
        if response.headers.get("content-encoding", "identity") != "identity":
            await response.aclose()
            raise httpx2.RemoteProtocolError("the answer is packed, which was not asked for", request=request)
        assert isinstance(response.stream, httpx2.AsyncByteStream)
        stream = _Stream(response.stream, self._most, request)
        return httpx2.Response(response.status_code, headers=response.headers, stream=stream, extensions=response.extensions)

    async def aclose(self) -> None:
        await self._inner.aclose()


class _Stream(httpx2.AsyncByteStream):
    def __init__(self, inner: httpx2.AsyncByteStream, most: int, request: httpx2.Request) -> None:
        self._inner, self._most, self._request = inner, most, request

    async def __aiter__(self) -> AsyncIterator[bytes]:
        read = 0
        async for part in self._inner:
            read += len(part)
            if read > self._most:
                raise httpx2.RemoteProtocolError(f"the answer is longer than {self._most:,} bytes", request=self._request)
            yield part

    async def aclose(self) -> None:
        await self._inner.aclose()
