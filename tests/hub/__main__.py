"""Run the stand-in by hand: ``python -m tests.hub`` prints its address and a token, then serves."""

import threading

from tests.hub.server import HubServer

with HubServer() as hub:
    print(f"HF_ENDPOINT={hub.endpoint} HF_TOKEN={hub.store.add_login('ada')}", flush=True)
    threading.Event().wait()
