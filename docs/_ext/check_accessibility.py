"""Check pages of a built site with axe-core, light and dark, wide and narrow.

    python docs/_ext/check_accessibility.py docs/_build/html

It needs Chromium or Chrome on the path, and the packages that the nox session installs.
Faults that axe-core calls serious or critical are printed, and the check fails.
"""

import shutil
import sys
from pathlib import Path

from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import sync_playwright

PAGES = [
    *("index", "getting_started", "user_guide/index", "user_guide/method", "api"),
    *("generated/sklearn_gal.GALClassifier", "auto_examples/index", "federated"),
    *("auto_examples/first_steps/plot_hospitals", "operators", "comparison", "benchmarks"),
]
BROWSERS = ("chromium", "chromium-browser", "google-chrome", "chrome")


def faults(page, url, theme, width):
    """Yield the serious and critical faults of a page."""
    page.set_viewport_size({"width": width, "height": 900})
    page.add_init_script(f"localStorage.mode = localStorage.theme = '{theme}'")
    page.goto(url)
    for fault in Axe().run(page).response["violations"]:
        if fault["impact"] in {"serious", "critical"}:
            yield f"{fault['help']}: {fault['nodes'][0]['html'][:200]}"


def main(folder):
    """Check the pages and return the number of faults."""
    browser = next(filter(None, map(shutil.which, BROWSERS)), None)
    if browser is None:
        sys.exit(f"None of {', '.join(BROWSERS)} is on the path. Install one of them.")
    n_faults = 0
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(
            executable_path=browser, args=["--no-sandbox"]
        )
        for theme, width in [("light", 1300), ("dark", 1300), ("light", 400)]:
            page = chromium.new_page()
            for name in PAGES:
                url = (folder / f"{name}.html").resolve().as_uri()
                for fault in faults(page, url, theme, width):
                    print(f"{name}, {theme}, {width} pixels: {fault}")
                    n_faults += 1
            page.close()
    return n_faults


if __name__ == "__main__":
    number = main(Path(sys.argv[1]))
    print(f"{number} faults on {len(PAGES)} pages.")
    sys.exit(bool(number))
