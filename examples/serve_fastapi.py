"""A web service: a clip is uploaded, and the prediction comes back as JSON.

pip install 'vidrec[serve]'
python examples/recognition.py                              # trains runs/mine
python examples/serve_fastapi.py runs/mine --port 8000      # http://127.0.0.1:8000/docs to try it
curl -F clip=@my_videos/val/star/00.mp4 http://127.0.0.1:8000/predict
"""

import argparse
import shutil
import tempfile
import threading
from dataclasses import replace
from typing import Annotated, Any

import torch
import uvicorn
from fastapi import FastAPI, HTTPException, Query, Request, UploadFile
from fastapi.responses import JSONResponse, Response

import vidrec
from vidrec.data.video.decoder import VideoError


def service(net: Any, max_bytes: int) -> FastAPI:
    """The application; bodies of more than max_bytes are refused before they are read."""
    app = FastAPI(title="vidrec", version=vidrec.__version__)
    one_at_a_time = threading.Lock()  # two forward passes would share the device and its memory

    @app.middleware("http")
    async def limit(request: Request, call_next: Any) -> Response:
        length = request.headers.get("content-length", "")
        if request.method == "POST" and not length.isdigit():
            return JSONResponse({"detail": "send a Content-Length"}, status_code=411)
        if length.isdigit() and int(length) > max_bytes:
            detail = f"{int(length):,} bytes are more than the {max_bytes:,} that are accepted"
            return JSONResponse({"detail": detail}, status_code=413)
        return await call_next(request)

    @app.get("/")
    def about() -> dict[str, Any]:
        return {"task": net.description.task, "class_names": net.class_names}

    # Not `async`: FastAPI runs it in a worker thread, and goes on accepting requests.
    @app.post("/predict")
    def predict(clip: UploadFile, topk: Annotated[int, Query(ge=1)] = 5) -> dict[str, Any]:
        name = clip.filename or "clip"
        with tempfile.NamedTemporaryFile() as file:
            shutil.copyfileobj(clip.file, file)
            file.flush()
            try:
                with one_at_a_time:
                    found = net.predict(file.name, topk=topk)
            except VideoError as error:
                raise HTTPException(422, str(error).replace(file.name, name)) from None
        return replace(found, video=name).as_dict()

    return app


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("model", help="run directory, checkpoint or zoo://RECIPE")
    parser.add_argument("--host", default="127.0.0.1", help="0.0.0.0 answers other machines too")
    parser.add_argument("--port", type=int, default=8000)
    parser.add_argument("--max-mb", type=float, default=100, help="largest upload")
    given = parser.parse_args()
    device = "cuda" if torch.cuda.is_available() else "cpu"
    net = vidrec.load_model(given.model).to(device)
    uvicorn.run(service(net, int(given.max_mb * 1e6)), host=given.host, port=given.port)
