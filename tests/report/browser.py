"""A page as a real browser shows it."""

import json
import re
import shutil
import subprocess
from html import unescape

BROWSER = next(
    filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None
)

# The page reports to the one that frames it: a window cannot be as narrow as a phone.
INSIDE = """<script>
const errors = [];
addEventListener("error", e => errors.push(e.message || e.target.outerHTML.slice(0, 80)), true);
addEventListener("load", () => setTimeout(() => parent.postMessage({
  width: innerWidth,
  overflow: document.documentElement.scrollWidth - innerWidth,
  images: [...document.images].map(i => i.naturalWidth),
  videos: [...document.querySelectorAll("video")].map(v => v.error ? v.error.code : 0),
  requests: performance.getEntriesByType("resource").map(r => r.name)
    .filter(n => !n.startsWith("data:")),
  errors,
}, "*"), 500));
</script>"""
OUTSIDE = """<!doctype html><title>outside</title><body><iframe src="inside.html" height=800
style="border:0;width:{width}px"></iframe><pre id=seen></pre><script>
addEventListener("message", e => seen.textContent = JSON.stringify(e.data));
</script></body>"""


def opened(page, width, folder):
    """What a browser says of a page in a frame of a width in pixels; folder: for its files.

    `images`: natural widths; `videos`: 0 or the code of an error; `errors`: also the console's.
    """
    content = page.read_text()
    (folder / "inside.html").write_text(content.replace("<head>", f"<head>{INSIDE}", 1))
    (folder / "outside.html").write_text(OUTSIDE.format(width=width))
    done = subprocess.run(
        [
            BROWSER, "--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars",
            f"--user-data-dir={folder / 'profile'}", "--enable-logging=stderr",
            "--virtual-time-budget=8000", "--window-size=1300,900", "--dump-dom",
            (folder / "outside.html").as_uri(),
        ],
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )  # fmt: skip
    seen = json.loads(unescape(re.search(r'<pre id="seen">(.*?)</pre>', done.stdout)[1]))
    seen["errors"] += [line for line in done.stderr.splitlines() if ":CONSOLE" in line]
    return seen
