"""Serve an exported image model over HTTP; nothing here imports torch or allmlp.

    allmlp export runs/first --output model.onnx
    pip install fastapi uvicorn onnxruntime pillow
    python 70_serve.py model.onnx
    curl --data-binary @photo.jpg localhost:8000/predict

What keeps it alive: uploads are limited in bytes, pixels and seconds; at most --slots requests are
held at once, and others are told to come back (503); waiting images share a batch; on SIGTERM no
connection is accepted any more, and whoever is inside gets an answer.
"""

import argparse
import asyncio
import io
import json
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import numpy as np
import onnxruntime
import uvicorn
from fastapi import FastAPI, HTTPException, Request
from PIL import Image, ImageOps, UnidentifiedImageError

MAX_BYTES = 10_000_000
MAX_PIXELS = 50_000_000
UPLOAD_SECONDS = 20.0
DRAIN_SECONDS = 30
MAX_BATCH = 16


class Model:
    """An ONNX file of `allmlp export`: the network, and how it wants its images."""

    def __init__(self, path: str):
        self.session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
        self.about = json.loads(self.session.get_modelmeta().custom_metadata_map["allmlp"])
        if "preprocess" not in self.about or "classes" not in self.about:
            raise SystemExit(f"{path} does not take images; export a run on images")
        wanted = self.about["preprocess"]
        self.height, self.width = wanted["img_size"]
        self.mode = {1: "L", 3: "RGB"}[wanted["in_chans"]]
        self.filter = Image.Resampling[wanted["interpolation"].upper()]
        self.crop = wanted["crop"]

    def decode(self, content: bytes) -> np.ndarray:
        """Content of an image file to (c, h, w) bytes: upright, its centre at the model's size."""
        image = Image.open(io.BytesIO(content), formats=("PNG", "JPEG", "WEBP"))
        if image.width * image.height > MAX_PIXELS:  # known from the header alone
            raise HTTPException(413, f"an image may have {MAX_PIXELS:,} pixels")
        image = ImageOps.exif_transpose(image).convert(self.mode)
        scale = self.crop * min(image.width / self.width, image.height / self.height)
        wide, high = scale * self.width, scale * self.height
        left, top = (image.width - wide) / 2, (image.height - high) / 2
        box = (
            max(left, 0),
            max(top, 0),
            min(left + wide, image.width),
            min(top + high, image.height),
        )
        image = image.resize((self.width, self.height), self.filter, box=box)
        return np.asarray(image).reshape(self.height, self.width, -1).transpose(2, 0, 1)

    def predict(self, images: list[np.ndarray]) -> np.ndarray:
        """(n, k) probabilities."""
        return self.session.run(["probabilities"], {"images": np.stack(images)})[0]


def make_app(model: Model, slots: int) -> FastAPI:
    """The routes, over one queue of images that are waiting."""
    free = asyncio.Semaphore(slots)
    waiting: asyncio.Queue[tuple[np.ndarray, asyncio.Future[np.ndarray]]] = asyncio.Queue()

    async def work() -> None:
        while True:
            batch = [await waiting.get()]
            while len(batch) < MAX_BATCH and not waiting.empty():
                batch.append(waiting.get_nowait())
            try:
                rows = await asyncio.to_thread(model.predict, [image for image, _ in batch])
            except Exception as e:  # of this batch, not of the server
                for _, answer in batch:
                    answer.set_exception(e)
                continue
            for (_, answer), row in zip(batch, rows, strict=True):
                answer.set_result(row)

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        worker = asyncio.create_task(work())
        yield  # uvicorn comes back when the last answer is given
        worker.cancel()

    app = FastAPI(title="allmlp", lifespan=lifespan)

    @app.get("/about")
    async def about() -> dict:
        return model.about

    @app.post("/predict")
    async def predict(request: Request, top: int = 5) -> list[dict]:
        if free.locked():
            raise HTTPException(503, "all slots are taken", headers={"Retry-After": "1"})
        async with free:
            try:
                content = await asyncio.wait_for(read(request), UPLOAD_SECONDS)
            except TimeoutError:
                raise HTTPException(408, f"an upload may take {UPLOAD_SECONDS:g} s") from None
            try:
                image = await asyncio.to_thread(model.decode, content)
            except HTTPException:
                raise
            except UnidentifiedImageError:
                raise HTTPException(415, "send a PNG, JPEG or WebP as the body") from None
            except Exception as e:  # damaged files make decoders raise nearly anything
                raise HTTPException(400, f"the image cannot be read ({e})") from None
            answer = asyncio.get_running_loop().create_future()
            waiting.put_nowait((image, answer))
            row = await answer
        best = np.argsort(-row)[: max(1, top)]
        names = model.about["classes"]
        return [{"class": names[i], "probability": float(row[i])} for i in best]

    return app


async def read(request: Request) -> bytes:
    """The body, as long as it is not too long; what a client says of its length is only a hint."""
    content = bytearray()
    if int(request.headers.get("content-length", 0)) > MAX_BYTES:
        raise HTTPException(413, f"an upload may have {MAX_BYTES:,} bytes")
    async for part in request.stream():
        content += part
        if len(content) > MAX_BYTES:
            raise HTTPException(413, f"an upload may have {MAX_BYTES:,} bytes")
    return bytes(content)


def main() -> None:
    """Read the command line and serve until SIGTERM."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("model", help="file of `allmlp export` from a run on images")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=8000, help="0 takes any that is free")
    parser.add_argument("--slots", type=int, default=64, help="requests that are held at once")
    settings = parser.parse_args()
    app = make_app(Model(settings.model), settings.slots)
    listener = socket.create_server((settings.host, settings.port))
    print(f"http://{settings.host}:{listener.getsockname()[1]}/predict", flush=True)
    config = uvicorn.Config(
        app, log_level="warning", timeout_graceful_shutdown=DRAIN_SECONDS, ws="none"
    )
    uvicorn.Server(config).run(sockets=[listener])


if __name__ == "__main__":
    main()
